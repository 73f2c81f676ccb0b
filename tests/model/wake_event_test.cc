// WakeEvent: what was published before a raise() is found by the poller, also when the raise() wrote nothing.
#include "runtime/src/io/wake_event.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <vector>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

// The eventfd: the poller sleeps while the count is zero. Nothing of it orders other memory, so that what the poller
// finds depends on WakeEvent alone.
struct ModelEvent {
  void write() {
    count.fetch_add(1, std::memory_order_relaxed);
    futex_wake(count, 1);
  }
  void read() { count.store(0, std::memory_order_relaxed); }
  void wait_until_readable() {
    while (count.load(std::memory_order_relaxed) == 0) futex_wait(count, 0);
  }

  Atomic<int> count{0};
};

struct TestWakeEvent : rt::BasicWakeEvent<ModelAtomics, ModelEvent> {
  void wait_until_readable() { event_.wait_until_readable(); }
};

// Thread 0 is the poller: it sleeps, takes, and looks for work, until it has all. The others publish and raise, each
// `rounds` times. With `early` the poller takes once before anybody has told it to.
template <typename Event>
struct Waking : Program {
  Waking(int n, bool take_early) : rounds(n), early(take_early) {}

  void run(int thread) override {
    if (thread == 0) {
      poll();
      return;
    }
    for (int i = 0; i < rounds; ++i) {
      published[static_cast<std::size_t>(thread)].store(i + 1, std::memory_order_relaxed);
      event.raise();
    }
  }
  void poll() {
    if (early) event.take();
    while (!all_found()) {
      event.wait_until_readable();
      event.take();
    }
  }
  bool all_found() const {
    for (std::size_t thread = 1; thread < kThreads; ++thread) {
      if (published[thread].load(std::memory_order_relaxed) != expected[thread]) return false;
    }
    return true;
  }

  static constexpr std::size_t kThreads = 3;
  const int rounds;
  const bool early;
  std::array<int, kThreads> expected{0, rounds, rounds};
  Label names{"", {"published 0", "published 1", "published 2", "count", "raised"}};
  std::array<Atomic<int>, kThreads> published;
  Event event;
};

const std::vector<const char*> kThreadNames = {"poller", "publisher", "publisher"};

TEST(WakeEventModel, NothingThatWasPublishedIsOverlooked) {
  expect_holds(explore_program<Waking<TestWakeEvent>>(kThreadNames, {}, 1, false));
}

TEST(WakeEventModel, PublishersMayComeAgain) {
  expect_holds(explore_program<Waking<TestWakeEvent>>(kThreadNames, {.preemptions = kSanitized ? 2 : 4}, 2, false));
}

// As io_uring's completion of an older poll may make it do.
TEST(WakeEventModel, ATakeMayComeTooEarly) {
  expect_holds(explore_program<Waking<TestWakeEvent>>(kThreadNames, {}, 1, true));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// A raise() between the two steps writes what the read then swallows, and no later raise() writes again.
struct ClearsFirst : TestWakeEvent {
  void take() noexcept {
    raised_.exchange(false, std::memory_order_acq_rel);
    event_.read();
  }
};

TEST(WakeEventModelFinds, ATakeThatClearsBeforeItReads) {
  expect_finds(explore_program<Waking<ClearsFirst>>(kThreadNames, {}, 1, false), "lost wake-up");
}

// A store does not see whose true it overwrites, so what a silent raise() published stays unseen.
struct Stores : TestWakeEvent {
  void take() noexcept {
    event_.read();
    raised_.store(false, std::memory_order_release);
  }
};

TEST(WakeEventModelFinds, ATakeThatStores) {
  expect_finds(explore_program<Waking<Stores>>(kThreadNames, {}, 1, false), "lost wake-up");
}

// The raise() that finds true does not publish.
struct LooksOnly : TestWakeEvent {
  void raise() noexcept {
    if (raised_.load(std::memory_order_acquire)) return;
    TestWakeEvent::raise();
  }
};

TEST(WakeEventModelFinds, ARaiseThatOnlyLooks) {
  expect_finds(explore_program<Waking<LooksOnly>>(kThreadNames, {}, 1, false), "lost wake-up");
}

}  // namespace
}  // namespace weft::model
