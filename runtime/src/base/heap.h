// The memory that the C library's allocator keeps of what was freed.
#pragma once

namespace weft::rt {

// Gives back what the calling thread keeps for itself: with tcmalloc the thread's cache, with glibc what is free at the
// end of the thread's arena beyond its trim threshold (M_TRIM_THRESHOLD of mallopt(3)).
void release_thread_heap() noexcept;
// Gives the kernel what the process keeps. Who allocates may have to wait meanwhile.
void release_process_heap() noexcept;

}  // namespace weft::rt
