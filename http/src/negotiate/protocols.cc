// Which protocol a connection speaks: the only place that names the protocols.
#include "http/src/http1/protocol.h"
#include "http/src/server/protocol.h"

namespace weft::http::detail {

std::unique_ptr<Protocol> make_protocol(const ServerOptions& options) { return http1::make_protocol(options); }

}  // namespace weft::http::detail
