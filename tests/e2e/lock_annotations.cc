// Compiled by lock_annotations_test.sh: right as it stands, and wrong with each of the mistakes.
#include <weft/lock_guard.h>
#include <weft/mutex.h>
#include <weft/rw_mutex.h>
#include <weft/thread_annotations.h>

#include <weft/detail/spin_mutex.h>

#ifndef MISTAKE
#define MISTAKE 0
#endif

namespace {

class Counter {
 public:
  void add() {
    const weft::LockGuard lock(mutex_);
    add_locked();
  }

  bool try_add() {
    if (!mutex_.try_lock()) return false;
    ++sum_;
    mutex_.unlock();
    return true;
  }

  int spins() {
    const weft::LockGuard lock(spin_mutex_);
    return ++spins_;
  }

  int config() {
    const weft::SharedLockGuard lock(rw_mutex_);
    return config_;
  }

  void set_config(int config) {
    const weft::LockGuard lock(rw_mutex_);
    config_ = config;
  }

#if MISTAKE == 1  // a write without the mutex
  void mistake() { ++sum_; }
#endif
#if MISTAKE == 2  // a read without the mutex
  int mistake() { return sum_; }
#endif
#if MISTAKE == 3  // a call of what needs the mutex
  void mistake() { add_locked(); }
#endif
#if MISTAKE == 4  // a mutex that is never released
  void mistake() {
    mutex_.lock();
    ++sum_;
  }
#endif
#if MISTAKE == 5  // the release of a mutex that is not held
  void mistake() { mutex_.unlock(); }
#endif
#if MISTAKE == 6  // a second lock of the same mutex
  void mistake() {
    const weft::LockGuard lock(mutex_);
    const weft::LockGuard again(mutex_);
  }
#endif
#if MISTAKE == 7  // a write while the lock is only shared
  void mistake() {
    const weft::SharedLockGuard lock(rw_mutex_);
    ++config_;
  }
#endif
#if MISTAKE == 8  // the wrong release of a shared lock
  int mistake() {
    rw_mutex_.lock_shared();
    const int config = config_;
    rw_mutex_.unlock();
    return config;
  }
#endif
#if MISTAKE == 9  // a write without the spin mutex
  void mistake() { ++spins_; }
#endif
#if MISTAKE == 10  // a try_lock() whose failure is overlooked
  void mistake() {
    if (mutex_.try_lock()) mutex_.unlock();
    ++sum_;
  }
#endif

 private:
  void add_locked() WEFT_REQUIRES(mutex_) { ++sum_; }

  weft::Mutex mutex_;
  int sum_ WEFT_GUARDED_BY(mutex_) = 0;
  weft::detail::SpinMutex spin_mutex_;
  int spins_ WEFT_GUARDED_BY(spin_mutex_) = 0;
  weft::RWMutex rw_mutex_;
  int config_ WEFT_GUARDED_BY(rw_mutex_) = 0;
};

}  // namespace

int main() {
  Counter counter;
  counter.add();
  counter.set_config(1);
  return counter.try_add() ? counter.spins() + counter.config() : 0;
}
