// FdMutex: the operations of each side take turns, one after the other. The number is closed once, after close() and
// when nobody uses it. After close() nobody waits for ever.
#include "runtime/src/io/fd_mutex.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>

#include "model/explorer.h"
#include "model/model_test.h"
#include "model/parking.h"

namespace weft::model {
namespace {

struct Right : ModelAtomics {
  using Mutex = model::Mutex;
  using Parking = ModelParking;
};

// Every thread but the last one reads. The last one closes.
template <typename Policy>
struct Closing : Program, Goroutines {
  explicit Closing(int reader_count, rt::Side second_side) : readers(reader_count), second(second_side) {
    Policy::Parking::goroutines = this;
  }

  void run(int thread) override {
    if (thread == readers) {
      require(mutex.close(), "the first close() failed");
      if (mutex.drop_ref()) close_number();
    } else {
      operate(thread == 0 ? rt::Side::read : second);
    }
  }
  void operate(rt::Side side) {
    if (!mutex.lock(side)) return;
    Plain<int>& turn = side == rt::Side::read ? reads : writes;
    turn.set(turn.get() + 1);
    require(closed_number.get() == 0, "an operation uses a number that is closed");
    if (mutex.unlock(side)) close_number();
  }
  void close_number() {
    require(closed_number.get() == 0, "the number is closed twice");
    closed_number.set(1);
  }
  void check() override { require(closed_number.get() == 1, "the number was not closed"); }

  const int readers;
  const rt::Side second;
  Label names{"fd_mutex", {"word", "readers' mutex", "writers' mutex"}};
  rt::BasicFdMutex<Policy> mutex;
  Plain<int> reads{"what the read lock guards", 0};
  Plain<int> writes{"what the write lock guards", 0};
  Plain<int> closed_number{"the number", 0};
};

TEST(FdMutexModel, OneOperationAgainstClose) {
  expect_holds(explore_program<Closing<Right>>({"reader", "closer"}, {}, 1, rt::Side::read));
}

TEST(FdMutexModel, TwoReadersAgainstClose) {
  expect_holds(explore_program<Closing<Right>>({"reader 1", "reader 2", "closer"}, {.preemptions = kSanitized ? 2 : 4},
                                               2, rt::Side::read));
}

TEST(FdMutexModel, AReaderAndAWriterAgainstClose) {
  expect_holds(explore_program<Closing<Right>>({"reader", "writer", "closer"}, {.preemptions = kSanitized ? 2 : 4}, 2,
                                               rt::Side::write));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// The changes of the word are relaxed, so two orders are lost: one operation before the next, and all before the close.
struct Relaxed : ModelAtomics {
  using Mutex = model::Mutex;
  using Parking = ModelParking;
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    T fetch_sub(T value, std::memory_order) { return model::Atomic<T>::fetch_sub(value, std::memory_order_relaxed); }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order, std::memory_order) {
      return model::Atomic<T>::compare_exchange_strong(expected, desired, std::memory_order_relaxed,
                                                       std::memory_order_relaxed);
    }
  };
};

TEST(FdMutexModelFinds, AWordThatOrdersNothing) {
  expect_finds(explore_program<Closing<Relaxed>>({"reader", "closer"}, {}, 1, rt::Side::read), "data race");
}

// close() forgets the threads that wait for their turn.
struct ClosesQuietly : ModelAtomics {
  using Mutex = model::Mutex;
  using Parking = ModelParking;
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) {
      constexpr T kClosed = 1;
      constexpr T kWaiters = ~((T{1} << 23) - 1);
      T word = expected;
      const bool done = model::Atomic<T>::compare_exchange_strong(word, desired, success, failure);
      if (!done) expected = word;
      if (done && (desired & kClosed) != 0 && (expected & kClosed) == 0) expected &= ~kWaiters;
      return done;
    }
  };
};

TEST(FdMutexModelFinds, ACloseThatForgetsWhoWaits) {
  expect_finds(explore_program<Closing<ClosesQuietly>>({"reader 1", "reader 2", "closer"}, {.preemptions = 3}, 2,
                                                       rt::Side::read),
               "lost wake-up");
}

}  // namespace
}  // namespace weft::model
