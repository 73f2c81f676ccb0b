// Cond: no signal that comes after the unlock is lost, and none wakes a waiter twice or for nothing. The last waiter
// may free the Cond.
#include "runtime/src/sync/cond.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "model/chan_model.h"
#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

struct Right {
  using Waits = ChanModel;
  using Node = weft::detail::BasicWaitNode<Waits>;

  static bool unlock(void* mutex) {
    static_cast<Mutex*>(mutex)->unlock();
    return true;
  }
  static void block(Node& node, Mutex& held) { Waits::block({&node, 1}, &unlock, &held); }
};

struct Case {
  int waiters = 1;  // these are the first threads
  bool broadcasts = false;
  bool holds_lock = false;  // the signaller holds the lock
};

// Each waiter takes an item. One more thread brings the items, one by one with a signal, or all with a broadcast.
template <typename Policy>
struct Waiting : Program, ChanSleepers {
  explicit Waiting(Case c) : how(c) {}

  void run(int thread) override { thread < how.waiters ? take() : bring(); }

  virtual void wait() {
    typename Policy::Node node;
    cond->enter(node);
    lock.unlock();
    cond->wait(node);
    lock.lock();
  }

  // A waiter that was woken is the last user of the Cond, if it is the only waiter.
  void take() {
    bool waited = false;
    lock.lock();
    while (items.get() == 0) {
      wait();
      waited = true;
    }
    items.set(items.get() - 1);
    lock.unlock();
    if (waited && how.waiters == 1) cond.reset();
  }
  void bring() {
    for (int i = how.broadcasts ? 1 : how.waiters; i > 0; --i) {
      lock.lock();
      items.set(items.get() + (how.broadcasts ? how.waiters : 1));
      if (!how.holds_lock) lock.unlock();
      if (how.broadcasts) {
        cond->broadcast();
      } else {
        cond->signal();
      }
      if (how.holds_lock) lock.unlock();
    }
  }
  void check() override { require(items.get() == 0, "an item is left"); }

  const Case how;
  Label names{"cond", {"lock", "mutex", "queue"}};
  Mutex lock;
  std::optional<weft::detail::BasicCondQueue<Policy>> cond{std::in_place};
  Plain<int> items{"what the lock guards", 0};
};

template <typename P = Waiting<Right>>
Report explore_case(Case c) {
  std::vector<const char*> names{"waiter 1", "waiter 2"};
  names.resize(static_cast<std::size_t>(c.waiters));
  names.push_back(c.broadcasts ? "broadcaster" : "signaller");
  return explore_program<P>(names, {}, c);
}

TEST(CondModel, AWaiterAndASignal) {
  for (const bool holds_lock : {false, true}) expect_holds(explore_case({.holds_lock = holds_lock}));
}

TEST(CondModel, AWaiterAndABroadcast) {
  for (const bool holds_lock : {false, true}) {
    expect_holds(explore_case({.broadcasts = true, .holds_lock = holds_lock}));
  }
}

TEST(CondModel, TwoWaitersAndASignalForEach) {
  for (const bool holds_lock : {false, true}) expect_holds(explore_case({.waiters = 2, .holds_lock = holds_lock}));
}

TEST(CondModel, TwoWaitersAndABroadcast) {
  for (const bool holds_lock : {false, true}) {
    expect_holds(explore_case({.waiters = 2, .broadcasts = true, .holds_lock = holds_lock}));
  }
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// A waiter that does not queue before it unlocks.
struct EntersLate : Waiting<Right> {
  using Waiting<Right>::Waiting;
  void wait() override {
    Right::Node node;
    lock.unlock();
    cond->enter(node);
    cond->wait(node);
    lock.lock();
  }
};

TEST(CondModelFinds, AWaiterThatUnlocksBeforeItQueues) {
  for (const bool broadcasts : {false, true}) {
    expect_finds(explore_case<EntersLate>({.broadcasts = broadcasts}), "lost wake-up");
  }
}

// A waiter that may be taken out of the queue after it has looked for the mark and before its Waiter is there.
struct BlocksLate : Right {
  static void block(Node& node, Mutex& held) {
    held.unlock();
    held.lock();
    Right::block(node, held);
  }
};

TEST(CondModelFinds, AWaiterThatLooksForTheMarkTooEarly) {
  for (const bool broadcasts : {false, true}) {
    expect_finds(explore_case<Waiting<BlocksLate>>({.broadcasts = broadcasts}), "lost wake-up");
  }
}

}  // namespace
}  // namespace weft::model
