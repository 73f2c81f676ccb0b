// A full memory barrier that one side pays for both: membarrier(2), private and expedited.
//
// A frequent side that must not pay stores, calls light_barrier(), and loads. A rare side stores, calls
// heavy_barrier(), and loads. As with two full barriers, at least one of them sees the other's store.
#pragma once

#include <atomic>

namespace weft::rt {

// Keeps the compiler from moving memory accesses over it; heavy_barrier() keeps the processor from it.
inline void light_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

// To be called once, before the first heavy_barrier() that is in a hurry: the kernel takes some 10 ms for it in a
// process with several threads, and no time in one with a single thread.
void prepare_heavy_barrier() noexcept;

// Returns after every running thread of this process has passed a full memory barrier; threads that don't run pass one
// when they are switched in. Returns false when the kernel refuses.
bool heavy_barrier() noexcept;

}  // namespace weft::rt
