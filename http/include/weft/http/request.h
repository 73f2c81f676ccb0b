// Request: what a handler is asked (RFC 9110 section 3.4, Go's http.Request).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/context.h>
#include <weft/error.h>
#include <weft/http/detail/request_head.h>
#include <weft/http/detail/request_host.h>
#include <weft/http/detail/text_arena.h>
#include <weft/http/errc.h>
#include <weft/http/header.h>
#include <weft/http/version.h>
#include <weft/net/conn.h>

namespace weft::http {

namespace detail {
struct RequestAccess;
}

// The content of a request, as it comes in. Middleware that limits, counts or decodes it implements this, too
// (Request::set_body). Thread safety: none; one goroutine at a time. Lifetime: until the handler returns.
class Body {
 public:
  virtual ~Body() = default;

  // n > 0 bytes, or n == 0 and ec: Condition::eof at the end; Errc::body_too_large, unexpected_eof or broken chunking,
  // or what the connection says (a deadline, a reset), each of which stays. Parks until bytes are there. The first read
  // of a request that carries "Expect: 100-continue" asks the client for the body, unless the response has begun.
  virtual IoResult read(std::span<char> buffer) = 0;
};

// Thread safety: none; one goroutine at a time, but its Context may be used anywhere. Lifetime: the server owns it. The
// request and every view that comes out of it live until the handler returns. Copy what must live longer. Blocking:
// only what reads the body. Cancellation: context() is done when the handler returns, when the client goes away, when a
// write to it fails, and at Server::close(). A client has gone away when it has reset the connection, or ended its side
// of it (Go's rule), whatever it has sent before and nobody has read: a body, or the next request. A client that ends
// only its side, after a request that was its last, still gets what the handler writes. Only a handler that asks for
// the context is watched for.
class Request {
 public:
  Request();  // no request yet; the server fills it
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  std::string_view method() const noexcept { return head_.method; }
  // As it stands in the start line.
  std::string_view target() const noexcept { return head_.target; }
  // Escapes resolved: "/a b" for "/a%20b". Empty for CONNECT to an authority.
  std::string_view path() const;
  // As the client escaped it, so that "%2F" and "/" differ.
  std::string_view raw_path() const noexcept { return head_.path; }
  // Without '?', not decoded.
  std::string_view query() const noexcept { return head_.query; }
  // The first value of `name` in the query, decoded; nothing when it isn't there. Pairs are separated by '&' alone.
  std::optional<std::string> query_value(std::string_view name) const;
  // From an absolute target or the Host field: a host as RFC 3986 has it, and maybe a port; empty when the field is, or
  // when an HTTP/1.0 request has none.
  std::string_view host() const noexcept { return head_.host; }
  // What the client speaks: {1, 1} for HTTP/1.1.
  Version version() const noexcept { return head_.version; }
  // "https" when the connection is encrypted, else "http", whatever an absolute target says.
  std::string_view scheme() const noexcept { return host_ != nullptr ? host_->scheme() : "http"; }

  // The fields, without Host and Transfer-Encoding.
  const Header& header() const noexcept { return header_; }
  Header& header() noexcept { return header_; }

  // The trailer fields of a chunked body (RFC 9110 section 6.5), from the moment a read of the body has returned its
  // end; empty before that, and for other bodies. As in Go the client need not have announced them in a Trailer field.
  // Fields that must be known before the body are dropped: those that frame the message, route it, authenticate, or
  // describe the content (every Content- field but Content-Digest).
  const Header& trailer() const noexcept { return trailer_; }

  // Bytes of content: 0 for none, -1 when only its end will tell.
  std::int64_t content_length() const noexcept { return head_.content_length; }
  Body& body() noexcept { return *body_; }
  // Replaces the body for those who come after. `body` lives until the next set_body(), or until the server's handler
  // has returned: the next request on the connection has its own body again.
  void set_body(Body& body) noexcept { body_ = &body; }
  // Reads all of the body that is left. Errc::body_too_large when there is more than `limit` bytes.
  Result<std::string> read_body(std::size_t limit);

  // Made at the first call. Done when the handler returns; see the class.
  const Context& context();
  // Replaces the context for those who come after; normally one made from context().
  void set_context(Context context);

  // The pattern that ServeMux matched, as it was registered; empty before.
  std::string_view pattern() const noexcept { return pattern_; }
  // What the wildcard `name` of the pattern matched, escapes resolved; empty when the pattern has none of that name.
  std::string_view path_value(std::string_view name) const noexcept;

  // The ends of the connection. Each is none for a request that did not come over one, for a connection whose stream
  // does not tell its addresses, and when it is asked for only after the connection was closed
  // (Conn::remote_address()).
  net::Address remote_address() const;
  net::Address local_address() const;

 private:
  friend struct detail::RequestAccess;

  struct PathValue {
    std::string_view name;
    std::string_view value;
  };
  static constexpr std::size_t kInlinePathValues = 4;

  detail::RequestHead head_;
  Header header_;
  Header trailer_;
  Body* body_;
  const Context* base_context_ = nullptr;
  detail::RequestHost* host_ = nullptr;
  std::optional<Context> context_;
  CancelFunc cancel_;
  std::string_view pattern_;
  std::size_t path_value_count_ = 0;
  std::array<PathValue, kInlinePathValues> path_values_;
  std::vector<PathValue> more_path_values_;
  mutable std::optional<std::string_view> decoded_path_;
  mutable detail::TextArena text_;
};

}  // namespace weft::http
