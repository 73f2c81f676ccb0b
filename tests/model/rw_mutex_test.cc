// RWMutex: writers exclude everybody, nobody waits for ever, and the last holder may free the RWMutex.
#include "runtime/src/sync/rw_mutex.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/explorer.h"
#include "model/lock_waiting.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

struct Right {
  template <typename T>
  using Atomic = model::Atomic<T>;
  using SpinMutex = model::Mutex;
  using Waiting = ModelWaiting;
};

struct Case {
  int writers = 1;  // these are the first threads
  int readers = 1;
  int rounds = 1;          // how often the first thread locks; the others lock once
  unsigned impatient = 0;  // see ModelWaiting
  unsigned tries = 0;      // a bit for each thread: the thread only tries, once
};

template <typename Policy>
struct Locking : Program, LockWaiters {
  explicit Locking(Case c)
      : writers(c.writers), rounds(c.rounds), tries(c.tries), writers_left(c.writers), readers_left(c.readers) {
    ModelWaiting::waiters = this;
    ModelWaiting::impatient = c.impatient;
    ModelWaiting::spins = 0;
  }

  void run(int thread) override {
    if ((tries >> thread & 1) != 0) return thread < writers ? try_to_write() : try_to_read();
    for (int i = thread == 0 ? rounds : 1; i > 0; --i) {
      if (thread < writers) {
        write(i == 1);
      } else {
        read(i == 1);
      }
    }
  }
  // The last user ends the mutex, while others may be about to return from their unlock. For a writer, these others may
  // be anybody. For a reader, they may be the writers; but a reader knows nothing about the readers beside it until
  // they have returned. When some threads only try, the mutex stays.
  void write(bool leaves) {
    mutex->lock();
    guarded.set(guarded.get() + 1);
    const bool last = leaves && writers_left.fetch_sub(1, std::memory_order_acq_rel) == 1 &&
                      readers_left.load(std::memory_order_acquire) == 0;
    mutex->unlock();
    if (last && tries == 0) mutex.reset();
  }
  void read(bool leaves) {
    mutex->lock_shared();
    sum += guarded.get();
    const bool writers_are_gone = writers_left.load(std::memory_order_acquire) == 0;
    mutex->unlock_shared();
    const bool last = leaves && readers_left.fetch_sub(1, std::memory_order_acq_rel) == 1 && writers_are_gone;
    if (last && tries == 0) mutex.reset();
  }
  void try_to_write() {
    if (mutex->try_lock()) {
      guarded.set(guarded.get() + 1);
      mutex->unlock();
    }
    writers_left.fetch_sub(1, std::memory_order_relaxed);
  }
  void try_to_read() {
    if (mutex->try_lock_shared()) {
      sum += guarded.get();
      mutex->unlock_shared();
    }
    readers_left.fetch_sub(1, std::memory_order_relaxed);
  }
  void check() override {
    require(writers_left.load(std::memory_order_relaxed) == 0 && readers_left.load(std::memory_order_relaxed) == 0,
            "somebody has not had the mutex");
  }

  const int writers;
  const int rounds;
  const unsigned tries;
  Label names{"rw_mutex", {"word", "writers' queue", "mutex_"}};
  std::optional<weft::detail::BasicRWMutex<Policy>> mutex{std::in_place};
  Plain<int> guarded{"what the mutex guards", 0};
  Label counts{"", {"writers left", "readers left"}};
  Atomic<int> writers_left;
  Atomic<int> readers_left;
  int sum = 0;
};

template <typename Policy>
Report explore_case(Case c, int preemptions = -1) {
  std::vector<const char*> names;
  names.reserve(kMaxThreads);
  for (int i = 0; i < c.writers; ++i) names.push_back(i == 0 ? "writer 1" : i == 1 ? "writer 2" : "writer 3");
  for (int i = 0; i < c.readers; ++i) names.push_back(i == 0 ? "reader 1" : "reader 2");
  return explore_program<Locking<Policy>>(names, {.preemptions = preemptions}, c);
}

TEST(RWMutexModel, OneWriterAndOneReader) { expect_holds(explore_case<Right>({})); }

TEST(RWMutexModel, AWriterThatComesBack) { expect_holds(explore_case<Right>({.rounds = 2}, kSanitized ? 3 : 6)); }

TEST(RWMutexModel, TwoReadersThatLeaveAWriter) {
  expect_holds(explore_case<Right>({.readers = 2}, kSanitized ? 2 : 4));
}

TEST(RWMutexModel, TwoReadersAndAWriterThatComesBack) {
  expect_holds(explore_case<Right>({.readers = 2, .rounds = 2}, kSanitized ? 1 : 3));
}

TEST(RWMutexModel, TwoWritersAndAReader) {
  for (const unsigned impatient : {0u, 3u}) {
    expect_holds(explore_case<Right>({.writers = 2, .impatient = impatient}, kSanitized ? 2 : 4));
  }
}

// The first writer barges. The second one starves, and the lock is handed over to it while the reader waits.
TEST(RWMutexModel, AHandOverBesideAReader) {
  ModelWaiting::hand_overs = 0;
  expect_holds(explore_case<Right>({.writers = 2, .rounds = 2, .impatient = 3}, kSanitized ? 2 : 3));
  EXPECT_GT(ModelWaiting::hand_overs, 0u);
}

TEST(RWMutexModel, TwoWritersAndTwoReaders) { expect_holds(explore_case<Right>({.writers = 2, .readers = 2}, 1)); }

// A thread that tries never waits, never comes in where somebody is, and leaves the waiters their wake-ups.
TEST(RWMutexModel, OneThatTriesToWrite) {
  expect_holds(explore_case<Right>({.tries = 1}));
  expect_holds(explore_case<Right>({.writers = 2, .rounds = 2, .tries = 2}, kSanitized ? 2 : 3));
  for (const unsigned impatient : {0u, 3u}) {
    expect_holds(explore_case<Right>({.writers = 3, .readers = 0, .rounds = 2, .impatient = impatient, .tries = 4},
                                     kSanitized ? 1 : 2));
  }
}

TEST(RWMutexModel, OneThatTriesToRead) {
  expect_holds(explore_case<Right>({.tries = 2}));
  for (const unsigned impatient : {0u, 3u}) {
    expect_holds(
        explore_case<Right>({.writers = 2, .rounds = 2, .impatient = impatient, .tries = 4}, kSanitized ? 2 : 3));
  }
  expect_holds(explore_case<Right>({.readers = 2, .rounds = 2, .tries = 4}, kSanitized ? 1 : 3));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

constexpr std::uint32_t kLocked = 1;
constexpr std::uint32_t kFlags = 15;

// A word that changes the readers' count with another order.
template <std::memory_order kAdd, std::memory_order kSub>
struct Ordered : Right {
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    T fetch_add(T value, std::memory_order) { return model::Atomic<T>::fetch_add(value, kAdd); }
    T fetch_sub(T value, std::memory_order) { return model::Atomic<T>::fetch_sub(value, kSub); }
  };
};

TEST(RWMutexModelFinds, AReaderThatDoesNotAcquire) {
  expect_finds(explore_case<Ordered<std::memory_order_relaxed, std::memory_order_release>>({}), "data race");
}

TEST(RWMutexModelFinds, AReaderThatDoesNotRelease) {
  expect_finds(explore_case<Ordered<std::memory_order_acquire, std::memory_order_relaxed>>({}), "data race");
}

// A step that locks, or unlocks, and forgets the readers that it found.
template <bool kWhenLocking>
struct Forgets : Right {
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) {
      const bool done = model::Atomic<T>::compare_exchange_strong(expected, desired, success, failure);
      const bool was_locked = (expected & kLocked) != 0;
      const bool is_locked = (desired & kLocked) != 0;
      if (done && was_locked != is_locked && is_locked == kWhenLocking) expected &= kFlags;
      return done;
    }
  };
};

TEST(RWMutexModelFinds, AWriterThatWaitsForNobody) { expect_finds(explore_case<Forgets<true>>({}), "data race"); }

TEST(RWMutexModelFinds, AnUnlockThatAdmitsNobody) { expect_finds(explore_case<Forgets<false>>({}), "lost wake-up"); }

struct WakesNobody : Right {
  struct Waiting : ModelWaiting {
    static void wake(weft::detail::Waiter) noexcept {}
  };
};

TEST(RWMutexModelFinds, ALastReaderThatWakesNobody) { expect_finds(explore_case<WakesNobody>({}), "lost wake-up"); }

}  // namespace
}  // namespace weft::model
