// This header is not part of the API. Everything that parks or wakes goroutines uses it.
#pragma once

#include <cstdint>

namespace weft::detail {

// One wait of a goroutine, or of a plain thread: whom to wake. A waker that comes after the wait has ended changes
// nothing. A Waiter is cheap to copy. It may outlive the wait and the goroutine, whose memory is never given back.
struct Waiter {
  void* g = nullptr;      // the goroutine (its G); null for a plain thread
  std::uint64_t key = 0;  // the number of the goroutine's park, its epoch; or the address of the thread's futex word

  // False for a Waiter that names nobody.
  explicit operator bool() const noexcept { return key != 0; }
};

}  // namespace weft::detail
