// Timers: start and stop against machines that fire. A callback runs once, or never when stop() returned true.
// stop_and_wait() excludes the callback. The heap does not touch a timer whose callback has ended the timer's life.
#include "runtime/src/sched/timer.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <optional>
#include <type_traits>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

// All timers go to one heap, that of the running program.
template <typename Self>
struct Policy : ModelAtomics {
  using Mutex = model::Mutex;
  static inline rt::BasicTimerHeap<Self>* heap_of_program = nullptr;

  struct Place {
    static rt::BasicTimerHeap<Self>* heap() noexcept { return heap_of_program; }
    static void moved_ahead() noexcept {}
  };
};
struct Right : Policy<Right> {};

constexpr rt::Nanos kSoon = 1;
constexpr rt::Nanos kLater = 5;
constexpr rt::Nanos kNow = 10;

template <typename P>
struct Timers : Program {
  using Timer = rt::BasicTimer<P>;

  Timers() { P::heap_of_program = &heap; }

  // Thread 0 uses the timers. The others are machines that fire what is due.
  void run(int thread) override {
    if (thread == 0) {
      use();
    } else {
      heap.fire_due(kNow);
    }
  }
  virtual void use() = 0;

  Label names{"heap", {"mutex", "next", "fire_mutex", "firing"}};
  rt::BasicTimerHeap<P> heap;
};

// Each start is either stopped or fires once.
template <typename P>
struct StopOrFire : Timers<P> {
  void use() override {
    start(first, kSoon);
    start(second, kLater);
    stop(first);
    start(first, kLater);
    stop(second);
  }
  void start(rt::BasicTimer<P>& timer, rt::Nanos when) {
    timer.start_at(when);
    ++starts;
  }
  void stop(rt::BasicTimer<P>& timer) {
    if (timer.stop()) ++stops;
  }
  void check() override {
    while (this->heap.fire_due(kNow) > 0) {
    }
    require(fires + stops == starts, "a timer was stopped and fired, or neither");
  }
  static void fire(void* self, rt::Nanos) noexcept { ++static_cast<StopOrFire*>(self)->fires; }

  Label timer_names{"timers", {}, "heap"};
  rt::BasicTimer<P> first{&fire, this};
  rt::BasicTimer<P> second{&fire, this};
  int starts = 0;
  int stops = 0;
  int fires = 0;
};

TEST(TimerModel, EachStartIsStoppedOrFiresOnce) {
  expect_holds(explore_program<StopOrFire<Right>>({"user", "machine"}, {}));
}

TEST(TimerModel, EachStartIsStoppedOrFiresOnceWithTwoMachines) {
  expect_holds(
      explore_program<StopOrFire<Right>>({"user", "machine 1", "machine 2"}, {.preemptions = kSanitized ? 1 : 3}));
}

// After stop_and_wait() the callback does not run, what it wrote is visible, and the timer may be destroyed.
template <typename P>
struct StopAndWait : Timers<P> {
  void use() override {
    other.start_at(kSoon);
    timer->start_at(kSoon);
    timer->stop_and_wait();
    data.set(2);
    timer.reset();
    other.stop_and_wait();
  }
  static void fire(void* self, rt::Nanos) noexcept { static_cast<StopAndWait*>(self)->data.set(1); }
  static void fire_other(void*, rt::Nanos) noexcept {}

  Label timer_names{"timers", {}, "heap"};
  std::optional<rt::BasicTimer<P>> timer{std::in_place, &fire, this};
  rt::BasicTimer<P> other{&fire_other, this};
  Plain<int> data{"the callback's data", 0};
};

TEST(TimerModel, StopAndWaitExcludesTheCallback) {
  expect_holds(explore_program<StopAndWait<Right>>({"user", "machine"}, {}));
}

TEST(TimerModel, StopAndWaitExcludesTheCallbackOnTwoMachines) {
  expect_holds(
      explore_program<StopAndWait<Right>>({"user", "machine 1", "machine 2"}, {.preemptions = kSanitized ? 1 : 3}));
}

// Works as sleep() does: the callback wakes the owner, who ends the timer's life at once.
template <typename P>
struct Sleeper : Timers<P> {
  void use() override {
    timer->start_at(kSoon);
    woken.sleep();
    timer.reset();
  }
  void quiet() override { this->heap.fire_due(kNow); }
  static void fire(void* self, rt::Nanos) noexcept { static_cast<Sleeper*>(self)->woken.interrupt(); }

  Label timer_names{"timers", {}, "heap"};
  Sleep woken;
  std::optional<rt::BasicTimer<P>> timer{std::in_place, &fire, this};
};

TEST(TimerModel, ACallbackMayEndTheTimersLife) {
  expect_holds(explore_program<Sleeper<Right>>({"user", "machine 1", "machine 2"}, {}));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// Stores are relaxed.
template <typename T>
class Unreleased : public Atomic<T> {
 public:
  using Atomic<T>::Atomic;
  void store(T value, std::memory_order) { Atomic<T>::store(value, std::memory_order_relaxed); }
};

// The end of a callback is not released to the thread that waits for it.
struct EndNotReleased : Policy<EndNotReleased> {
  template <typename T>
  using Atomic =
      std::conditional_t<std::is_same_v<T, const rt::BasicTimer<EndNotReleased>*>, Unreleased<T>, model::Atomic<T>>;
};

TEST(TimerModelFinds, ACallbackWhoseEndIsNotReleased) {
  expect_finds(explore_program<StopAndWait<EndNotReleased>>({"user", "machine"}, {}), "data race");
}

// The fact that a timer fires is not released together with its leaving the heap.
struct LeavingNotReleased : Policy<LeavingNotReleased> {
  template <typename T>
  using Atomic =
      std::conditional_t<std::is_same_v<T, rt::BasicTimerHeap<LeavingNotReleased>*>, Unreleased<T>, model::Atomic<T>>;
};

TEST(TimerModelFinds, ATimerThatLeavesTheHeapUnreleased) {
  expect_finds(explore_program<StopAndWait<LeavingNotReleased>>({"user", "machine"}, {}), "data race");
}

// Two machines fire from one heap at the same time, and there is only one word to show what fires.
struct FiresTogether : Policy<FiresTogether> {
  class Mutex : public model::Mutex {
   public:
    bool try_lock() {
      not_held_ = true;
      return true;
    }
    void unlock() {
      if (!not_held_) model::Mutex::unlock();
    }

   private:
    bool not_held_ = false;
  };
};

TEST(TimerModelFinds, TwoMachinesThatFireFromOneHeap) {
  expect_finds(explore_program<StopAndWait<FiresTogether>>({"user", "machine 1", "machine 2"}, {}), "data race");
}

// The heap looks at the timer again after its callback.
struct TouchesAfter : Policy<TouchesAfter> {
  template <typename T>
  class Touching : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    void store(T timer, std::memory_order order) {
      if (timer == nullptr && last_ != nullptr) last_->stop();
      last_ = const_cast<std::remove_const_t<std::remove_pointer_t<T>>*>(timer);
      model::Atomic<T>::store(timer, order);
    }

   private:
    std::remove_const_t<std::remove_pointer_t<T>>* last_ = nullptr;
  };
  template <typename T>
  struct Choose {
    using Type = model::Atomic<T>;
  };
  template <typename T>
  using Atomic = typename Choose<T>::Type;
};
template <>
struct TouchesAfter::Choose<const rt::BasicTimer<TouchesAfter>*> {
  using Type = Touching<const rt::BasicTimer<TouchesAfter>*>;
};

TEST(TimerModelFinds, AHeapThatTouchesATimerAfterItsCallback) {
  expect_finds(explore_program<Sleeper<TouchesAfter>>({"user", "machine"}, {}), "is used after its end");
}

}  // namespace
}  // namespace weft::model
