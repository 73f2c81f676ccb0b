// HttpServer: an http::Server as the App sees it.
#pragma once

#include <string>

#include "weft/app/server.h"
#include "weft/http/server.h"
#include "weft/net/listener.h"

namespace weft::app::detail {

class HttpServer final : public Server {
 public:
  HttpServer(std::string name, http::ServerOptions options);

  std::string name() const override { return name_; }
  Error listen() override;
  std::string address() const override;
  Error serve() override;
  Error stop(const Context& ctx) override { return server_.shutdown(ctx); }
  void close() override;
  std::string busy() const override;

  const http::Server& server() const noexcept { return server_; }

 private:
  const std::string name_;
  const std::string wanted_address_;
  const http::Server server_;
  net::Listener listener_;  // set by listen()
};

}  // namespace weft::app::detail
