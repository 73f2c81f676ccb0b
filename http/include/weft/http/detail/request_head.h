// RequestHead: what the head of a request says, whichever version of HTTP it came in, after every check has passed.
#pragma once

#include <cstdint>
#include <string_view>

#include <weft/http/version.h>

namespace weft::http::detail {

// Views look into the buffer that held the request's head.
struct RequestHead {
  std::string_view method;
  std::string_view target;  // as received: origin, absolute, authority or asterisk form
  std::string_view path;    // still escaped; "/" when an absolute target has none; the target itself for "*"
  std::string_view query;   // what follows '?', undecoded
  std::string_view host;    // of an absolute target, else of the Host field
  // The path has neither escapes nor empty segments nor segments that begin with '.'.
  bool plain_path = false;
  Version version;
  // Bytes of body: 0 for none, -1 when only its end will tell.
  std::int64_t content_length = 0;
};

}  // namespace weft::http::detail
