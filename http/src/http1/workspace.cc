#include "http/src/http1/workspace.h"

namespace weft::http::detail::http1 {

void Workspace::reset() noexcept {
  in.reset();
  out.reset();
  parser.reset();
  RequestAccess::clear(request);
}

}  // namespace weft::http::detail::http1
