// Tests the explorer itself, on litmus tests whose outcomes are known.
#include "model/explorer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "model/model_test.h"

namespace weft::model {
namespace {

using Outcome = std::vector<int>;
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kSeqCst = std::memory_order_seq_cst;

// Threads work on two atomics x and y, and store what they read in r.
struct Litmus : Program {
  using Body = std::function<void(Litmus&)>;

  Litmus(const std::vector<Body>& thread_bodies, std::set<Outcome>& all_outcomes)
      : bodies(thread_bodies), outcomes(all_outcomes) {}
  void run(int thread) override { bodies[static_cast<std::size_t>(thread)](*this); }
  void check() override { outcomes.insert(r); }

  const std::vector<Body>& bodies;
  std::set<Outcome>& outcomes;
  Outcome r = Outcome(4, 0);
  Label named{"", {"x", "y"}};
  Atomic<int> x{0};
  Atomic<int> y{0};
  Plain<int> data{"data", 0};
};

std::set<Outcome> outcomes(const std::vector<Litmus::Body>& bodies, int preemptions = -1) {
  std::set<Outcome> all;
  const std::vector<const char*> names(bodies.size(), "thread");
  const Report report =
      explore(names, [&]() -> std::unique_ptr<Program> { return std::make_unique<Litmus>(bodies, all); },
              {.preemptions = preemptions});
  expect_holds(report);
  return all;
}

std::set<Outcome> store_buffering(std::memory_order store, std::memory_order load, const std::function<void()>& left,
                                  const std::function<void()>& right) {
  return outcomes({[&](Litmus& l) {
                     l.x.store(1, store);
                     left();
                     l.r[0] = l.y.load(load);
                   },
                   [&](Litmus& l) {
                     l.y.store(1, store);
                     right();
                     l.r[1] = l.x.load(load);
                   }});
}

const Outcome kBothMissed = {0, 0, 0, 0};

void no_fence() {}
void seq_cst_fence() { ModelAtomics::fence(kSeqCst); }
void acq_rel_fence() { ModelAtomics::fence(std::memory_order_acq_rel); }

TEST(Litmus, StoresAreDelayedPastLoads) {
  EXPECT_TRUE(store_buffering(kRelease, kAcquire, no_fence, no_fence).contains(kBothMissed));
  EXPECT_TRUE(store_buffering(kRelaxed, kRelaxed, acq_rel_fence, acq_rel_fence).contains(kBothMissed));
  EXPECT_TRUE(store_buffering(kRelaxed, kRelaxed, seq_cst_fence, no_fence).contains(kBothMissed));
  EXPECT_EQ(store_buffering(kRelaxed, kRelaxed, no_fence, no_fence).size(), 4u);
}

TEST(Litmus, SeqCstKeepsStoresBeforeLoads) {
  EXPECT_FALSE(store_buffering(kSeqCst, kSeqCst, no_fence, no_fence).contains(kBothMissed));
  const auto fenced = store_buffering(kRelaxed, kRelaxed, seq_cst_fence, seq_cst_fence);
  EXPECT_FALSE(fenced.contains(kBothMissed));
  EXPECT_EQ(fenced.size(), 3u);
}

TEST(Litmus, AHeavyBarrierPairsWithALightOne) {
  const auto heavy = [] { ModelAtomics::heavy_barrier(); };
  EXPECT_FALSE(store_buffering(kRelaxed, kRelaxed, heavy, ModelAtomics::light_barrier).contains(kBothMissed));
  EXPECT_FALSE(store_buffering(kRelaxed, kRelaxed, heavy, heavy).contains(kBothMissed));
}

std::set<Outcome> message_passing(std::memory_order store, std::memory_order load) {
  return outcomes({[&](Litmus& l) {
                     l.x.store(1, kRelaxed);
                     l.y.store(1, store);
                   },
                   [&](Litmus& l) {
                     l.r[0] = l.y.load(load);
                     l.r[1] = l.x.load(kRelaxed);
                   }});
}

TEST(Litmus, ReleaseAndAcquirePassMessages) {
  const Outcome stale = {1, 0, 0, 0};
  EXPECT_TRUE(message_passing(kRelaxed, kAcquire).contains(stale));
  EXPECT_TRUE(message_passing(kRelease, kRelaxed).contains(stale));
  EXPECT_FALSE(message_passing(kRelease, kAcquire).contains(stale));
  EXPECT_EQ(message_passing(kRelease, kAcquire).size(), 3u);
}

TEST(Litmus, FencesPassMessages) {
  const auto found = outcomes({[](Litmus& l) {
                                 l.x.store(1, kRelaxed);
                                 ModelAtomics::fence(kRelease);
                                 l.y.store(1, kRelaxed);
                               },
                               [](Litmus& l) {
                                 l.r[0] = l.y.load(kRelaxed);
                                 ModelAtomics::fence(kAcquire);
                                 l.r[1] = l.x.load(kRelaxed);
                               }});
  EXPECT_EQ(found, (std::set<Outcome>{{0, 0, 0, 0}, {0, 1, 0, 0}, {1, 1, 0, 0}}));
}

// A relaxed read-modify-write in between continues the release sequence; a relaxed store does not.
TEST(Litmus, ReadModifyWritesContinueAReleaseSequence) {
  const auto through = [](const Litmus::Body& between) {
    return outcomes({[](Litmus& l) {
                       l.x.store(1, kRelaxed);
                       l.y.store(1, kRelease);
                     },
                     between,
                     [](Litmus& l) {
                       l.r[0] = l.y.load(kAcquire);
                       l.r[1] = l.x.load(kRelaxed);
                     }});
  };
  const Outcome stale = {2, 0, 0, 0};
  EXPECT_FALSE(through([](Litmus& l) { l.y.fetch_add(1, kRelaxed); }).contains(stale));
  EXPECT_TRUE(through([](Litmus& l) {
                if (l.y.load(kRelaxed) == 1) l.y.store(2, kRelaxed);
              }).contains(stale));
}

std::set<Outcome> two_readers(std::memory_order store, std::memory_order load, const std::function<void()>& between) {
  return outcomes({[&](Litmus& l) { l.x.store(1, store); }, [&](Litmus& l) { l.y.store(1, store); },
                   [&](Litmus& l) {
                     l.r[0] = l.x.load(load);
                     between();
                     l.r[1] = l.y.load(load);
                   },
                   [&](Litmus& l) {
                     l.r[2] = l.y.load(load);
                     between();
                     l.r[3] = l.x.load(load);
                   }});
}

TEST(Litmus, ReadersAgreeOnTheOrderOfSeqCstStoresOnly) {
  const Outcome disagree = {1, 0, 1, 0};
  EXPECT_TRUE(two_readers(kRelease, kAcquire, no_fence).contains(disagree));
  EXPECT_FALSE(two_readers(kSeqCst, kSeqCst, no_fence).contains(disagree));
  EXPECT_FALSE(two_readers(kRelaxed, kRelaxed, seq_cst_fence).contains(disagree));
}

TEST(Litmus, ReadsOfOneAtomicDoNotGoBack) {
  const auto found = outcomes({[](Litmus& l) {
                                 l.x.store(1, kRelaxed);
                                 l.x.store(2, kRelaxed);
                               },
                               [](Litmus& l) {
                                 l.r[0] = l.x.load(kRelaxed);
                                 l.r[1] = l.x.load(kRelaxed);
                               }});
  EXPECT_EQ(found,
            (std::set<Outcome>{{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}, {1, 1, 0, 0}, {1, 2, 0, 0}, {2, 2, 0, 0}}));
}

TEST(Litmus, ReadModifyWritesAreAtomic) {
  const auto add = [](int which) {
    return [which](Litmus& l) { l.r[static_cast<std::size_t>(which)] = l.x.fetch_add(1, kRelaxed); };
  };
  const auto found = outcomes({add(0), add(1), add(2)});
  EXPECT_EQ(found.size(), 6u);
}

TEST(Litmus, OfTwoCompareExchangesOneWins) {
  const auto swap = [](int which) {
    return [which](Litmus& l) {
      int expected = 0;
      const bool won = l.x.compare_exchange_strong(expected, which + 1, kRelaxed, kRelaxed);
      l.r[static_cast<std::size_t>(which)] = won ? 1 : 0;
    };
  };
  EXPECT_EQ(outcomes({swap(0), swap(1)}), (std::set<Outcome>{{1, 0, 0, 0}, {0, 1, 0, 0}}));
}

// The reduction loses no outcome: without it (and with more preemptions allowed than there are steps) the outcomes are
// the same.
TEST(Explorer, SleepSetsLoseNoOutcome) {
  const std::vector<Litmus::Body> bodies = {[](Litmus& l) {
                                              l.x.store(1, kRelease);
                                              l.r[0] = l.y.load(kAcquire);
                                              l.x.fetch_add(3, kRelaxed);
                                            },
                                            [](Litmus& l) {
                                              l.r[1] = l.x.load(kSeqCst);
                                              l.y.store(1, kSeqCst);
                                            },
                                            [](Litmus& l) {
                                              int expected = 0;
                                              l.y.compare_exchange_strong(expected, 2, kSeqCst, kRelaxed);
                                              ModelAtomics::fence(kSeqCst);
                                              l.r[2] = l.x.load(kRelaxed);
                                              l.r[3] = l.y.load(kSeqCst);
                                            }};
  EXPECT_EQ(outcomes(bodies), outcomes(bodies, 100));
}

// --- what is reported ------------------------------------------------------------------------------------------------

struct Wrong : Program {
  enum class Kind { race, deadlock, livelock, require, lost_wake, ended };
  explicit Wrong(Kind k) : kind(k) {}
  void run(int thread) override {
    switch (kind) {
      case Kind::race:
        if (thread == 0) {
          data.set(1);
          flag.store(1, kRelaxed);
        } else if (flag.load(kAcquire) == 1) {
          data.get();
        }
        break;
      case Kind::deadlock:
        (thread == 0 ? a : b).lock();
        (thread == 0 ? b : a).lock();
        (thread == 0 ? b : a).unlock();
        (thread == 0 ? a : b).unlock();
        break;
      case Kind::livelock:
        while (flag.load(kAcquire) < 2) flag.store(thread, kRelease);
        break;
      case Kind::require:
        if (thread == 0) flag.store(1, kRelaxed);
        if (thread == 1) require(flag.load(kRelaxed) == 0, "the flag was seen");
        break;
      case Kind::lost_wake:
        if (thread == 0) {
          // The flag may be set, and the wake-up sent, between the look and the sleep.
          if (flag.load(kAcquire) == 0) futex_wait(word, 0);
        } else {
          flag.store(1, kRelease);
          futex_wake(word, 1);
        }
        break;
      case Kind::ended:
        if (thread == 0) {
          flag.store(1, kRelease);
          ending.reset();
        } else {
          Atomic<int>& early = *ending;
          flag.load(kAcquire);
          early.load(kRelaxed);
        }
        break;
    }
  }

  const Kind kind;
  Atomic<int> flag{0};
  Atomic<int> word{0};
  Mutex a;
  Mutex b;
  Plain<int> data{"data", 0};
  std::optional<Atomic<int>> ending{std::in_place, 0};
};

void expect_reports(Wrong::Kind kind, const char* text) {
  expect_finds(explore_program<Wrong>({"first", "second"}, {.max_steps = 60}, kind), text);
}

TEST(Explorer, ReportsADataRace) { expect_reports(Wrong::Kind::race, "data race: second reads data"); }
TEST(Explorer, ReportsADeadlock) { expect_reports(Wrong::Kind::deadlock, "deadlock"); }
TEST(Explorer, ReportsALivelock) { expect_reports(Wrong::Kind::livelock, "livelock"); }
TEST(Explorer, ReportsAFailedRequirement) { expect_reports(Wrong::Kind::require, "the flag was seen"); }
TEST(Explorer, ReportsALostWakeUp) { expect_reports(Wrong::Kind::lost_wake, "lost wake-up"); }
TEST(Explorer, ReportsAnAccessAfterTheEnd) { expect_reports(Wrong::Kind::ended, "is used after its end"); }

TEST(Explorer, SaysWhenItIsNotComplete) {
  const Report report = explore_program<Wrong>({"first", "second"}, {.max_executions = 1}, Wrong::Kind::deadlock);
  EXPECT_FALSE(report.holds);
  EXPECT_FALSE(report.complete);
  EXPECT_NE(report.failure.find("not complete"), std::string::npos);
}

// A check of weft's own that fails in a template under test ends the process. The schedule is printed above the check's
// message.
struct Aborts : Program {
  void run(int thread) override {
    if (thread == 0) flag.store(1, kRelaxed);
    if (thread == 1 && flag.load(kRelaxed) == 1) std::abort();
  }
  Atomic<int> flag{0};
};

TEST(ExplorerDeath, PrintsTheScheduleOfAnAbort) {
  EXPECT_DEATH(explore_program<Aborts>({"first", "second"}, {}), "second.*load -> 1");
}

}  // namespace
}  // namespace weft::model
