// Lease: a machine that enters runtime mode and a taker that wants its processor never both have the processor. What
// the machine did before it left runtime mode is visible to whoever took the processor. Nobody waits for ever.
#include "runtime/src/sched/lease.h"

#include <gtest/gtest.h>

#include <mutex>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

struct Right : ModelAtomics {
  using Mutex = model::Mutex;
};

// Takes the place of a processor. Whoever holds it uses it.
struct Processor {
  Plain<int> state{"the processor", 0};
  void use() { state.set(state.get() + 1); }
};

// Thread 0 is a machine that goes out of runtime mode and back. The others try to take its processor meanwhile, and use
// it.
template <typename Atomics>
struct Taking : Program {
  Taking() { lease.hold(&processor); }

  void run(int thread) override {
    if (thread == 0) {
      for (int i = 0; i < 2; ++i) {
        processor.use();
        lease.leave(rt::Mode::user);
        if (!lease.enter() && !lease.settle()) return;
        require(this->held() == &processor, "a machine in runtime mode is without its processor");
      }
      processor.use();
    } else if (lease.take(&processor, rt::Mode::user)) {
      require(takes++ == 0, "two have taken the processor");
      processor.use();
    }
  }
  virtual const Processor* held() { return lease.processor(); }

  Processor processor;
  Label names{"lease", {"mode", "holding", "mutex"}};
  rt::Lease<Processor, Atomics> lease;
  int takes = 0;
};

TEST(LeaseModel, OneTaker) { expect_holds(explore_program<Taking<Right>>({"machine", "taker"}, {})); }

TEST(LeaseModel, TwoTakers) {
  expect_holds(explore_program<Taking<Right>>({"machine", "taker 1", "taker 2"}, {.preemptions = kSanitized ? 1 : 3}));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// The taker reads the mode without a barrier. It may miss that the machine is back, which has read its processor
// before.
struct NoBarrier : Right {
  static bool heavy_barrier() { return true; }
};

TEST(LeaseModelFinds, ATakerWithoutTheHeavyBarrier) {
  expect_finds(explore_program<Taking<NoBarrier>>({"machine", "taker"}, {}), "data race");
}

// The machine looks at what a taker may have cleared for a moment, instead of at its own copy.
struct TakingLooksAgain : Taking<Right> {
  const Processor* held() override { return lease.observed_processor(); }
};

TEST(LeaseModelFinds, AMachineThatLooksAgain) {
  expect_finds(explore_program<TakingLooksAgain>({"machine", "taker"}, {}), "without its processor");
}

// The machine's step out of runtime mode releases nothing.
struct LeavesRelaxed : Right {
  template <typename T>
  struct Relaxed : model::Atomic<T> {
    using model::Atomic<T>::Atomic;
    void store(T value, std::memory_order) { model::Atomic<T>::store(value, std::memory_order_relaxed); }
  };
  template <typename T>
  using Atomic = Relaxed<T>;
};

TEST(LeaseModelFinds, AMachineThatLeavesWithoutRelease) {
  expect_finds(explore_program<Taking<LeavesRelaxed>>({"machine", "taker"}, {}), "data race");
}

// The machine reads its processor before it says that it is back.
struct ReadsFirst : rt::Lease<Processor, Right> {
  bool enter() {
    const bool has = observed_processor() != nullptr;
    Lease::enter();
    return has;
  }
};

struct TakingReadsFirst : Program {
  TakingReadsFirst() { lease.hold(&processor); }
  void run(int thread) override {
    if (thread == 0) {
      lease.leave(rt::Mode::user);
      if (lease.enter()) processor.use();
    } else if (lease.take(&processor, rt::Mode::user)) {
      processor.use();
    }
  }
  Processor processor;
  Label names{"lease", {"mode", "holding", "mutex"}};
  ReadsFirst lease;
};

TEST(LeaseModelFinds, AMachineThatReadsItsProcessorFirst) {
  expect_finds(explore_program<TakingReadsFirst>({"machine", "taker"}, {}), "data race");
}

}  // namespace
}  // namespace weft::model
