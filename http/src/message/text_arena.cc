#include "weft/http/detail/text_arena.h"

#include <algorithm>
#include <cstring>

namespace weft::http::detail {
namespace {

constexpr std::size_t kBlockSize = 512;

}  // namespace

std::string_view TextArena::copy(std::string_view text) {
  if (text.empty()) return {};
  char* const place = allocate(text.size());
  std::memcpy(place, text.data(), text.size());
  return {place, text.size()};
}

void TextArena::grow(std::size_t size) {
  const std::size_t block = std::max(size, kBlockSize);
  blocks_.push_back(std::make_unique_for_overwrite<char[]>(block));
  if (blocks_.size() == 1) first_size_ = block;
  next_ = blocks_.back().get();
  left_ = block;
}

void TextArena::reset() noexcept {
  if (first_size_ != kBlockSize) {
    blocks_.clear();
    next_ = nullptr;
    left_ = 0;
    first_size_ = 0;
    return;
  }
  blocks_.resize(1);
  next_ = blocks_.front().get();
  left_ = first_size_;
}

}  // namespace weft::http::detail
