#include "http/src/http1/protocol.h"

#include <utility>

#include "http/src/http1/connection.h"
#include "http/src/http1/workspace.h"

namespace weft::http::detail::http1 {
namespace {

class Http1 final : public Protocol {
 public:
  explicit Http1(const ServerOptions& options) : workspaces_(options.max_header_bytes) {}

  std::unique_ptr<detail::Connection> make_connection(ConnectionHost& host, Transport transport) override {
    return std::make_unique<Connection>(host, std::move(transport), workspaces_);
  }

 private:
  WorkspacePool workspaces_;
};

}  // namespace

std::unique_ptr<Protocol> make_protocol(const ServerOptions& options) { return std::make_unique<Http1>(options); }

}  // namespace weft::http::detail::http1
