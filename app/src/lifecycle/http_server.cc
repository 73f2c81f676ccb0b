#include "lifecycle/http_server.h"

#include <utility>

#include <fmt/format.h>

#include "weft/http/errc.h"
#include "weft/net/address.h"

namespace weft::app::detail {

HttpServer::HttpServer(std::string name, http::ServerOptions options)
    : name_(std::move(name)),
      wanted_address_(options.address.empty() ? ":80" : options.address),
      server_(std::move(options)) {}

Error HttpServer::listen() {
  Result<net::Listener> listener = net::listen("tcp", wanted_address_);
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  return {};
}

std::string HttpServer::address() const { return net::to_string(listener_.endpoint()); }

Error HttpServer::serve() {
  const Error error = server_.serve(listener_);
  return error.code() == http::Errc::server_closed ? Error() : error;
}

void HttpServer::close() {
  server_.close();
  // One that never came to serve() doesn't know its listener.
  if (listener_) listener_.close();
}

std::string HttpServer::busy() const {
  const http::ServerStats stats = server_.stats();
  return fmt::format("active={} idle={}", stats.active, stats.idle);
}

}  // namespace weft::app::detail
