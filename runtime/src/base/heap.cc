#include "runtime/src/base/heap.h"

#include <malloc.h>

#include <cstddef>
#include <cstdlib>

// gperftools' malloc_extension_c.h. They are null where the program is not linked with tcmalloc.
extern "C" {
[[gnu::weak]] void MallocExtension_MarkThreadIdle();
[[gnu::weak]] void MallocExtension_MarkThreadBusy();
[[gnu::weak]] void MallocExtension_ReleaseFreeMemory();
}

namespace weft::rt {

void release_thread_heap() noexcept {
  if (MallocExtension_MarkThreadIdle != nullptr && MallocExtension_MarkThreadBusy != nullptr) {
    MallocExtension_MarkThreadIdle();
    MallocExtension_MarkThreadBusy();
    return;
  }
  // malloc_trim() gives back free pages anywhere but at the end of an arena that is not the main one. There only free()
  // does, of a block that is so large (64 KiB).
  constexpr std::size_t kLarge = 64UL * 1024;
  void* volatile block = std::malloc(kLarge);  // volatile: the compiler leaves the pair of calls alone
  std::free(block);
}

void release_process_heap() noexcept {
  if (MallocExtension_ReleaseFreeMemory != nullptr) {
    MallocExtension_ReleaseFreeMemory();
  } else {
    ::malloc_trim(0);
  }
}

}  // namespace weft::rt
