// The toolkit around channels: select, timers, locks, and what goroutines share. docs/concurrency.md shows its parts.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/sync.h>
#include <weft/time.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

// [select]
// Receives numbers and sends their squares, until the context ends. Says so when nothing comes for a minute.
void square_until(const weft::Context& ctx, weft::RecvChan<int> numbers, weft::SendChan<int> squares) {
  for (bool open = true; open;) {
    weft::select(weft::on_recv(numbers,
                               [&](std::optional<int> n) {
                                 open = n &&  // nothing means closed and drained
                                        weft::select(weft::on_send(squares, *n * *n), weft::on_recv(ctx.done())) == 0;
                               }),
                 weft::on_recv(weft::after(1min), [] { std::puts("nothing to do"); }),
                 weft::on_recv(ctx.done(), [&] { open = false; }));
  }
}
// [select]

// [try_select]
// Never waits. Returns whether there was room.
bool offer(weft::SendChan<std::string> log, std::string line) {
  return weft::select(weft::on_send(log, std::move(line)), weft::on_default()) == 0;
}
// [try_select]

// [list]
// Receives the first value from any of the channels. Returns the index of that channel, and the value.
std::pair<std::size_t, std::optional<int>> first_of(const std::vector<weft::Chan<int>>& chans) {
  std::optional<int> value;
  std::vector<weft::SelectCase> cases;
  cases.reserve(chans.size());
  for (const auto& chan : chans) cases.emplace_back(weft::on_recv(chan, value));
  const std::size_t chosen = weft::select(cases);
  return {chosen, value};
}
// [list]

// [timers]
void count_ticks() {
  int ticks = 0;
  const weft::Ticker ticker(5ms);
  const weft::Timer end(52ms);
  while (weft::select(weft::on_recv(ticker.chan()), weft::on_recv(end.chan())) == 0) ++ticks;

  auto done = weft::make_chan<int>();
  const weft::Timer alarm = weft::after_func(1h, [] { std::puts("never"); });
  weft::after_func(1ms, [=] { done.send(1); });  // runs in a goroutine of its own
  done.recv();
  std::printf("ticked: %s, the alarm was stopped: %s\n", ticks > 0 ? "yes" : "no", alarm.stop() ? "yes" : "no");
}
// [timers]

// [locks]
class Inventory {
 public:
  void add(const std::string& item) {
    const std::unique_lock lock(mutex_);
    ++items_[item];
    arrived_.broadcast();
  }
  int count(const std::string& item) const {
    const std::shared_lock lock(mutex_);  // shared with other readers
    const auto at = items_.find(item);
    return at == items_.end() ? 0 : at->second;
  }
  void wait_for(const std::string& item) {
    const std::unique_lock lock(mutex_);
    arrived_.wait([&] { return items_.contains(item); });
  }

 private:
  mutable weft::RWMutex mutex_;
  weft::Cond<weft::RWMutex> arrived_{mutex_};
  std::map<std::string, int> items_;
};
// [locks]

// [shared]
struct Config {
  int limit = 10;
};

int shared_things() {
  weft::AtomicValue<Config> config(Config{});  // replaced as a whole, read by everybody
  config.update([](Config next) {
    next.limit = 20;
    return next;
  });

  const auto greeting = weft::once_value([] { return std::string("made by the first call"); });

  weft::Pool<std::vector<char>> buffers([] { return std::vector<char>(4096); });
  weft::ConcurrentMap<int, int> squares;
  weft::SingleFlight<int, int> queries;  // among those who ask for one key at the same time, one works
  weft::Semaphore at_once(3);            // no more than three goroutines at once
  weft::WaitGroup group;
  for (int i = 0; i < 100; ++i) {
    group.go([&, i] {
      const auto unit = at_once.hold();   // given back at the end of the scope
      const auto buffer = buffers.get();  // given back there, too
      buffer->front() = greeting().front();
      const int n = i % config.load()->limit;
      squares.store(n, queries.do_call(n, [n] { return n * n; }).value);
    });
  }
  group.wait();
  int sum = 0;
  squares.range([&](int, int square) {
    sum += square;
    return true;
  });
  return sum;
}
// [shared]

int main() {
  return weft::run([] {
    auto numbers = weft::make_chan<int>();
    auto squares = weft::make_chan<int>(3);
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::WaitGroup group;
    group.go([=, context = ctx] { square_until(context, numbers, squares); });
    for (const int n : {1, 2, 3}) numbers.send(n);
    numbers.close();
    group.wait();
    cancel();
    squares.close();
    int sum = 0;
    for (const int square : squares) sum += square;
    std::printf("squares: %d\n", sum);

    auto log = weft::make_chan<std::string>(1);
    const bool first = offer(log, "first");
    std::printf("offered: %d %d\n", first, offer(log, "second"));

    std::vector<weft::Chan<int>> chans{weft::make_chan<int>(), weft::make_chan<int>(1)};
    chans[1].send(7);
    const auto [which, value] = first_of(chans);
    std::printf("channel %zu: %d\n", which, value.value_or(0));

    count_ticks();

    Inventory inventory;
    group.go([&] { inventory.wait_for("apple"); });
    inventory.add("apple");
    group.wait();
    std::printf("apples: %d\n", inventory.count("apple"));

    std::printf("sum: %d\n", shared_things());
  });
}
