// SpinMutex: the mutex excludes, everybody gets it, and the last holder may free it.
#include "runtime/src/base/spin_mutex.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

struct Policy {
  template <typename T>
  using Atomic = model::Atomic<T>;

  static constexpr int kMostPauses = 1;  // more of them only try more often

  static void pause() { ModelAtomics::pause(); }
  static void sleep(int) {}  // the next pause waits for a store
};

template <typename P>
struct Locking : Program {
  explicit Locking(int locking_threads) : threads(locking_threads), left(locking_threads) {}

  // Each thread locks once. The last one out ends the mutex.
  void run(int) override {
    mutex->lock();
    guarded.set(guarded.get() + 1);
    const bool last = --left == 0;
    mutex->unlock();
    if (last) mutex.reset();
  }
  void check() override { require(guarded.get() == threads, "somebody did not get the mutex"); }

  Label names{"mutex", {"word"}};
  std::optional<weft::detail::BasicSpinMutex<P>> mutex{std::in_place};
  Plain<int> guarded{"what the mutex guards", 0};
  const int threads;
  int left;
};

TEST(SpinMutexModel, TwoThreads) { expect_holds(explore_program<Locking<Policy>>({"first", "second"}, {}, 2)); }

TEST(SpinMutexModel, ThreeThreads) {
  expect_holds(explore_program<Locking<Policy>>({"first", "second", "third"}, {.preemptions = kSanitized ? 1 : 2}, 3));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// The lock is taken without acquire.
struct LocksRelaxed : Policy {
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
