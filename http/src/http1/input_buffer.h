// InputBuffer: the bytes that a connection has sent and nobody has used yet.
//
//   0 ......... pin_ ........ begin_ ........ end_ ........ capacity_
//     the head of       used         unread       room
//     the request in
//     progress
//
// Views of a request's head look into [0, pin_); those bytes don't move until unpin(). What is unread may move on any
// fill(). When there is no room after the head, a new block takes over, and the old one waits in pinned_block_ for
// unpin().
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "weft/error.h"
#include "weft/net/conn.h"

namespace weft::http::detail::http1 {

// Thread safety: none. The goroutine that serves the connection owns it.
class InputBuffer {
 public:
  std::string_view unread() const noexcept { return {block_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t size) noexcept { begin_ += size; }

  // Marks the first `size` unread bytes as used, and keeps them in place until unpin().
  void consume_pinned(std::size_t size) noexcept {
    begin_ += size;
    pin_ = begin_;
  }
  void unpin() noexcept {
    pin_ = 0;
    if (pinned_block_) pinned_block_.reset();
    if (begin_ == end_) begin_ = end_ = 0;
  }

  // Reads once from `conn`; returns what Conn::read does. Grows as needed.
  IoResult fill(net::Conn& conn);
  // Does the same with Conn::try_read.
  IoResult try_fill(net::Conn& conn);

  // Forgets everything; keeps a block of the usual size.
  void reset() noexcept;

 private:
  std::span<char> room();
  IoResult take(IoResult got) noexcept;
  void make_room();
  void move_to_block(std::size_t capacity);

  std::unique_ptr<char[]> block_;
  std::size_t capacity_ = 0;
  std::size_t pin_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::unique_ptr<char[]> pinned_block_;
};

}  // namespace weft::http::detail::http1
