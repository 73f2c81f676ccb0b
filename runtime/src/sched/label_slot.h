// LabelSlot: the labels of one goroutine, in its G.
//
//   set_    the set in force, of which the slot holds a reference; null: no labels. The goroutine itself writes it
//           under mutex_, or its spawner does while the goroutine is not yet runnable. So these two read it without the
//           mutex.
//   mutex_  a writer holds it over the exchange; a reader from another thread holds it from the load to the count. So
//           the slot's own reference can't go while a reader is between the two. The last reference is dropped, and
//           memory is freed, without the mutex.
//
// G's memory outlives the goroutine, so a dump may look at any time. A goroutine that ends clears its slot: the next
// goroutine in that G finds the slot empty, and go() has nothing to do for it.
#pragma once

#include <atomic>

#include "runtime/src/base/label_set.h"
#include "runtime/src/base/spin_mutex.h"
#include "weft/labels.h"

namespace weft::detail {

class LabelSlot {
 public:
  // For the goroutine itself, its spawner, or a signal handler that interrupted the goroutine's thread. set() replaces
  // the set before it drops the old one, so whichever set the handler finds is held.
  Labels own() const noexcept {
    const LabelSet* const set = set_.load(std::memory_order_relaxed);
    if (set != nullptr) set->add_reference();
    return Labels(set);
  }
  // For any thread, at any time.
  Labels read() const noexcept;
  // For the goroutine itself or its spawner.
  void set(Labels labels) noexcept;
  void clear() noexcept {
    if (set_.load(std::memory_order_relaxed) != nullptr) set(Labels());
  }

 private:
  std::atomic<const LabelSet*> set_{nullptr};
  mutable SpinMutex mutex_;
};

}  // namespace weft::detail
