// Middleware: what stands around handlers, for logs, authentication, limits, metrics.
//
//   weft::http::Middleware log_requests = [](weft::http::Handler next) -> weft::http::Handler {
//     return [next = std::move(next)](weft::http::ResponseWriter& w, weft::http::Request& r) {
//       next(w, r);
//       // Status 0: the handler wrote nothing, so a 200 goes out, or it hijacked the connection.
//       log(r.method(), r.target(), w.status(), w.bytes_written());
//     };
//   };
//   const auto around = weft::http::chain(log_requests, authenticate);
//   weft::http::Server server({.handler = around(mux)});
//
// Middleware that changes what the handler writes gives it a ResponseWriter of its own, whose unwrap() returns the one
// that it was given; middleware that changes what the handler reads uses Request::set_body and Request::set_context.
#pragma once

#include <concepts>
#include <functional>
#include <utility>
#include <vector>

#include <weft/http/response_writer.h>
#include <weft/panic.h>

namespace weft::http {

// Makes a handler out of the handler that comes after it. Called once for each handler, not for each request.
using Middleware = std::function<Handler(Handler next)>;

// All of them as one. The first is the outermost: chain(a, b)(h) is a(b(h)), so a request passes a, then b, then h, and
// its response comes back the other way. An empty list gives h itself. Throws Panic when one of them is empty.
// Thread safety: the result may be used by several goroutines at the same time when the middlewares may.
Middleware chain(std::vector<Middleware> middlewares);

template <std::convertible_to<Middleware>... M>
Middleware chain(M&&... middlewares) {
  std::vector<Middleware> list;
  list.reserve(sizeof...(middlewares));
  (list.emplace_back(std::forward<M>(middlewares)), ...);
  return chain(std::move(list));
}

}  // namespace weft::http
