// RequestHead: what the start line and the header section of a request say, after every check has passed.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft::http::detail {

enum class Expectation : std::uint8_t { none, continue_100, unknown };

// Views look into the buffer that held the request's head.
struct RequestHead {
  std::string_view method;
  std::string_view target;  // as received: origin, absolute, authority or asterisk form
  std::string_view path;    // still escaped; "/" when an absolute target has none; the target itself for "*"
  std::string_view query;   // what follows '?', undecoded
  std::string_view host;    // of an absolute target, else of the Host field
  // The path has neither escapes nor empty segments nor segments that begin with '.'.
  bool plain_path = false;
  int version_minor = 1;  // the major version is 1
  // Bytes of body: 0 for none, -1 for a chunked one.
  std::int64_t content_length = 0;
  // The connection ends after the response: the client says so, HTTP/1.0 without keep-alive, or framing that RFC 9112
  // section 6.1 allows to be used once only.
  bool close = false;
  // An HTTP/1.0 client that asks to keep the connection.
  bool keep_alive_10 = false;
  Expectation expectation = Expectation::none;
};

}  // namespace weft::http::detail
