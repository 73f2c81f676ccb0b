#include "runtime/src/base/heap.h"

#include <malloc.h>

// gperftools' malloc_extension_c.h. They are null where the program is not linked with tcmalloc.
extern "C" {
[[gnu::weak]] void MallocExtension_MarkThreadIdle();
[[gnu::weak]] void MallocExtension_MarkThreadBusy();
[[gnu::weak]] void MallocExtension_ReleaseFreeMemory();
}

namespace weft::rt {

void release_thread_heap() noexcept {
  if (MallocExtension_MarkThreadIdle == nullptr || MallocExtension_MarkThreadBusy == nullptr) return;
  MallocExtension_MarkThreadIdle();
  MallocExtension_MarkThreadBusy();
}

void release_process_heap() noexcept {
  if (MallocExtension_ReleaseFreeMemory != nullptr) {
    MallocExtension_ReleaseFreeMemory();
  } else {
    ::malloc_trim(0);
  }
}

}  // namespace weft::rt
