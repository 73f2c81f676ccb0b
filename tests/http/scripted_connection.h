// ScriptedConnection: a connection of a server that isn't there, on a stream whose input is written down.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/scripted_stream.h"
#include "http/src/server/connection.h"
#include "http/src/server/protocol.h"
#include "weft/http/server.h"
#include "weft/net/conn.h"
#include "weft/time.h"

namespace weft::http::test {

// It keeps the log, and notes that it was told to forget its connection. Thread safety: none.
class ScriptedConnection final : private detail::ConnectionHost {
 public:
  // The options have a handler.
  ScriptedConnection(ServerOptions options, std::vector<std::string> pieces, bool encrypted = false)
      : ConnectionHost(with_log(std::move(options))),
        stream_(std::make_shared<ScriptedStream>(std::move(pieces))),
        protocol_(detail::make_protocol(options_)),
        connection_(protocol_->make_connection(*this, {.conn = net::Conn(stream_), .encrypted = encrypted})) {}

  // Serves as the server's goroutine does. Returns when the connection has ended.
  void serve() { connection_->serve(); }

  detail::Connection* operator->() const noexcept { return connection_.get(); }
  ScriptedStream& stream() const noexcept { return *stream_; }
  const std::vector<std::string>& log() const noexcept { return log_; }
  bool forgotten() const noexcept { return forgotten_; }
  void begin_shutdown() noexcept { set_shutting_down(now(), std::chrono::seconds(1)); }

 private:
  ServerOptions with_log(ServerOptions options) {
    options.log = [this](LogLevel, std::string_view line) { log_.emplace_back(line); };
    return options;
  }
  void forget(detail::Connection&) override { forgotten_ = true; }

  const std::shared_ptr<ScriptedStream> stream_;
  const std::unique_ptr<detail::Protocol> protocol_;
  const std::unique_ptr<detail::Connection> connection_;
  std::vector<std::string> log_;
  bool forgotten_ = false;
};

}  // namespace weft::http::test
