// HTTP/1.0 and 1.1 (RFC 9112), as the server chooses it.
#pragma once

#include <memory>

#include "http/src/server/protocol.h"

namespace weft::http::detail::http1 {

std::unique_ptr<Protocol> make_protocol(const ServerOptions& options);

}  // namespace weft::http::detail::http1
