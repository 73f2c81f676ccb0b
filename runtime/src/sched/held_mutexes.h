// Debug builds find a std::mutex that is held when its goroutine leaves its stack. The thread goes on with another
// goroutine, which would deadlock when it wants the same mutex. And the first goroutine may come back on another
// thread, which may not unlock the mutex.
//
// For this, the library defines pthread_mutex_lock and functions like it, for the whole program and its shared
// libraries, and counts per thread what is held. A goroutine that leaves its stack with a count above zero is fatal, so
// every thread starts the next goroutine at zero.
//
// The check is off where NDEBUG is defined, and under ThreadSanitizer, which defines these functions itself.
#pragma once

namespace weft::rt {

#if defined(NDEBUG) || defined(WEFT_TSAN)

inline constexpr bool kCountsHeldMutexes = false;

inline void check_no_mutex_held(const char*) noexcept {}

#else

inline constexpr bool kCountsHeldMutexes = true;

// Returns how many pthread mutexes and read-write locks (std::mutex, std::shared_mutex ...) the calling thread holds;
// each counts as often as it is locked. Locks that libc and ld.so take for themselves are not counted.
int held_mutexes() noexcept;

// Fatal when the calling goroutine, which is about to leave its stack, holds a mutex. `wait` says why it leaves, as
// dumps do.
void check_no_mutex_held(const char* wait) noexcept;

#endif

}  // namespace weft::rt
