// DisconnectWatch: notices that the client went away while a handler works (Go's background read).
//
// Only a read can tell, and only when nobody else reads: from the moment the request's body has come to its end. And
// only handlers that asked for their context can be told. Then a goroutine of its own reads one byte. The end of the
// stream or an error cancels the context. A byte is the start of the next request: it is kept, and the watch ends.
#pragma once

#include <memory>
#include <optional>

#include "weft/context.h"
#include "weft/net/conn.h"

namespace weft::http::detail::http1 {

// Thread safety: only the goroutine that serves the connection uses it. What it shares with the goroutine that reads
// passes through a channel.
class DisconnectWatch {
 public:
  void attach(net::Conn& conn) noexcept { conn_ = &conn; }

  // A request begins: there is no watch until its body has ended and its context was asked for.
  void begin() noexcept { body_ended_ = wanted_ = false; }
  // `cancel` ends the context that the handler asked for.
  void on_context(const CancelFunc& cancel);
  void body_ended();

  bool running() const noexcept { return watch_ != nullptr; }
  // Ends the watch and returns what it read. Leaves the connection with a read deadline in the past.
  std::optional<char> stop();

 private:
  struct Watch;

  void start();

  net::Conn* conn_ = nullptr;
  bool body_ended_ = false;
  bool wanted_ = false;
  CancelFunc cancel_;
  std::shared_ptr<Watch> watch_;
};

}  // namespace weft::http::detail::http1
