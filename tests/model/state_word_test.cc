// Park against ready: of several wakers one wins, a waker of an earlier park does nothing, and no wake-up is lost.
#include "runtime/src/sched/state_word.h"

#include <gtest/gtest.h>

#include "model/explorer.h"
#include "model/model_test.h"
#include "model/parking.h"

namespace weft::model {
namespace {

// A goroutine (thread 0) waits twice for an event, which one waker sends. The other waker, a deadline, knows only the
// first wait and comes at any time. Each wait publishes its waiter under a lock, which its commit releases, as channels
// and sleeps do.
template <typename Parking>
struct Waits : Program, Goroutines {
  Waits() { Parking::goroutines = this; }

  void run(int thread) override {
    if (thread == 0) {
      wait_for_event(true);
      wait_for_event(false);
    } else if (thread == 1) {
      send();
      send();
    } else {
      mutex.lock();
      const auto sleeper = deadline;
      mutex.unlock();
      if (sleeper.g != nullptr && Parking::ready(sleeper)) ++won_by_deadline;
    }
  }
  // Waits until an event is there. A wake-up without an event comes from the deadline.
  void wait_for_event(bool with_deadline) {
    mutex.lock();
    if (events > 0) {
      --events;
      mutex.unlock();
      return;
    }
    waiter = Parking::current_waiter();
    if (with_deadline) deadline = waiter;
    Parking::park(
        [](void* self) {
          static_cast<Waits*>(self)->mutex.unlock();
          return true;
        },
        this, rt::WaitReason::none);
    mutex.lock();
    if (events > 0) {
      --events;
    } else {
      require(with_deadline, "a goroutine was woken by a waker of an earlier park");
      ++timeouts;
    }
    waiter = {};
    mutex.unlock();
  }
  void send() {
    mutex.lock();
    ++events;
    const auto to = waiter;
    waiter = {};
    mutex.unlock();
    if (to.g != nullptr) Parking::ready(to);
  }
  void check() override { require(timeouts <= won_by_deadline, "a wake-up came from nowhere"); }

  Mutex mutex;  // guards the next four
  typename Parking::Waiter waiter;
  typename Parking::Waiter deadline;
  int events = 0;
  int timeouts = 0;
  int won_by_deadline = 0;
};

TEST(StateWordModel, OneOfTwoWakersWins) {
  expect_holds(explore_program<Waits<ModelParking>>({"goroutine", "sender", "deadline"}, {}));
}

TEST(StateWordModelFinds, ACommitBeforeTheStateIsWaiting) {
  expect_finds(
      explore_program<Waits<ModelParkingWith<ParkingBug::commit_first>>>({"goroutine", "sender", "deadline"}, {}),
      "lost wake-up");
}

TEST(StateWordModelFinds, AWakerThatIgnoresTheEpoch) {
  expect_finds(explore_program<Waits<ModelParkingWith<ParkingBug::any_epoch>>>({"goroutine", "sender", "deadline"}, {}),
               "a waker of an earlier park");
}

}  // namespace
}  // namespace weft::model
