// StdAtomics: what a lock-free template takes its atomics from. The model tests (tests/model) pass a twin that explores
// every interleaving of the same source.
#pragma once

#include <atomic>
#include <thread>

namespace weft::rt {

// For loops that wait for another thread: the first is a hint to the CPU, the second gives the CPU away.
inline void relax_cpu() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("isb" ::: "memory");
#endif
}
inline void relax_thread() noexcept { std::this_thread::yield(); }

struct StdAtomics {
  template <typename T>
  using Atomic = std::atomic<T>;

  static void fence(std::memory_order order) noexcept { std::atomic_thread_fence(order); }

  // Does what fence(seq_cst) does, right after an atomic read-modify-write, which on x86 is a full barrier itself.
  static void fence_after_rmw() noexcept {
#if defined(__x86_64__)
    std::atomic_signal_fence(std::memory_order_seq_cst);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }

  // One turn of a loop that waits for another thread's store.
  static void pause() noexcept { relax_cpu(); }
  // Does the same, for a longer wait.
  static void pause_long() noexcept { relax_thread(); }
};

}  // namespace weft::rt
