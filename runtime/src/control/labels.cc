#include "weft/labels.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <utility>

#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/label_slot.h"
#include "runtime/src/sched/machine.h"

namespace weft {
namespace rt {

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

}  // namespace rt

Labels::Labels(std::vector<Label> labels) {
  if (labels.empty()) return;
  std::ranges::stable_sort(labels, {}, &Label::key);
  // Of neighbours with one key, the last stays.
  auto kept = labels.begin();
  for (auto next = std::next(kept); next != labels.end(); ++next) {
    if (next->key != kept->key) ++kept;
    if (kept != next) *kept = std::move(*next);
  }
  labels.erase(std::next(kept), labels.end());
  set_ = new rt::LabelSet(std::move(labels));
}

Labels::Labels(const Labels& other) noexcept : set_(other.set_) {
  if (set_ != nullptr) set_->add_reference();
}

Labels::~Labels() {
  if (set_ != nullptr) set_->drop_reference();
}

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

namespace this_goroutine {

Labels labels() noexcept {
  rt::Machine* const machine = rt::current_machine();
  const rt::G* const g = machine == nullptr ? nullptr : machine->current();
  return g == nullptr ? Labels() : g->labels.own();
}

void set_labels(Labels labels) noexcept {
  rt::Machine* const machine = rt::current_machine();
  rt::G* const g = machine == nullptr ? nullptr : machine->current();
  if (g != nullptr) g->labels.set(std::move(labels));
}

}  // namespace this_goroutine
}  // namespace weft
