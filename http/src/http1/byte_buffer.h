// ByteBuffer: characters that only grow at the end. It does what std::string does, with appends that the compiler can
// see through.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace weft::http::detail::http1 {

// Thread safety: none. Views of it live until it changes.
class ByteBuffer {
 public:
  std::string_view view() const noexcept { return {bytes_.get(), size_}; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  void append(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(room(text.size()), text.data(), text.size());
    size_ += text.size();
  }
  // A literal, whose length the compiler knows.
  template <std::size_t N>
  void append(const char (&literal)[N]) {
    std::memcpy(room(N - 1), literal, N - 1);
    size_ += N - 1;
  }
  void append(char c) {
    *room(1) = c;
    ++size_;
  }
  void append_number(std::uint64_t number, int base = 10) {
    constexpr std::size_t kMost = 20;
    char* const start = room(kMost);
    if (number < 10) {
      *start = static_cast<char>('0' + number);
      ++size_;
    } else {
      size_ += static_cast<std::size_t>(std::to_chars(start, start + kMost, number, base).ptr - start);
    }
  }

  char& operator[](std::size_t i) noexcept { return bytes_[i]; }

  void clear() noexcept { size_ = 0; }
  // Keeps the first `size` characters.
  void truncate(std::size_t size) noexcept { size_ = size; }
  void erase_front(std::size_t size) noexcept {
    size_ -= size;
    if (size_ > 0) std::memmove(bytes_.get(), bytes_.get() + size, size_);
  }
  // Gives the memory back if there is more than `most`.
  void shrink(std::size_t most) noexcept {
    if (capacity_ <= most) return;
    bytes_.reset();
    capacity_ = size_ = 0;
  }

 private:
  static constexpr std::size_t kFirst = 1024;

  char* room(std::size_t size) {
    if (size > capacity_ - size_) grow(size);
    return bytes_.get() + size_;
  }

  void grow(std::size_t size) {
    const std::size_t capacity = std::max({kFirst, capacity_ * 2, size_ + size});
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace weft::http::detail::http1
