// TextArena: text that stays where it is for as long as the arena lives.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::http::detail {

// Allocates characters one after the other in blocks. Views of copied text stay valid until clear(), also when the
// arena is moved. Thread safety: none; one owner at a time.
class TextArena {
 public:
  TextArena() = default;
  TextArena(const TextArena&) = delete;
  TextArena& operator=(const TextArena&) = delete;
  TextArena(TextArena&& other) noexcept
      : blocks_(std::move(other.blocks_)),
        next_(std::exchange(other.next_, nullptr)),
        left_(std::exchange(other.left_, 0)),
        first_size_(std::exchange(other.first_size_, 0)) {
    other.blocks_.clear();
  }
  TextArena& operator=(TextArena&& other) noexcept {
    blocks_ = std::move(other.blocks_);
    other.blocks_.clear();
    next_ = std::exchange(other.next_, nullptr);
    left_ = std::exchange(other.left_, 0);
    first_size_ = std::exchange(other.first_size_, 0);
    return *this;
  }

  // Returns room for `size` characters.
  char* allocate(std::size_t size) {
    if (size > left_) grow(size);
    char* const text = next_;
    next_ += size;
    left_ -= size;
    return text;
  }

  std::string_view copy(std::string_view text);

  // Forgets all text; keeps the first block when it has the usual size.
  void clear() noexcept {
    if (!blocks_.empty()) reset();
  }

 private:
  void grow(std::size_t size);
  void reset() noexcept;

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t first_size_ = 0;
};

}  // namespace weft::http::detail
