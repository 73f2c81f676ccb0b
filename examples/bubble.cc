// A test of code that waits, with a clock that jumps.
// [bubble]
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/testing/bubble.h>
#include <weft/time.h>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

// The code under test: it tries until an attempt works, with longer and longer pauses.
template <typename Attempt>
bool with_retries(Attempt attempt) {
  for (auto pause = 1s; pause < 1min; pause *= 2) {
    if (attempt()) return true;
    weft::sleep(pause);
  }
  return false;
}

int main() {
  return weft::run([] {
    weft::testing::bubble([] {
      const auto start = weft::now();
      int attempts = 0;
      const bool worked = with_retries([&] { return ++attempts == 6; });
      const std::chrono::seconds took = std::chrono::duration_cast<std::chrono::seconds>(weft::now() - start);
      std::printf("%s after %d attempts and %d s\n", worked ? "worked" : "failed", attempts,
                  static_cast<int>(took.count()));  // 1 + 2 + 4 + 8 + 16 s, which pass at once
    });

    weft::testing::bubble([] {
      auto [ctx, cancel] = weft::with_timeout(weft::background(), 5s);
      bool told = false;
      weft::go([&told, context = ctx] {
        context.done().recv();
        told = true;
      });
      weft::sleep(5s - 1ns);
      weft::testing::wait();  // returns when the others can do no more at this time
      std::printf("%s, ", told ? "too early" : "not yet");
      weft::sleep(1ns);
      weft::testing::wait();
      std::printf("%s\n", told ? "told" : "too late");
    });
  });
}
// [bubble]
