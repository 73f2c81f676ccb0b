// This header is not part of the API. RWMutex is made of it.
//
// BasicRWMutex has an RWMutex's word and queues. The writers are those of a BasicMutex, whose word also counts the
// readers. It is a template as BasicMutex is. runtime/src/sync/rw_mutex.h has the protocol and the slow paths.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/mutex_core.h>
#include <weft/thread_annotations.h>

namespace weft::detail {

struct RWMutexWaiting;  // runtime/src/sync/lock_waiting.h

struct RWMutexPolicy : MutexPolicy {
  using Waiting = RWMutexWaiting;
};

template <typename Policy>
class BasicRWMutex {
 public:
  constexpr BasicRWMutex() noexcept = default;
  BasicRWMutex(const BasicRWMutex&) = delete;
  BasicRWMutex& operator=(const BasicRWMutex&) = delete;

  void lock() noexcept {
    std::uint32_t free = 0;
    if (!word().compare_exchange_strong(free, kLocked, std::memory_order_acquire, std::memory_order_relaxed))
      lock_slow();
  }

  bool try_lock() noexcept {
    std::uint32_t seen = word().load(std::memory_order_relaxed);
    return (seen & kLocked) == 0 && seen < kReader &&
           word().compare_exchange_strong(seen, seen | kLocked, std::memory_order_acquire, std::memory_order_relaxed);
  }

  void unlock() noexcept {
    std::uint32_t held = kLocked;
    if (!word().compare_exchange_strong(held, 0, std::memory_order_release, std::memory_order_relaxed)) unlock_slow();
  }

  void lock_shared() noexcept {
    const std::uint32_t before = word().fetch_add(kReader, std::memory_order_acquire);
    if ((before & kLocked) != 0) lock_shared_slow();
  }

  bool try_lock_shared() noexcept {
    std::uint32_t seen = word().load(std::memory_order_relaxed);
    while ((seen & kLocked) == 0) {
      if (word().compare_exchange_weak(seen, seen + kReader, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    }
    return false;
  }

  void unlock_shared() noexcept {
    const std::uint32_t before = word().fetch_sub(kReader, std::memory_order_release);
    if ((before & kLocked) != 0 || before < kReader) unlock_shared_slow(before);
  }

 private:
  static constexpr std::uint32_t kLocked = BasicMutex<Policy>::kLocked;
  static constexpr std::uint32_t kReader = BasicMutex<Policy>::kUnused;  // one reader

  typename Policy::template Atomic<std::uint32_t>& word() noexcept { return writers_.word_; }

  void lock_slow() noexcept;
  void unlock_slow() noexcept;
  void lock_shared_slow() noexcept;
  void unlock_shared_slow(std::uint32_t before) noexcept;
  void admit(std::uint32_t readers) noexcept;

  BasicMutex<Policy> writers_;
  typename Policy::SpinMutex mutex_;
  WaitQueue waiting_readers_ WEFT_GUARDED_BY(mutex_);
  WaitNode* waiting_writer_ WEFT_GUARDED_BY(mutex_) = nullptr;
  std::uint32_t admissions_ WEFT_GUARDED_BY(mutex_) = 0;
  std::int32_t leaving_ WEFT_GUARDED_BY(mutex_) = 0;
};

extern template class BasicRWMutex<RWMutexPolicy>;

}  // namespace weft::detail
