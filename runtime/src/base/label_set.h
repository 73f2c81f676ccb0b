// LabelSet: what copies of a Labels share.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "weft/labels.h"

namespace weft::detail {

// A set is immutable once it is shared.
struct LabelSet {
  explicit LabelSet(std::vector<Label> sorted) noexcept : labels(std::move(sorted)) {}

  // Relaxed is enough: whoever counts up holds a reference, or the slot's mutex with the slot's reference.
  void add_reference() const noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  void drop_reference() const noexcept {
    // Releases this holder's reads; the last one acquires everybody's before it frees.
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  const std::vector<Label> labels;
  mutable std::atomic<std::uint32_t> references{1};
};

}  // namespace weft::detail
