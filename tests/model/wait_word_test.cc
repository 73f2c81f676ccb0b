// WaitWord: an event is not lost, a flag that is stored before interrupt() is not overlooked, and nobody is woken
// twice.
#include "runtime/src/io/wait_word.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "model/explorer.h"
#include "model/model_test.h"
#include "model/parking.h"

namespace weft::model {
namespace {

// Thread 0 waits for `events` events or the flag. Thread 1 is the poller, which sends them. Thread 2 stores the flag
// and interrupts.
template <typename Atomics, typename Parking, typename Word = rt::BasicWaitWord<Atomics, Parking>>
struct Waiting : Program, Goroutines {
  explicit Waiting(int n) : events(n) { Parking::goroutines = this; }

  void run(int thread) override {
    if (thread == 0) {
      wait();
    } else if (thread == 1) {
      for (int i = 0; i < events; ++i) {
        sent.fetch_add(1, std::memory_order_acq_rel);  // the kernel does the same under the socket's lock
        word.notify();
      }
    } else {
      flag.store(1, std::memory_order_seq_cst);
      word.interrupt();
    }
  }
  // Events are edges: each event says that there may be something to take.
  void wait() {
    for (int taken = 0; taken < events;) {
      taken += sent.exchange(0, std::memory_order_acq_rel);
      if (taken >= events) break;
      const auto stop = [this] { return flag.load(std::memory_order_seq_cst) != 0; };
      if (!word.wait(stop)) {
        require(flag.load(std::memory_order_relaxed) != 0, "a wait ended without an event or a flag");
        interrupted = true;
        break;
      }
    }
  }

  const int events;
  bool interrupted = false;
  Label names{"", {"sent", "flag", "word"}};
  Atomic<int> sent{0};
  Atomic<int> flag{0};
  Word word;
};

TEST(WaitWordModel, EventsAreNotLost) {
  expect_holds(explore_program<Waiting<ModelAtomics, ModelParking>>({"goroutine", "poller"}, {}, 2));
}

TEST(WaitWordModel, AnInterruptIsNotOverlooked) {
  expect_holds(explore_program<Waiting<ModelAtomics, ModelParking>>({"goroutine", "poller", "interrupter"},
                                                                    {.preemptions = kSanitized ? 2 : -1}, 1));
}

// Only the flag comes.
template <typename Atomics>
struct Interrupted : Waiting<Atomics, ModelParking> {
  Interrupted() : Waiting<Atomics, ModelParking>(1) {}
  void run(int thread) override { Waiting<Atomics, ModelParking>::run(thread == 1 ? 2 : thread); }
  void check() override { require(this->interrupted, "the wait goes on though the flag was stored"); }
};

TEST(WaitWordModel, AFlagAloneEndsTheWait) {
  expect_holds(explore_program<Interrupted<ModelAtomics>>({"goroutine", "interrupter"}, {}));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// What is seq_cst in the word is only acquire and release.
struct NotSeqCst : ModelAtomics {
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    T load(std::memory_order) const { return model::Atomic<T>::load(std::memory_order_acquire); }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
      return model::Atomic<T>::compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                                       std::memory_order_acquire);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order, std::memory_order) {
      return model::Atomic<T>::compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                                       std::memory_order_acquire);
    }
  };
};

TEST(WaitWordModelFinds, AWordThatIsNotSequentiallyConsistent) {
  expect_finds(explore_program<Interrupted<NotSeqCst>>({"goroutine", "interrupter"}, {}), "lost wake-up");
}

// Looks at the flag before the word is pending.
struct LooksFirst : rt::BasicWaitWord<ModelAtomics, ModelParking> {
  template <typename Stop>
  bool wait(Stop stop) {
    const bool stopped = stop();
    return BasicWaitWord::wait([&] { return stopped; });
  }
};

struct InterruptedLooksFirst : Waiting<ModelAtomics, ModelParking, LooksFirst> {
  InterruptedLooksFirst() : Waiting(1) {}
  void run(int thread) override { Waiting::run(thread == 1 ? 2 : thread); }
};

TEST(WaitWordModelFinds, AWaitThatLooksAtTheFlagFirst) {
  expect_finds(explore_program<InterruptedLooksFirst>({"goroutine", "interrupter"}, {}), "lost wake-up");
}

// The waiter is visible before the goroutine has left its stack.
using VisibleTooEarly = ModelParkingWith<ParkingBug::commit_first>;

TEST(WaitWordModelFinds, AWaiterThatIsVisibleTooEarly) {
  expect_finds(explore_program<Waiting<ModelAtomics, VisibleTooEarly>>({"goroutine", "poller"}, {}, 1), "lost wake-up");
}

}  // namespace
}  // namespace weft::model
