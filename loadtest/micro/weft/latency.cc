// Measures how long it takes until a goroutine that became ready, or whose time has come, runs.
#include <weft/chan.h>
#include <weft/go.h>
#include <weft/time.h>

#include <atomic>
#include <chrono>

#include "bench.h"

namespace micro {
namespace {

constexpr std::int64_t kSettleNs = 200'000;             // time for an idle processor to go to sleep
constexpr std::int64_t kAnswerWithin = 30'000'000'000;  // nanoseconds
constexpr std::int64_t kSleepNs = 1'000'000;

}  // namespace

// The sender never gives up its processor. So another processor, which sleeps by then, must run the receiver.
void wake(Sample& sample) {
  if (weft::procs() < 2) fail("wake needs two processors: set WEFT_PROCS to 2 or more");
  const weft::Chan<std::int64_t> chan = weft::make_chan<std::int64_t>();
  std::vector<std::int64_t> late;
  late.reserve(static_cast<std::size_t>(sample.ops()));
  // The receiver releases and the sender acquires, so `late` is complete when the sender has seen the last answer.
  std::atomic<std::int64_t> answers{0};
  weft::go([chan, &late, &answers] {
    while (const std::optional<std::int64_t> sent = chan.recv()) {
      late.push_back(now_ns() - *sent);
      answers.fetch_add(1, std::memory_order_release);
    }
  });
  for (std::int64_t i = 0; i < sample.ops(); ++i) {
    for (const std::int64_t start = now_ns(); now_ns() - start < kSettleNs;) {
    }
    const std::int64_t sent = now_ns();
    chan.send(sent);
    while (answers.load(std::memory_order_acquire) == i)
      if (now_ns() - sent > kAnswerWithin) fail("wake: the receiver did not run within 30 s");
  }
  chan.close();
  sample.set_checksum(late.size());
  sample.add_percentiles(std::move(late));
}

void sleep_late(Sample& sample) {
  std::vector<std::int64_t> late;
  late.reserve(static_cast<std::size_t>(sample.ops()));
  for (std::int64_t i = 0; i < sample.ops(); ++i) {
    const std::int64_t start = now_ns();
    weft::sleep(std::chrono::nanoseconds(kSleepNs));
    late.push_back(now_ns() - start - kSleepNs);
  }
  sample.set_checksum(late.size());
  sample.add_percentiles(std::move(late));
}

}  // namespace micro
