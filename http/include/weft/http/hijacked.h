// Hijacked: a connection that a handler took over from its server (Go's http.Hijacker).
#pragma once

#include <string>

#include <weft/net/conn.h>

namespace weft::http {

// What ResponseWriter::hijack() returns. Thread safety and lifetime: those of a net::Conn; whoever has the connection
// closes it.
struct Hijacked {
  net::Conn conn;
  std::string buffered;  // what the client has sent after the request's head and nobody has read; it comes before what
                         // conn.read() returns
};

}  // namespace weft::http
