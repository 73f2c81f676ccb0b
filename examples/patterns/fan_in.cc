// Fan-out, fan-in: several goroutines take work from one channel, and their results are merged into one channel.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/sync.h>
#include <weft/task_group.h>

#include <cstdio>
#include <utility>
#include <vector>

namespace {

struct Chain {
  int start = 0;
  int steps = 0;
};

// Goes from `start` to 1: halves an even number, multiplies an odd one by three and adds one, and so on.
Chain chain_from(int start) {
  Chain chain{start, 0};
  for (long n = start; n != 1; ++chain.steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  return chain;
}

weft::RecvChan<int> numbers(weft::TaskGroup& all, int limit) {
  auto out = weft::make_chan<int>();
  all.go([=](const weft::Context& ctx) {
    for (int n = 1; n < limit; ++n) {
      if (weft::select(weft::on_send(out, n), weft::on_recv(ctx.done())) != 0) break;
    }
    out.close();
  });
  return out;
}

// [fan_in]
// Starts one worker. Any number of workers may share `in`: each number goes to one that is free.
weft::RecvChan<Chain> work(weft::TaskGroup& all, const weft::RecvChan<int>& in) {
  auto out = weft::make_chan<Chain>();
  all.go([=](const weft::Context& ctx) {
    for (const int n : in) {
      if (weft::select(weft::on_send(out, chain_from(n)), weft::on_recv(ctx.done())) != 0) break;
    }
    out.close();
  });
  return out;
}

// Returns a channel of what comes out of any of `ins`, until all of them are closed.
template <typename T>
weft::RecvChan<T> merge(weft::TaskGroup& all, const std::vector<weft::RecvChan<T>>& ins) {
  auto out = weft::make_chan<T>();
  all.go([=](const weft::Context& ctx) {
    weft::WaitGroup copying;
    for (const auto& in : ins) {
      copying.go([&] {
        for (T&& value : in) {
          if (weft::select(weft::on_send(out, std::move(value)), weft::on_recv(ctx.done())) != 0) break;
        }
      });
    }
    copying.wait();
    out.close();  // once, and when nobody sends any more
  });
  return out;
}
// [fan_in]

// Returns some number below `limit` whose chain has more than `steps` steps, or 0 if there is none.
int find_longer_than(int steps, int limit) {
  weft::TaskGroup all;  // ends when this function returns, with the goroutines that still run
  const auto jobs = numbers(all, limit);
  std::vector<weft::RecvChan<Chain>> workers(4);
  for (auto& worker : workers) worker = work(all, jobs);
  for (const Chain& chain : merge(all, workers)) {
    if (chain.steps > steps) return chain.start;
  }
  return 0;
}

}  // namespace

int main() {
  return weft::run([] {
    std::printf("more than 175 steps, below 1000: %d\n", find_longer_than(175, 1000));
    std::printf("more than 200 steps, below 1000: %d\n", find_longer_than(200, 1000));
  });
}
