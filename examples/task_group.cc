// A goroutine that belongs to an object: it ends before the object does.
// [task_group]
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/sync.h>
#include <weft/task_group.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

// Lines are written out every ten milliseconds, and what is left of them at the end.
class Journal {
 public:
  explicit Journal(std::size_t& written) : written_(written) {
    writer_.go([this](weft::Context ctx) {
      for (bool last = false; !last;) {
        const auto [pause, cancel] = weft::with_timeout(ctx, 10ms);
        pause.done().recv();  // the time is over, or the journal ends
        last = static_cast<bool>(ctx.err());
        write_out();
      }
    });
  }

  void append(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }

 private:
  void write_out() {
    const std::lock_guard lock(mutex_);
    written_ += lines_.size();
    lines_.clear();
  }

  std::size_t& written_;
  weft::Mutex mutex_;
  std::vector<std::string> lines_;
  weft::TaskGroup writer_;  // the last member, so that it ends while the others are there
};

int main() {
  return weft::run([] {
    std::size_t written = 0;
    {
      Journal journal(written);
      for (int i = 1; i <= 100; ++i) journal.append("line " + std::to_string(i));
    }
    std::printf("%zu lines\n", written);
  });
}
// [task_group]
