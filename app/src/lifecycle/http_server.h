// HttpServer: an http::Server as the App sees it.
#pragma once

#include <string>

#include "weft/app/server.h"
#include "weft/http/server.h"
#include "weft/mutex.h"
#include "weft/net/listener.h"

namespace weft::app::detail {

class HttpServer final : public Server {
 public:
  HttpServer(std::string name, http::ServerOptions options);

  std::string name() const override { return name_; }
  Error listen() override;
  std::string address() const override { return address_; }
  Error serve() override;
  Error stop(const Context& ctx) override { return server_.shutdown(ctx); }
  void close() override;
  std::string busy() const override;

  const http::Server& server() const noexcept { return server_; }

 private:
  net::Listener take_listener();

  const std::string name_;
  std::string address_;  // what was asked for; from listen() on, the real one
  http::Server server_;
  Mutex mutex_;
  // From listen() until serve() or close() takes it: no handle is left when the runtime ends, however long the App
  // lives.
  net::Listener listener_;  // under mutex_
};

}  // namespace weft::app::detail
