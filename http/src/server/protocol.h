// Protocol: how the server gets a Connection for a client that it accepted.
#pragma once

#include <memory>

#include "http/src/server/connection.h"
#include "weft/http/server.h"
#include "weft/net/conn.h"

namespace weft::http::detail {

// The way to a client, and what is known of it before the first byte of a request.
struct Transport {
  net::Conn conn;
  // By TLS, so that requests have the scheme "https". The handshake is done: conn.stream() knows what it agreed on.
  bool encrypted = false;
};

// Thread safety: any goroutine. Lifetime: a protocol outlives its connections.
class Protocol {
 public:
  Protocol() = default;
  Protocol(const Protocol&) = delete;
  Protocol& operator=(const Protocol&) = delete;
  virtual ~Protocol() = default;

  // Doesn't block. Throws std::bad_alloc, which costs this connection alone.
  virtual std::unique_ptr<Connection> make_connection(ConnectionHost& host, Transport transport) = 0;
};

// What a server with these options speaks. The room negotiate, which stands above the protocols, defines it.
std::unique_ptr<Protocol> make_protocol(const ServerOptions& options);

}  // namespace weft::http::detail
