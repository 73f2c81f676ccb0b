// The memory that the C library's allocator keeps of what was freed.
#pragma once

namespace weft::rt {

// Gives the kernel back what it can: what the calling thread keeps for itself, where the program is linked with
// tcmalloc; what the whole process keeps, with glibc's allocator, for which everybody who allocates may wait meanwhile.
void release_thread_heap() noexcept;
void release_process_heap() noexcept;

}  // namespace weft::rt
