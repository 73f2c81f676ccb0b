#include "http/src/http1/output_buffer.h"

#include <array>

namespace weft::http::detail::http1 {

std::error_code OutputBuffer::flush_sealed(std::string_view tail) {
  if (error_ || sealed_ + tail.size() == 0) return error_;
  const std::array<std::string_view, 2> parts{text_.view().substr(0, sealed_), tail};
  error_ = conn_->writev(parts).ec;
  text_.erase_front(sealed_);
  sealed_ = 0;
  return error_;
}

std::error_code OutputBuffer::send(std::string_view a, std::string_view b, std::string_view c) {
  if (text_.size() > sealed_ || a.size() + b.size() + c.size() > 0) in_progress_sent_ = true;
  if (!error_) {
    const std::array<std::string_view, 4> parts{text_.view(), a, b, c};
    error_ = a.empty() && b.empty() && c.empty() ? conn_->write(text_.view()).ec : conn_->writev(parts).ec;
  }
  text_.clear();
  sealed_ = 0;
  return error_;
}

void OutputBuffer::reset() noexcept {
  text_.clear();
  text_.shrink(2 * kFlushAt);
  sealed_ = 0;
  in_progress_sent_ = false;
  error_ = {};
}

}  // namespace weft::http::detail::http1
