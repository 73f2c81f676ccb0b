#include "runtime/src/stack/slab.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"

// The kernel has it since 6.13; Debian 12's headers are older.
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

namespace weft::rt {
namespace {

const std::size_t kPage = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

// Where guards cost mappings, some mappings are kept back for the report that there are no more: the report allocates
// memory and maps the debug information, and each of these may take a mapping. What keeps them is a row of pages, of
// which each differs from its neighbours. The pointer is null before the first such guard, and when the mappings are
// given back.
constexpr std::size_t kMappingsKept = 256;
std::atomic<char*> kept_mappings{nullptr};

void keep_mappings() noexcept {
  const std::size_t bytes = kMappingsKept * kPage;
  void* const pages = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return;
  for (std::size_t i = 1; i < kMappingsKept; i += 2) {
    ::mprotect(static_cast<char*>(pages) + i * kPage, kPage, PROT_READ);  // where it fails, fewer are kept
  }
  kept_mappings.store(static_cast<char*>(pages), std::memory_order_release);
}

// Returns false when none are kept. The outermost pages stay: they may have become one mapping with what lies beside
// them, which would have to be split, and there is no mapping left for that.
bool release_mappings() noexcept {
  char* const pages = kept_mappings.exchange(nullptr, std::memory_order_acq_rel);
  return pages != nullptr && ::munmap(pages + kPage, (kMappingsKept - 2) * kPage) == 0;
}

[[noreturn]] void no_more_mappings() noexcept {
  fatal(
      "no room for another guarded stack: raise vm.max_map_count (sysctl -w vm.max_map_count=262144) or run a kernel "
      ">= 6.13");
}

void* map(std::size_t bytes) noexcept {
  return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

}  // namespace

std::size_t page_size() noexcept { return kPage; }

// When there are no mappings left, the kernel says the same as when there is no memory. But then not a single page can
// be had, either.
char* map_slab(std::size_t bytes) {
  void* const base = map(bytes);
  if (base == MAP_FAILED) {
    if (void* const page = map(kPage); page != MAP_FAILED) {
      ::munmap(page, kPage);
    } else if (release_mappings()) {
      no_more_mappings();
    }
    throw std::bad_alloc();
  }
  ::madvise(base, bytes, MADV_NOHUGEPAGE);  // a huge page would commit eight stacks for one
  ::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, bytes, "weft goroutine stacks");
  return static_cast<char*>(base);
}

void install_guard(char* page) {
  if (::madvise(page, kPage, MADV_GUARD_INSTALL) == 0) return;
  if (::mprotect(page, kPage, PROT_NONE) == 0) {
    [[maybe_unused]] static const bool once = (keep_mappings(), true);
    return;
  }
  if (last_errno() != ENOMEM) throw std::bad_alloc();
  release_mappings();
  no_more_mappings();
}

}  // namespace weft::rt
