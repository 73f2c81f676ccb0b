// Hijacked: a connection that a handler took over from its server (Go's http.Hijacker).
#pragma once

#include <string>

#include <weft/net/conn.h>

namespace weft::http {

// What ResponseWriter::hijack() returns. Thread safety and lifetime: those of a net::Conn; whoever has the connection
// closes it.
struct Hijacked {
  net::Conn conn;
  // What the server has read after the request's head and the handler has not: what is left of the request's body, as
  // the client framed it, and what follows. It comes before what conn.read() returns.
  std::string buffered;
};

}  // namespace weft::http
