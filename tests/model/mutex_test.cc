// Mutex: it excludes, and nobody waits for ever, in either mode and over the changes between the modes. The last holder
// may free the mutex.
#include "runtime/src/sync/mutex.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/explorer.h"
#include "model/lock_waiting.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

struct Right {
  template <typename T>
  using Atomic = model::Atomic<T>;
  using SpinMutex = model::Mutex;
  using Waiting = ModelWaiting;
};

struct Case {
  int threads = 2;
  int rounds = 1;          // how often the first thread locks; the others lock once
  unsigned impatient = 0;  // see ModelWaiting
  int spins = 0;
  bool last_tries = false;  // the last thread only tries, once
};

template <typename Policy>
struct Locking : Program, LockWaiters {
  explicit Locking(Case c)
      : rounds(c.rounds), trier(c.last_tries ? c.threads - 1 : -1), left(c.threads - (c.last_tries ? 1 : 0)) {
    ModelWaiting::waiters = this;
    ModelWaiting::impatient = c.impatient;
    ModelWaiting::spins = c.spins;
  }

  // The last one out ends the mutex.
  void run(int thread) override {
    if (thread == trier) {
      if (!mutex->try_lock()) return;
      guarded.set(guarded.get() + 1);
      mutex->unlock();
      return;
    }
    for (int i = thread == 0 ? rounds : 1; i > 0; --i) {
      mutex->lock();
      guarded.set(guarded.get() + 1);
      const bool last = i == 1 && --left == 0;
      mutex->unlock();
      if (last && trier < 0) mutex.reset();
    }
  }
  void check() override { require(left == 0, "somebody has not had the mutex"); }

  const int rounds;
  const int trier;  // the thread that only tries; -1: none
  Label names{"mutex", {"word", "queue's mutex"}};
  std::optional<weft::detail::BasicMutex<Policy>> mutex{std::in_place};
  Plain<int> guarded{"what the mutex guards", 0};
  int left;  // guarded by the mutex
};

template <typename Policy>
Report explore_case(Case c, int preemptions = -1) {
  const std::vector<const char*> names{"first", "second", "third", "fourth"};
  return explore_program<Locking<Policy>>({names.begin(), names.begin() + c.threads}, {.preemptions = preemptions}, c);
}

TEST(MutexModel, TwoThreads) {
  for (const unsigned impatient : {0u, 1u, 3u}) {
    for (const int spins : {0, 1}) expect_holds(explore_case<Right>({.impatient = impatient, .spins = spins}));
  }
}

TEST(MutexModel, OneOfTwoComesBack) {
  for (const unsigned impatient : {0u, 1u, 2u, 3u}) {
    expect_holds(explore_case<Right>({.rounds = 3, .impatient = impatient}, kSanitized ? 2 : 5));
  }
}

TEST(MutexModel, ThreeThreads) {
  for (const unsigned impatient : {0u, 1u, 3u, 7u}) {
    expect_holds(explore_case<Right>({.threads = 3, .impatient = impatient}, kSanitized ? 2 : 4));
  }
}

TEST(MutexModel, ThreeThreadsThatSpin) {
  for (const unsigned impatient : {0u, 7u}) {
    expect_holds(explore_case<Right>({.threads = 3, .impatient = impatient, .spins = 1}, kSanitized ? 1 : 3));
  }
}

// The first thread barges, the loser queues again in front, and starvation mode begins and ends.
TEST(MutexModel, OneOfThreeComesBack) {
  ModelWaiting::hand_overs = 0;
  for (const unsigned impatient : {1u, 2u, 6u}) {
    expect_holds(explore_case<Right>({.threads = 3, .rounds = 2, .impatient = impatient}, kSanitized ? 1 : 2));
  }
  expect_holds(explore_case<Right>({.threads = 3, .rounds = 2, .impatient = 7}, kSanitized ? 2 : 3));
  EXPECT_GT(ModelWaiting::hand_overs, 0u);
}

// A try takes a free mutex though others are on their way, and never takes one that is being handed over.
TEST(MutexModel, OneThatTries) {
  for (const unsigned impatient : {0u, 3u}) {
    expect_holds(explore_case<Right>({.threads = 2, .last_tries = true}));
    expect_holds(explore_case<Right>({.threads = 3, .rounds = 2, .impatient = impatient, .last_tries = true},
                                     kSanitized ? 1 : 2));
  }
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// The bits of the word, for bugs that are planted in its steps.
constexpr std::uint32_t kLocked = 1;
constexpr std::uint32_t kWaiters = 2;
constexpr std::uint32_t kAwake = 4;
constexpr std::uint32_t kStarving = 8;

// `Change` gives the desired value of a compare-and-swap, and its order.
template <typename Change>
struct Changed : Right {
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure) {
      return model::Atomic<T>::compare_exchange_strong(expected, Change::desired(expected, desired),
                                                       Change::order(success), failure);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) {
      return compare_exchange_strong(expected, desired, success, failure);
    }
  };
};

struct NoChange {
  static std::uint32_t desired(std::uint32_t, std::uint32_t desired) { return desired; }
  static std::memory_order order(std::memory_order order) { return order; }
};

struct NoAcquire : NoChange {
  static std::memory_order order(std::memory_order order) {
    return order == std::memory_order_acquire ? std::memory_order_relaxed : order;
  }
};

TEST(MutexModelFinds, ALockThatDoesNotAcquire) { expect_finds(explore_case<Changed<NoAcquire>>({}), "data race"); }

struct NoRelease : NoChange {
  static std::memory_order order(std::memory_order order) {
    return order == std::memory_order_release ? std::memory_order_relaxed : order;
  }
};

TEST(MutexModelFinds, AnUnlockThatDoesNotRelease) { expect_finds(explore_case<Changed<NoRelease>>({}), "data race"); }

struct QueuesInSilence : NoChange {
  static std::uint32_t desired(std::uint32_t expected, std::uint32_t desired) {
    return (expected & kLocked) != 0 && (desired & kLocked) != 0 ? desired & ~kWaiters : desired;
  }
};

TEST(MutexModelFinds, AWaiterThatTheHolderDoesNotSee) {
  expect_finds(explore_case<Changed<QueuesInSilence>>({}), "lost wake-up");
}

// A thread that was woken takes the mutex and stays marked as awake for ever.
struct KeepsAwake : NoChange {
  static std::uint32_t desired(std::uint32_t expected, std::uint32_t desired) {
    return (expected & kLocked) == 0 && (desired & kLocked) != 0 ? desired | (expected & kAwake) : desired;
  }
};

TEST(MutexModelFinds, AnOwnerThatStillCountsAsAwake) {
  expect_finds(explore_case<Changed<KeepsAwake>>({.threads = 3}, 3), "lost wake-up");
}

// A woken waiter that queues again keeps the bit, so nobody else is woken.
struct QueuesAwake : NoChange {
  static std::uint32_t desired(std::uint32_t expected, std::uint32_t desired) {
    return (expected & kLocked) != 0 && (desired & kLocked) != 0 ? desired | (expected & kAwake) : desired;
  }
};

TEST(MutexModelFinds, AWaiterThatQueuesAgainAndCountsAsAwake) {
  expect_finds(explore_case<Changed<QueuesAwake>>({.rounds = 2}, 4), "lost wake-up");
}

// Each unlock wakes a waiter, even if another one is on its way already. The waiter may end, and the mutex with it,
// before the second unlock has looked for the waiter.
struct NeverAwake : NoChange {
  static std::uint32_t desired(std::uint32_t, std::uint32_t desired) { return desired & ~kAwake; }
};

TEST(MutexModelFinds, TwoThatWakeAtOnce) {
  expect_finds(explore_case<Changed<NeverAwake>>({.threads = 3}, 4), "used after its end");
}

struct WakesNobody : Right {
  struct Waiting : ModelWaiting {
    static void wake(weft::detail::Waiter) noexcept {}
  };
};

TEST(MutexModelFinds, AnUnlockThatWakesNobody) { expect_finds(explore_case<WakesNobody>({}), "lost wake-up"); }

struct HandsOverToNobody : Right {
  struct Waiting : ModelWaiting {
    static void wake_owner(weft::detail::Waiter) noexcept {}
  };
};

TEST(MutexModelFinds, AHandOverThatWakesNobody) {
  expect_finds(explore_case<HandsOverToNobody>({.rounds = 2, .impatient = 3}, 4), "lost wake-up");
}

// A hand-over unlocks, and the new owner locks again when it wakes, so that another thread comes in between.
struct HandsOverUnlocked : Right {
  static inline model::Atomic<std::uint32_t>* word = nullptr;
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    Atomic(T value) : model::Atomic<T>(value) { word = this; }  // NOLINT(google-explicit-constructor)
  };
  struct Waiting : ModelWaiting {
    template <typename SpinMutex>
    static void block(weft::detail::WaitNode& node, SpinMutex& held, rt::WaitReason reason) noexcept {
      ModelWaiting::block(node, held, reason);
      if (node.success) word->fetch_or(kLocked, std::memory_order_acquire);
    }
    static void wake_owner(weft::detail::Waiter waiter) noexcept {
      word->fetch_and(~(kLocked | kStarving), std::memory_order_release);
      ModelWaiting::wake_owner(waiter);
    }
  };
};

TEST(MutexModelFinds, AHandOverThatUnlocks) {
  expect_finds(explore_case<HandsOverUnlocked>({.rounds = 3, .impatient = 2}, 4), "data race");
}

}  // namespace
}  // namespace weft::model
