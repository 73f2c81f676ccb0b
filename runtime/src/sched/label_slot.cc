#include "runtime/src/sched/label_slot.h"

#include <mutex>
#include <utility>

namespace weft::detail {

Labels LabelSlot::read() const noexcept {
  if (set_.load(std::memory_order_relaxed) == nullptr) return {};
  const std::lock_guard lock(mutex_);
  return own();
}

void LabelSlot::set(Labels labels) noexcept {
  Labels before;  // outlives the lock
  const std::lock_guard lock(mutex_);
  before.set_ = set_.load(std::memory_order_relaxed);
  set_.store(std::exchange(labels.set_, nullptr), std::memory_order_relaxed);
}

}  // namespace weft::detail
