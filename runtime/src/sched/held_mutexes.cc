#include "runtime/src/sched/held_mutexes.h"

#if !defined(NDEBUG) && !defined(WEFT_TSAN)

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <string>

#include "runtime/src/base/fatal.h"

namespace weft::rt {
namespace {

thread_local int held [[gnu::tls_model("initial-exec")]] = 0;

// Not inlined, for the same reason as current_machine(): the address of a thread-local must not be kept over a park.
[[gnu::noinline]] void count_held(int change) noexcept {
  asm volatile("");
  // A mutex that was locked past these functions, by a name of libc's own, may be unlocked through them.
  if (held + change >= 0) held += change;
}

// The definition that comes after this program's: libc's, or a sanitizer's that comes before libc's. It is found at the
// first call, which may come before any constructor has run. Relaxed is enough: the pointer is all that is published,
// and every thread finds the same one.
template <typename Signature>
class Next;

template <typename... Args>
class Next<int(Args...)> {
 public:
  explicit constexpr Next(const char* name) noexcept : name_(name) {}

  int operator()(Args... args) noexcept {
    Function function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) [[unlikely]] {
      function = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name_));
      WEFT_CHECK(function != nullptr, "no libc to lock a mutex with: a static program must be built with NDEBUG");
      function_.store(function, std::memory_order_relaxed);
    }
    return function(args...);
  }

 private:
  using Function = int (*)(Args...);
  const char* const name_;
  std::atomic<Function> function_{nullptr};
};

// EOWNERDEAD means that a robust mutex was locked, and that its last owner is gone.
int count_locked(int result) noexcept {
  if (result == 0 || result == EOWNERDEAD) count_held(1);
  return result;
}

int count_unlocked(int result) noexcept {
  if (result == 0) count_held(-1);
  return result;
}

}  // namespace

[[gnu::noinline]] int held_mutexes() noexcept {
  asm volatile("");
  return held;
}

void check_no_mutex_held(const char* wait) noexcept {
  if (held_mutexes() == 0) return;
  const std::string text = std::string("a std::mutex is held across a park (") + wait +
                           "): another goroutine of this thread would deadlock; use weft::Mutex or release it first";
  fatal(text.c_str());
}

}  // namespace weft::rt

// pthread_cond_wait and functions like it need no definition here: libc unlocks and locks past these functions, and
// meanwhile the thread, with whatever goroutine it runs, stands still.
#define WEFT_INTERPOSE(count, name, parameters, arguments)                         \
  extern "C" __attribute__((visibility("default"))) int name parameters noexcept { \
    static constinit weft::rt::Next<int parameters> next(#name);                   \
    return weft::rt::count(next arguments);                                        \
  }

WEFT_INTERPOSE(count_locked, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
WEFT_INTERPOSE(count_locked, pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
WEFT_INTERPOSE(count_locked, pthread_mutex_timedlock, (pthread_mutex_t * mutex, const timespec* until), (mutex, until))
WEFT_INTERPOSE(count_locked, pthread_mutex_clocklock, (pthread_mutex_t * mutex, clockid_t clock, const timespec* until),
               (mutex, clock, until))
WEFT_INTERPOSE(count_unlocked, pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex))

WEFT_INTERPOSE(count_locked, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
WEFT_INTERPOSE(count_locked, pthread_rwlock_tryrdlock, (pthread_rwlock_t * lock), (lock))
WEFT_INTERPOSE(count_locked, pthread_rwlock_timedrdlock, (pthread_rwlock_t * lock, const timespec* until),
               (lock, until))
WEFT_INTERPOSE(count_locked, pthread_rwlock_clockrdlock,
               (pthread_rwlock_t * lock, clockid_t clock, const timespec* until), (lock, clock, until))
WEFT_INTERPOSE(count_locked, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
WEFT_INTERPOSE(count_locked, pthread_rwlock_trywrlock, (pthread_rwlock_t * lock), (lock))
WEFT_INTERPOSE(count_locked, pthread_rwlock_timedwrlock, (pthread_rwlock_t * lock, const timespec* until),
               (lock, until))
WEFT_INTERPOSE(count_locked, pthread_rwlock_clockwrlock,
               (pthread_rwlock_t * lock, clockid_t clock, const timespec* until), (lock, clock, until))
WEFT_INTERPOSE(count_unlocked, pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))

#undef WEFT_INTERPOSE

#endif
