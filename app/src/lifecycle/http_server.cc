#include "app/src/lifecycle/http_server.h"

#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "weft/http/errc.h"
#include "weft/net/address.h"

namespace weft::app::detail {

HttpServer::HttpServer(std::string name, http::ServerOptions options)
    : name_(std::move(name)),
      address_(options.address.empty() ? ":80" : options.address),
      server_(std::move(options)) {}

Error HttpServer::listen() {
  Result<net::Listener> listener = net::listen("tcp", address_);
  if (!listener) return listener.error();
  address_ = net::to_string(listener->address());
  const std::lock_guard lock(mutex_);
  listener_ = std::move(*listener);
  return {};
}

Error HttpServer::serve() {
  net::Listener listener = take_listener();
  if (!listener) return {};  // close() was faster
  const Error error = server_.serve(std::move(listener));
  return error.code() == http::Errc::server_closed ? Error() : error;
}

void HttpServer::close() {
  server_.close();
  if (net::Listener listener = take_listener()) listener.close();
}

net::Listener HttpServer::take_listener() {
  const std::lock_guard lock(mutex_);
  return std::exchange(listener_, {});
}

std::string HttpServer::busy() const {
  const http::ServerStats stats = server_.stats();
  return fmt::format("active={} idle={}", stats.active, stats.idle);
}

}  // namespace weft::app::detail
