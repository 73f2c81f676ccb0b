#include "weft/http/response_writer.h"

#include "weft/http/errc.h"
#include "weft/http/hijacked.h"

namespace weft::http {

int ResponseWriter::status() const noexcept {
  const ResponseWriter* const below = unwrap();
  return below != nullptr ? below->status() : 0;
}

std::uint64_t ResponseWriter::bytes_written() const noexcept {
  const ResponseWriter* const below = unwrap();
  return below != nullptr ? below->bytes_written() : 0;
}

std::error_code ResponseWriter::set_read_deadline(TimePoint deadline) {
  ResponseWriter* const below = unwrap();
  return below != nullptr ? below->set_read_deadline(deadline) : make_error_code(Errc::not_supported);
}

std::error_code ResponseWriter::set_write_deadline(TimePoint deadline) {
  ResponseWriter* const below = unwrap();
  return below != nullptr ? below->set_write_deadline(deadline) : make_error_code(Errc::not_supported);
}

std::error_code ResponseWriter::enable_full_duplex() {
  ResponseWriter* const below = unwrap();
  return below != nullptr ? below->enable_full_duplex() : make_error_code(Errc::not_supported);
}

Result<Hijacked> ResponseWriter::hijack() {
  if (ResponseWriter* const below = unwrap()) return below->hijack();
  return Unexpected(Error(make_error_code(Errc::not_supported)));
}

}  // namespace weft::http
