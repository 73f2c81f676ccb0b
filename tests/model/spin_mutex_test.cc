// SpinMutex: unlocking is a plain store and a load, without a barrier between them. The sleeper's heavy barrier makes
// up for both. The mutex excludes, nobody sleeps for ever, and the last holder may free the mutex.
#include "runtime/src/base/spin_mutex.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

// There is one mutex and one counter, those of the running program.
template <bool kHeavy = true, bool kCounts = true>
struct Policy {
  template <typename T>
  using Atomic = model::Atomic<T>;

  static constexpr int kSpins = 0;  // spinning only tries more often

  static inline Atomic<std::uint32_t>* sleepers = nullptr;
  static inline int word_of_program = -1;

  static Atomic<std::uint32_t>& sleepers_of(const void*) { return *sleepers; }
  static void light_barrier() { ModelAtomics::light_barrier(); }
  static bool heavy_barrier() {
    if (kHeavy) ModelAtomics::heavy_barrier();
    return true;
  }
  static void pause() { ModelAtomics::pause(); }
  static void sleep(const Atomic<std::uint32_t>& word, bool) { futex_wait(word, 1u); }
  static void wake_one(const void*) {
    if (kCounts) detail::futex_wake(word_of_program, 1);
  }
};

template <typename P>
struct Locking : Program {
  explicit Locking(int locking_threads) : left(locking_threads) { P::sleepers = &sleepers; }

  // Each thread locks once. The last one out ends the mutex.
  void run(int) override {
    mutex->lock();
    guarded.set(guarded.get() + 1);
    const bool last = --left == 0;
    mutex->unlock();
    if (last) mutex.reset();
  }
  void check() override { require(sleepers.load(std::memory_order_relaxed) == 0, "a sleeper is still counted"); }

  Label names{"mutex", {"sleepers", "word"}};
  Atomic<std::uint32_t> sleepers{0};
  std::optional<weft::detail::BasicSpinMutex<P>> mutex{std::in_place};
  const bool known = [this] {
    P::word_of_program = sleepers.object() + 1;
    return true;
  }();
  Plain<int> guarded{"what the mutex guards", 0};
  int left;
};

TEST(SpinMutexModel, TwoThreads) { expect_holds(explore_program<Locking<Policy<>>>({"first", "second"}, {}, 2)); }

TEST(SpinMutexModel, ThreeThreads) {
  expect_holds(
      explore_program<Locking<Policy<>>>({"first", "second", "third"}, {.preemptions = kSanitized ? 1 : 2}, 3));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// The unlocker's load moves before its store, and nothing makes up for that.
TEST(SpinMutexModelFinds, ASleeperWithoutTheHeavyBarrier) {
  expect_finds(explore_program<Locking<Policy<false>>>({"first", "second"}, {}, 2), "lost wake-up");
}

TEST(SpinMutexModelFinds, AnUnlockThatWakesNobody) {
  expect_finds(explore_program<Locking<Policy<true, false>>>({"first", "second"}, {}, 2), "lost wake-up");
}

// The lock is taken without acquire.
struct LocksRelaxed : Policy<> {
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order failure) {
      return model::Atomic<T>::compare_exchange_strong(expected, desired, std::memory_order_relaxed, failure);
    }
  };
};

TEST(SpinMutexModelFinds, ALockThatDoesNotAcquire) {
  expect_finds(explore_program<Locking<LocksRelaxed>>({"first", "second"}, {}, 2), "data race");
}

}  // namespace
}  // namespace weft::model
