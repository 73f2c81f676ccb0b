#include "weft/labels.h"

#include <algorithm>
#include <utility>

#include "runtime/src/base/label_set.h"

namespace weft {
Labels::Labels(std::vector<Label> labels) {
  if (labels.empty()) return;
  std::vector<Label> sorted;
  sorted.reserve(labels.size());
  for (Label& label : labels) {
    const auto at = std::ranges::lower_bound(sorted, label.key, {}, &Label::key);
    if (at != sorted.end() && at->key == label.key) {
      *at = std::move(label);  // the last label of a key stays
    } else {
      sorted.insert(at, std::move(label));
    }
  }
  set_ = new detail::LabelSet(std::move(sorted));
}

Labels::Labels(const Labels& other) noexcept : set_(other.set_) {
  if (set_ != nullptr) set_->add_reference();
}

void Labels::drop() noexcept { set_->drop_reference(); }

Labels Labels::with(const Labels& more) const {
  if (more.empty()) return *this;
  if (empty()) return more;
  std::vector<Label> both(begin(), end());
  both.insert(both.end(), more.begin(), more.end());
  return Labels(std::move(both));
}

std::optional<std::string_view> Labels::get(std::string_view key) const noexcept {
  const Label* const found =
      std::lower_bound(begin(), end(), key, [](const Label& label, std::string_view k) { return label.key < k; });
  if (found == end() || found->key != key) return std::nullopt;
  return found->value;
}

const Label* Labels::begin() const noexcept { return set_ == nullptr ? nullptr : set_->labels.data(); }

const Label* Labels::end() const noexcept {
  return set_ == nullptr ? nullptr : set_->labels.data() + set_->labels.size();
}

bool operator==(const Labels& a, const Labels& b) noexcept {
  return a.set_ == b.set_ || std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace weft
