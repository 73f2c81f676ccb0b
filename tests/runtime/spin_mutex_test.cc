#include "sync/spin_mutex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace weft::rt {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 20'000;
#else
constexpr int kRounds = 200'000;
#endif

// More threads than processors, so that holders lose theirs and the others sleep.
TEST(SpinMutex, ExcludesAndWakesUnderContention) {
  SpinMutex mutex;
  long counter = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        if (i % 5 != 0 || !mutex.try_lock()) mutex.lock();
        ++counter;
        mutex.unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 8L * kRounds);
}

// Sleepers behind a holder that sleeps itself: each unlock has to wake the next.
TEST(SpinMutex, SleepersAreWokenOneAfterTheOther) {
  SpinMutex mutex;
  int inside = 0;
  for (int round = 0; round < 20; ++round) {
    mutex.lock();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        mutex.lock();
        ++inside;
        mutex.unlock();
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // they spin some microseconds, then sleep
    mutex.unlock();
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(inside, 80);
}

// Who gets the lock last may free it, while the one before is still inside unlock().
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
