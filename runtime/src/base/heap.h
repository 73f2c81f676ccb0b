// The memory that the C library's allocator keeps of what was freed.
#pragma once

namespace weft::rt {

// Gives back what the calling thread keeps for itself. With tcmalloc that is the thread's cache. With glibc it is the
// free end of the thread's arena, all but M_TOP_PAD bytes of it, if it is larger than M_TRIM_THRESHOLD (mallopt(3)).
// With other allocators this does nothing of use.
void release_thread_heap() noexcept;
// Gives the kernel what the process keeps. Who allocates may have to wait meanwhile.
void release_process_heap() noexcept;

}  // namespace weft::rt
