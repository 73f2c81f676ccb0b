// DisconnectWatch: notices that the client went away while a handler works (Go's background read).
//
// Only a read can tell, and only when nobody else reads: from the moment the request's body has come to its end. And
// only handlers that asked for their context can be told. Then a goroutine of its own reads one byte: the end of the
// stream or an error cancels the context; a byte, the start of the next request, is kept for it and ends the watch.
#pragma once

#include <memory>
#include <optional>

#include "weft/context.h"
#include "weft/http/detail/context_hook.h"
#include "weft/net/conn.h"

namespace weft::http::detail {

// Thread safety: the connection's goroutine. What it shares with the reading one passes through a channel.
class DisconnectWatch final : public ContextHook {
 public:
  void attach(net::Conn& conn) noexcept { conn_ = &conn; }

  void begin() noexcept { body_ended_ = wanted_ = false; }
  void on_context(const CancelFunc& cancel) override;
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

}  // namespace weft::http::detail
