// Measures timers and tickers.
#include <weft/go.h>
#include <weft/time.h>
#include <weft/wait_group.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "bench.h"

namespace micro {
namespace {

constexpr std::int64_t kBatch = 1000;  // functions between two waits or yields
constexpr std::chrono::hours kFarOff{1};
constexpr std::chrono::nanoseconds kAtOnce{0};
constexpr std::int64_t kPeriodPerTickerNs = 50'000;
constexpr std::int64_t kMeasuredPeriods = 2;

// Starts as many tickers as operations; the period is one second for 20,000 tickers. The measure is the CPU time that
// the process takes while all of them tick: from when each has ticked once until the first one ticks for the last time.
void run_tickers(Sample& sample, std::int64_t between_starts_ns) {
  const std::chrono::nanoseconds period(sample.ops() * kPeriodPerTickerNs);
  std::vector<std::uint64_t> finished(static_cast<std::size_t>(sample.ops()));
  weft::WaitGroup warm;
  weft::WaitGroup group;
  warm.add(static_cast<int>(sample.ops()));
  for (std::int64_t i = 0; i < sample.ops(); ++i) {
    group.go([&warm, &result = finished[static_cast<std::size_t>(i)], delay = i * between_starts_ns, period] {
      weft::sleep(std::chrono::nanoseconds(delay));
      const weft::Ticker ticker(period);
      ticker.chan().recv();
      warm.done();
      for (std::int64_t tick = 0; tick <= kMeasuredPeriods; ++tick) ticker.chan().recv();
      ticker.stop();
      result = 1;
    });
  }
  warm.wait();
  const std::int64_t cpu = process_cpu_ns();
  const std::int64_t start = now_ns();
  weft::sleep(kMeasuredPeriods * period);
  const auto cpu_spent = static_cast<double>(process_cpu_ns() - cpu);
  sample.add_metric("cpu_ms_per_s", 1000 * cpu_spent / static_cast<double>(now_ns() - start));
  group.wait();
  std::uint64_t sum = 0;
  for (const std::uint64_t n : finished) sum += n;
  sample.set_checksum(sum);
}

}  // namespace

std::uint64_t timer_start_stop(std::int64_t ops) {
  std::uint64_t stopped = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    const weft::Timer timer(kFarOff);
    if (timer.stop()) ++stopped;
  }
  return stopped;
}

std::uint64_t timer_reset(std::int64_t ops) {
  const weft::Timer timer(kFarOff);
  std::uint64_t moved = 0;
  for (std::int64_t i = 0; i < ops; ++i)
    if (timer.reset(kFarOff)) ++moved;
  timer.stop();
  return moved;
}

// Gives way now and then, so that this goroutine is no hog: a hog has lost its processor, and with it the timer heap.
std::uint64_t after_func_stop(std::int64_t ops) {
  std::uint64_t stopped = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    if (i % kBatch == 0) weft::yield();
    const weft::Timer timer = weft::after_func(kFarOff, [] { fail("after_func_stop: an hour has passed"); });
    if (timer.stop()) ++stopped;
  }
  return stopped;
}

std::uint64_t after_func_fire(std::int64_t ops) {
  std::vector<std::uint64_t> results(kBatch);
  std::uint64_t sum = 0;
  weft::WaitGroup group;
  for (std::int64_t first = 0; first < ops; first += kBatch) {
    const std::int64_t n = std::min(kBatch, ops - first);
    for (std::int64_t i = 0; i < n; ++i) {
      group.add(1);
      weft::after_func(kAtOnce, [&result = results[static_cast<std::size_t>(i)],
                                 index = static_cast<std::uint64_t>(first + i), &group] {
        result = index;
        group.done();
      });
    }
    group.wait();
    for (std::int64_t i = 0; i < n; ++i) sum += results[static_cast<std::size_t>(i)];
  }
  return sum;
}

std::uint64_t after_func_fire_one(std::int64_t ops) {
  std::uint64_t sum = 0;
  weft::WaitGroup group;
  for (std::int64_t i = 0; i < ops; ++i) {
    group.add(1);
    weft::after_func(kAtOnce, [&sum, &group, i] {
      sum += static_cast<std::uint64_t>(i);
      group.done();
    });
    group.wait();
  }
  return sum;
}

void tickers(Sample& sample) { run_tickers(sample, 0); }
void tickers_spread(Sample& sample) { run_tickers(sample, kPeriodPerTickerNs); }

}  // namespace micro
