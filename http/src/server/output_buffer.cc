#include "server/output_buffer.h"

#include <array>

namespace weft::http::detail {

std::error_code OutputBuffer::flush_sealed(std::string_view tail) {
  if (error_ || sealed_ + tail.size() == 0) return error_;
  const std::array<std::string_view, 2> parts{std::string_view(text_).substr(0, sealed_), tail};
  error_ = conn_->writev(parts).ec;
  text_.erase(0, sealed_);
  sealed_ = 0;
  return error_;
}

std::error_code OutputBuffer::send(std::string_view a, std::string_view b, std::string_view c) {
  if (!error_) {
    const std::array<std::string_view, 4> parts{text_, a, b, c};
    error_ = a.empty() && b.empty() && c.empty() ? conn_->write(text_).ec : conn_->writev(parts).ec;
  }
  text_.clear();
  sealed_ = 0;
  return error_;
}

void OutputBuffer::reset() noexcept {
  text_.clear();
  if (text_.capacity() > 2 * kFlushAt) text_.shrink_to_fit();
  sealed_ = 0;
  error_ = {};
}

}  // namespace weft::http::detail
