#include "weft/http/middleware.h"

#include <utility>

#include "weft/panic.h"

namespace weft::http {

Middleware chain(std::vector<Middleware> middlewares) {
  for (const Middleware& middleware : middlewares) {
    if (!middleware) panic("http: empty middleware");
  }
  return [middlewares = std::move(middlewares)](Handler handler) {
    for (auto next = middlewares.rbegin(); next != middlewares.rend(); ++next) handler = (*next)(std::move(handler));
    return handler;
  };
}

}  // namespace weft::http
