// Debug builds find a std::mutex that is held when its goroutine leaves its stack. The thread goes on with another goroutine, which would
// deadlock when it wants the same mutex; and the first one may come back on another thread, which may not unlock it.
//
// How: this library defines pthread_mutex_lock and its kin, for the whole program and its shared libraries, and counts per thread what is
// held. A goroutine that leaves its stack with a count above zero is fatal, so every thread starts the next one at zero.
//
// Off where NDEBUG is defined, and under ThreadSanitizer, which defines these functions itself.
#pragma once

namespace weft::rt {

#if defined(NDEBUG) || defined(WEFT_TSAN)

inline constexpr bool kCountsHeldMutexes = false;

inline void check_no_mutex_held(const char*) noexcept {}

#else

inline constexpr bool kCountsHeldMutexes = true;

// pthread mutexes and read-write locks (std::mutex, std::shared_mutex ...) that the calling thread holds, each as often as it is locked.
// Those that libc and ld.so lock for themselves are not counted.
int held_mutexes() noexcept;

// In a goroutine that is about to leave its stack; `wait` says why, as dumps do.
void check_no_mutex_held(const char* wait) noexcept;

#endif

}  // namespace weft::rt
