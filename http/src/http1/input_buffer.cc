#include "http/src/http1/input_buffer.h"

#include <algorithm>
#include <cstring>

namespace weft::http::detail::http1 {
namespace {

constexpr std::size_t kBlockSize = 4096;
// A read into less than this isn't worth its system call.
constexpr std::size_t kMinRoom = 1024;

}  // namespace

IoResult InputBuffer::fill(net::Conn& conn) { return take(conn.read(room())); }
IoResult InputBuffer::try_fill(net::Conn& conn) { return take(conn.try_read(room())); }

std::span<char> InputBuffer::room() {
  if (begin_ == end_) begin_ = end_ = pin_;
  if (capacity_ - end_ < kMinRoom) make_room();
  return {block_.get() + end_, capacity_ - end_};
}

IoResult InputBuffer::take(IoResult got) noexcept {
  end_ += got.n;
  return got;
}

void InputBuffer::make_room() {
  const std::size_t unread_size = end_ - begin_;
  if (begin_ > pin_) {
    std::memmove(block_.get() + pin_, block_.get() + begin_, unread_size);
    begin_ = pin_;
    end_ = begin_ + unread_size;
    if (capacity_ - end_ >= kMinRoom) return;
  }
  move_to_block(std::max(kBlockSize, unread_size * 2));
}

void InputBuffer::move_to_block(std::size_t capacity) {
  const std::size_t unread_size = end_ - begin_;
  auto block = std::make_unique_for_overwrite<char[]>(capacity);
  if (unread_size > 0) std::memcpy(block.get(), block_.get() + begin_, unread_size);
  // One head at a time is pinned, so at most one block waits: a second move in the meantime starts from a block
  // without a head.
  if (pin_ > 0) pinned_block_ = std::move(block_);
  block_ = std::move(block);
  capacity_ = capacity;
  pin_ = 0;
  begin_ = 0;
  end_ = unread_size;
}

void InputBuffer::reset() noexcept {
  unpin();
  begin_ = end_ = 0;
  if (capacity_ > kBlockSize) {
    block_.reset();
    capacity_ = 0;
  }
}

}  // namespace weft::http::detail::http1
