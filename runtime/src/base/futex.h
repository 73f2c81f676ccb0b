// The futex, on words of this process only: sleep while the word has a value, and wake those who sleep so.
//
// Both may be called with an address whose object just ended its life. Then some other sleeper is woken for no reason,
// or nothing happens. Every sleeper therefore looks at its word again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft::rt {

// The kernel is given the address of the atomic itself.
static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t) &&
              std::atomic<std::uint32_t>::is_always_lock_free);

// Returns when woken, when the word is not `expected`, on a signal, or for no reason.
inline void futex_wait(const std::atomic<std::uint32_t>* word, std::uint32_t expected) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

// Does the same, but no longer than `timeout`.
inline void futex_wait_for(const std::atomic<std::uint32_t>* word, std::uint32_t expected,
                           std::chrono::nanoseconds timeout) noexcept {
  const timespec limit{timeout.count() / 1'000'000'000, timeout.count() % 1'000'000'000};
  ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &limit, nullptr, 0);
}

inline void futex_wake(const std::atomic<std::uint32_t>* word, int threads) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

}  // namespace weft::rt
