// RequestHost: what a Request asks of the connection that it came over.
#pragma once

#include <string_view>

#include <weft/context.h>
#include <weft/net/conn.h>

namespace weft::http::detail {

// Thread safety: none. The goroutine that serves the request calls it.
class RequestHost {
 public:
  // Called once, when the request's context is first asked for; `cancel` ends the context.
  virtual void on_context(const CancelFunc& cancel) = 0;

  virtual net::Address local_address() const = 0;
  virtual net::Address remote_address() const = 0;
  virtual std::string_view scheme() const noexcept = 0;

 protected:
  ~RequestHost() = default;
};

}  // namespace weft::http::detail
