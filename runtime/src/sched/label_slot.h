// LabelSlot: the labels of one goroutine, in its G.
//
//   set_    the set in force, of which the slot holds a reference; null: no labels. Written under mutex_, by the goroutine itself, or
//           by its spawner while it is not yet runnable. So these two read it without the mutex.
//   mutex_  held by a writer over the exchange, by a reader from another thread from the load to the count: the slot's own reference can't
//           go while a reader is between the two. The last reference is dropped, and memory freed, outside.
//
// G's memory outlives the goroutine, so a dump may look at any time. A goroutine that ends clears its slot: the next one in that G
// finds it empty, and go() has nothing to do for it.
#pragma once

#include <atomic>

#include "runtime/src/base/label_set.h"
#include "runtime/src/base/spin_mutex.h"
#include "weft/labels.h"

namespace weft::detail {

class LabelSlot {
 public:
  // The goroutine itself, its spawner, or a signal handler that interrupted the goroutine's thread: set() replaces the set before it
  // drops the old one, so whichever the handler finds is held.
  Labels own() const noexcept {
    const LabelSet* const set = set_.load(std::memory_order_relaxed);
    if (set != nullptr) set->add_reference();
    return Labels(set);
  }
  // Any thread, at any time.
  Labels read() const noexcept;
  // The goroutine itself or its spawner.
  void set(Labels labels) noexcept;
  void clear() noexcept {
    if (set_.load(std::memory_order_relaxed) != nullptr) set(Labels());
  }

 private:
  std::atomic<const LabelSet*> set_{nullptr};
  mutable SpinMutex mutex_;
};

}  // namespace weft::detail
