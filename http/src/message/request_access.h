// RequestAccess: how the server and the mux fill a Request.
#pragma once

#include "weft/http/request.h"

namespace weft::http::detail {

struct RequestAccess {
  static RequestHead& head(Request& request) { return request.head_; }

  // Gives the request what its connection has for it, for as long as the connection uses the request. The body is set
  // for each request by set_body(), because a handler may replace it.
  static void attach(Request& request, RequestHost& host, const Context& base_context) {
    request.host_ = &host;
    request.base_context_ = &base_context;
  }
  static Header& trailer(Request& request) { return request.trailer_; }

  static void cancel(Request& request) {
    if (request.context_) request.cancel_();
  }

  // Forgets everything about this request.
  static void clear(Request& request);

  static void set_pattern(Request& request, std::string_view pattern) {
    request.pattern_ = pattern;
    request.path_value_count_ = 0;
    request.more_path_values_.clear();
  }
  static void add_path_value(Request& request, std::string_view name, std::string_view value);
  // Memory for text that lives as long as the request.
  static TextArena& text(Request& request) { return request.text_; }
};

}  // namespace weft::http::detail
