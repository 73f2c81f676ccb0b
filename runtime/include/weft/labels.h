// Labels: key-value pairs that a goroutine carries and hands down, so that dumps and profiles tell whose work it does
// (Go's runtime/pprof.Labels and Do).
//
//   weft::with_labels({{"tenant", name}, {"job", "index"}}, [&] { index(documents); });
//
// A goroutine starts with the labels that its creator carries at that moment, and with those of its GoOptions.
// goroutines() shows them. When there are no labels, they cost go() one load. They never cost a switch anything.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

namespace detail {
class LabelSlot;
struct LabelSet;
}  // namespace detail

struct Label {
  std::string key;
  std::string value;

  friend bool operator==(const Label&, const Label&) = default;
};

// A set of labels, sorted by key; of several labels with one key, the last counts.
// Thread safety: immutable and shared; copies are cheap and may be used by any number of threads at the same time.
class Labels {
 public:
  Labels() noexcept = default;
  Labels(std::initializer_list<Label> labels) : Labels(std::vector<Label>(labels)) {}
  explicit Labels(std::vector<Label> labels);
  Labels(const Labels& other) noexcept;
  Labels(Labels&& other) noexcept : set_(std::exchange(other.set_, nullptr)) {}
  Labels& operator=(Labels other) noexcept {
    std::swap(set_, other.set_);
    return *this;
  }
  // Inline, because each go() destroys a Labels, which is nearly always empty.
  ~Labels() {
    if (set_ != nullptr) drop();
  }

  // Returns these labels and `more`. For a key in both, the value in `more` counts.
  Labels with(const Labels& more) const;

  // Returns the value of `key`. The value lives as long as this set or a copy of it.
  std::optional<std::string_view> get(std::string_view key) const noexcept;

  bool empty() const noexcept { return set_ == nullptr; }
  std::size_t size() const noexcept { return static_cast<std::size_t>(end() - begin()); }
  const Label* begin() const noexcept;
  const Label* end() const noexcept;

  friend bool operator==(const Labels& a, const Labels& b) noexcept;

 private:
  friend class detail::LabelSlot;

  explicit Labels(const detail::LabelSet* counted) noexcept : set_(counted) {}
  void drop() noexcept;  // set_ is not null

  const detail::LabelSet* set_ = nullptr;  // null: no labels
};

namespace this_goroutine {

// Returns the caller's labels; none on a plain thread, which can't carry any.
Labels labels() noexcept;

// Replaces the caller's labels (SetGoroutineLabels), until the caller ends or its labels are replaced again. See
// with_labels() for a change that ends. Has no effect on a plain thread.
void set_labels(Labels labels) noexcept;

}  // namespace this_goroutine

// Returns what `fn()` returns; while it runs, `more` is added to the caller's labels. Afterwards the caller has the
// labels it had before, also when `fn` throws. On a plain thread it only calls `fn`.
template <typename F>
decltype(auto) with_labels(const Labels& more, F&& fn);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

class LabelScope {
 public:
  explicit LabelScope(const Labels& more) : before_(this_goroutine::labels()) {
    this_goroutine::set_labels(before_.with(more));
  }
  ~LabelScope() { this_goroutine::set_labels(std::move(before_)); }
  LabelScope(const LabelScope&) = delete;
  LabelScope& operator=(const LabelScope&) = delete;

 private:
  Labels before_;
};

}  // namespace detail

template <typename F>
decltype(auto) with_labels(const Labels& more, F&& fn) {
  const detail::LabelScope scope(more);
  return std::forward<F>(fn)();
}

}  // namespace weft
