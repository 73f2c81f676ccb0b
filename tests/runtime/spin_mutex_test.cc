#include "runtime/src/base/spin_mutex.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <thread>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// Sleepers wait for a holder that sleeps itself, so each unlock has to wake the next one. Returns true when all got the
// lock.
bool sleepers_are_woken(int rounds) {
  SpinMutex mutex;
  int inside = 0;
  for (int round = 0; round < rounds; ++round) {
    mutex.lock();
    const Threads threads(4, [&] {
      mutex.lock();
      ++inside;
      mutex.unlock();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // they spin some microseconds, then sleep
    mutex.unlock();
  }
  return inside == 4 * rounds;
}

// There are more threads than processors, so that holders lose theirs and the others sleep.
TEST(SpinMutex, ExcludesAndWakesUnderContention) {
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

TEST(SpinMutex, SleepersAreWokenOneAfterTheOther) { EXPECT_TRUE(sleepers_are_woken(20)); }

// From here on this process gets EPERM from membarrier, as under a strict container.
bool forbid_membarrier() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
         ::syscall(SYS_membarrier, 0, 0, 0) == -1;
}

TEST(SpinMutexDeath, WorksWhereTheKernelHasNoBarrier) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(std::_Exit(forbid_membarrier() && sleepers_are_woken(20) ? 0 : 1), ::testing::ExitedWithCode(0), "");
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
