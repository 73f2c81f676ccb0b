#include "runtime/src/base/spin_mutex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

namespace weft::rt {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 20'000;
#else
constexpr int kRounds = 200'000;
#endif

// Threads on one mutex. The destructor joins them.
class Threads {
 public:
  template <typename F>
  Threads(int n, F body) {
    threads_.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) threads_.emplace_back(body);
  }
  ~Threads() {
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::vector<std::thread> threads_;
};

// There are more threads than processors, so that holders lose theirs and the others sleep.
TEST(SpinMutex, ExcludesUnderContention) {
  SpinMutex mutex;
  long counter = 0;
  {
    const Threads threads(8, [&] {
      for (int i = 0; i < kRounds; ++i) {
        if (i % 5 != 0 || !mutex.try_lock()) mutex.lock();
        ++counter;
        mutex.unlock();
      }
    });
  }
  EXPECT_EQ(counter, 8L * kRounds);
}

TEST(SpinMutex, SleepersGetItInTheEnd) {
  SpinMutex mutex;
  int inside = 0;
  for (int round = 0; round < 20; ++round) {
    mutex.lock();
    const Threads threads(4, [&] {
      mutex.lock();
      ++inside;
      mutex.unlock();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // they spin some microseconds, then sleep
    mutex.unlock();
  }
  EXPECT_EQ(inside, 4 * 20);
}

// The last thread that gets the lock may free it, while the thread before it is still inside unlock().
TEST(SpinMutex, MayBeFreedByTheNextHolder) {
  for (int i = 0; i < 2000; ++i) {
    auto* const mutex = new SpinMutex;
    mutex->lock();
    std::thread last([mutex] {
      mutex->lock();
      mutex->unlock();
      delete mutex;
    });
    mutex->unlock();
    last.join();
  }
}

}  // namespace
}  // namespace weft::rt
