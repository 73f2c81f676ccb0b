// Submit against sleep: work never lies in a queue while everybody sleeps.
#include "runtime/src/sched/sleepers.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <vector>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

constexpr std::size_t kMost = 2;  // of submitters, and of machines

// Threads 0 .. submitters - 1 submit one piece of work each. The others are machines with a processor of their own,
// which look for work and sleep when there is none.
template <typename Sleepers>
struct Submitting : Program {
  Submitting(int submitter_count, int machine_count) : submitters(submitter_count), machines(machine_count) {}

  void run(int thread) override {
    if (thread < submitters) {
      queue[static_cast<std::size_t>(thread)].store(1, std::memory_order_release);
      wake_if_needed();
    } else {
      serve(thread - submitters);
    }
  }
  void wake_if_needed() {
    if (const int id = sleepers.claim(); id >= 0) poller[static_cast<std::size_t>(id)].interrupt();
  }
  // A small version of Machine::run().
  void serve(int id) {
    bool searching = false;
    for (;;) {
      if (stopping.load(std::memory_order_acquire) != 0) break;
      int found = -1;
      if (!take(found) && !searching) {
        sleepers.begin_search();
        searching = true;
      }
      while (found >= 0 || take(found)) {
        if (searching && sleepers.end_search()) wake_if_needed();
        searching = false;
        execute(found);
        found = -1;
      }
      const auto something = [this] { return any_work() || stopping.load(std::memory_order_acquire) != 0; };
      if (!sleepers.begin_sleep(id, searching, something)) {
        searching = true;
        continue;
      }
      poller[static_cast<std::size_t>(id)].sleep();
      searching = sleepers.end_sleep(id);
    }
    if (searching && sleepers.end_search()) wake_if_needed();
  }
  bool take(int& found) {
    for (int i = 0; i < submitters; ++i) {
      Atomic<int>& work = queue[static_cast<std::size_t>(i)];
      if (work.load(std::memory_order_relaxed) != 0 && work.exchange(0, std::memory_order_acq_rel) != 0) {
        found = i;
        return true;
      }
    }
    return false;
  }
  virtual void execute(int) {}
  bool any_work() {
    for (int i = 0; i < submitters; ++i) {
      if (queue[static_cast<std::size_t>(i)].load(std::memory_order_acquire) != 0) return true;
    }
    return false;
  }
  void quiet() override {
    require(!any_work(), "work lies in a queue while everybody sleeps");
    require(sleepers.idle() == machines, "a sleeper is not in the idle set");
    require(sleepers.searching() == 0, "a sleeper is counted as searching");
    stopping.store(1, std::memory_order_release);
    for (int i = 0; i < machines; ++i) poller[static_cast<std::size_t>(i)].interrupt();
  }
  void check() override {
    require(!any_work(), "work was left");
    require(sleepers.idle() == 0, "somebody awake is in the idle set");
    require(sleepers.searching() == 0, "somebody is still counted as searching");
  }

  const int submitters;
  const int machines;
  Label names{"", {"stopping", "queue 0", "queue 1", "poller 0", "poller 1"}};
  Atomic<int> stopping{0};
  std::array<Atomic<int>, kMost> queue;
  std::array<Sleep, kMost> poller;
  Label sleepers_names{"sleepers", {"searching", "idle", "idle count"}};
  Sleepers sleepers{kMost};
};

using Real = rt::Sleepers<ModelAtomics>;

// The first piece of work takes until the second one is done, so that a machine must be found for the second.
template <typename Sleepers>
struct Depending : Submitting<Sleepers> {
  using Submitting<Sleepers>::Submitting;
  void execute(int work) override {
    if (work == 0) {
      second_done.sleep();
    } else {
      second_done.interrupt();
    }
  }
  Sleep second_done;
};

TEST(SleepersModel, OneSubmitterOneMachine) {
  expect_holds(explore_program<Submitting<Real>>({"submitter", "machine"}, {}, 1, 1));
}

TEST(SleepersModel, TwoSubmittersOneMachine) {
  expect_holds(explore_program<Submitting<Real>>({"submitter 1", "submitter 2", "machine"},
                                                 {.preemptions = kSanitized ? 1 : 2}, 2, 1));
}

TEST(SleepersModel, OneSubmitterTwoMachines) {
  expect_holds(explore_program<Submitting<Real>>({"submitter", "machine 1", "machine 2"},
                                                 {.preemptions = kSanitized ? 1 : 2}, 1, 2));
}

TEST(SleepersModel, TwoSubmittersTwoMachines) {
  expect_holds(explore_program<Submitting<Real>>({"submitter 1", "submitter 2", "machine 1", "machine 2"},
                                                 {.preemptions = 1}, 2, 2));
}

TEST(SleepersModel, EachSubmitterFindsAMachine) {
  expect_holds(explore_program<Depending<Real>>({"submitter 1", "submitter 2", "machine 1", "machine 2"},
                                                {.preemptions = 1}, 2, 2));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// The fence of one thread is missing.
template <int kThread>
struct FenceMissing : ModelAtomics {
  static void fence(std::memory_order order) {
    if (this_thread() != kThread) ModelAtomics::fence(order);
  }
};

TEST(SleepersModelFinds, ASubmitterWithoutItsFence) {
  using Wrong = rt::Sleepers<FenceMissing<0>>;
  expect_finds(explore_program<Submitting<Wrong>>({"submitter", "machine"}, {}, 1, 1), "work lies in a queue");
}

TEST(SleepersModelFinds, ASleeperWithoutItsFence) {
  using Wrong = rt::Sleepers<FenceMissing<1>>;
  expect_finds(explore_program<Submitting<Wrong>>({"submitter", "machine"}, {}, 1, 1), "work lies in a queue");
}

// The machine looks at the queues before it says that it sleeps.
struct LooksFirst : Real {
  using Real::Real;
  template <typename AnyWork>
  bool begin_sleep(int id, bool searching, AnyWork any_work) {
    const bool work = any_work();
    return Real::begin_sleep(id, searching, [&] { return work; });
  }
};

TEST(SleepersModelFinds, ASleeperThatLooksFirst) {
  expect_finds(explore_program<Submitting<LooksFirst>>({"submitter", "machine"}, {}, 1, 1), "work lies in a queue");
}

// A searcher that found work wakes nobody, though a submitter may have relied on it to go on searching.
struct WakesNobody : Real {
  using Real::Real;
  bool end_search() {
    static_cast<void>(Real::end_search());
    return false;
  }
};

TEST(SleepersModelFinds, ASearcherThatStopsQuietly) {
  expect_finds(explore_program<Depending<WakesNobody>>({"submitter 1", "submitter 2", "machine 1", "machine 2"},
                                                       {.preemptions = 1}, 2, 2),
               "work lies in a queue");
}

}  // namespace
}  // namespace weft::model
