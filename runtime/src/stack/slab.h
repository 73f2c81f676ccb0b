// The memory that goroutine stacks are cut from: mappings without swap reservation and without huge pages, and guard
// pages in them.
//
// A guard is MADV_GUARD_INSTALL where the kernel has it (Linux 6.13), which costs no mapping. Elsewhere it is mprotect,
// which costs two mappings for each stack, so that vm.max_map_count bounds how many stacks there can be. When that
// bound is reached, the process ends with one line that names it.
#pragma once

#include <cstddef>

namespace weft::rt {

// Returns the size of a page, in bytes.
std::size_t page_size() noexcept;

// Rounds `n` up to a multiple of `unit`.
constexpr std::size_t round_up(std::size_t n, std::size_t unit) noexcept { return (n + unit - 1) / unit * unit; }

// Maps `bytes` of zeroed memory for stacks, which the kernel commits page by page as they are touched. Throws
// std::bad_alloc when the kernel has no more memory. Ends the process when it has no more mappings. Thread-safe.
char* map_slab(std::size_t bytes);

// Makes the page that begins at `page` a guard: whoever touches it gets SIGSEGV. Throws std::bad_alloc, and ends the
// process when there are no more mappings. One caller at a time for one slab.
void install_guard(char* page);

}  // namespace weft::rt
