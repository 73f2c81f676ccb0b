// This header is not part of the API. Everything that parks or wakes goroutines uses it.
#pragma once

#include <cstdint>

namespace weft::detail {

// One wait of a goroutine, or of a plain thread: whom to wake. It is cheap to copy.
//   A goroutine's may outlive the wait and the goroutine, whose memory is never given back: a waker that comes after
//   the wait has ended changes nothing (rt::ready()).
//   A thread's names a word on the thread's stack. It is woken exactly once, by whoever took its node out of a queue
//   (detail::wake()), and nobody else may use it.
struct Waiter {
  void* g = nullptr;      // the goroutine (its G); null for a plain thread
  std::uint64_t key = 0;  // the number of the goroutine's park, its epoch; or the address of the thread's futex word

  // False for a Waiter that names nobody.
  explicit operator bool() const noexcept { return key != 0; }
};

}  // namespace weft::detail
