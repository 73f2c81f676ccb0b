// Errc: the errors of the HTTP layer, as std::error_code. Their texts are Go's.
#pragma once

#include <system_error>
#include <type_traits>

#include <weft/error.h>

namespace weft::http {

enum class Errc {
  server_closed = 1,    // what serve() returns after shutdown() or close(); equals Condition::closed
  body_not_allowed,     // a body for a status that has none (1xx, 204, 205, 304)
  content_length,       // more was written than the declared Content-Length
  body_too_large,       // the request's body is larger than the limit
  body_closed,          // the body was read, or asked for, after its time
  unexpected_eof,       // the peer stopped sending in the middle of the body
  malformed_chunk,      // bad framing of a chunked body
  chunk_line_too_long,  // a chunk's size line, or all extensions together, are too long
  trailer_too_long,     // the trailer section of a chunked body is too long
  malformed_trailer,    // a bad line in it
  not_supported,        // this ResponseWriter can't do that; equals std::errc::not_supported
  hijacked,             // the connection was hijacked, and is no longer the server's
};

const std::error_category& error_category() noexcept;
std::error_code make_error_code(Errc code) noexcept;

}  // namespace weft::http

template <>
struct std::is_error_code_enum<weft::http::Errc> : std::true_type {};
