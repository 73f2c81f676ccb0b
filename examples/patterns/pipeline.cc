// A pipeline: its stages are goroutines joined by channels, and it can be stopped at any moment.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/task_group.h>

#include <cstdio>

namespace {

// [stages]
// Sends, unless ctx ends first. Returns whether it sent.
bool send(const weft::Context& ctx, const weft::SendChan<int>& to, int value) {
  return weft::select(weft::on_send(to, value), weft::on_recv(ctx.done())) == 0;
}

// The first stage sends 1, 2, 3 and so on, for as long as somebody wants them.
weft::RecvChan<int> count(weft::TaskGroup& stages) {
  auto out = weft::make_chan<int>();
  stages.go([out](const weft::Context& ctx) {
    for (int n = 1; send(ctx, out, n); ++n) {
    }
    out.close();
  });
  return out;
}

// A stage in the middle. It need not watch ctx when it receives: when ctx ends, the stage before it closes its channel.
weft::RecvChan<int> square(weft::TaskGroup& stages, const weft::RecvChan<int>& in) {
  auto out = weft::make_chan<int>();
  stages.go([in, out](const weft::Context& ctx) {
    for (const int n : in) {
      if (!send(ctx, out, n * n)) break;
    }
    out.close();
  });
  return out;
}
// [stages]

// [use]
// Prints the fourth powers up to `limit`.
void print_fourth_powers(int limit) {
  weft::TaskGroup stages;
  for (const int n : square(stages, square(stages, count(stages)))) {
    if (n > limit) break;
    std::printf("%d\n", n);
  }
  stages.cancel();  // without it, each stage would wait for ever to send what nobody receives
  stages.wait();    // now no stage is left
}
// [use]

}  // namespace

int main() {
  return weft::run([] {
    print_fourth_powers(1000);
    std::printf("all stages have ended\n");
  });
}
