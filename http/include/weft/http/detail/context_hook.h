// ContextHook: how a Request tells its server that somebody holds its context.
#pragma once

#include <weft/context.h>

namespace weft::http::detail {

class ContextHook {
 public:
  // Called once, by the goroutine that first asks for the request's context; `cancel` ends it.
  virtual void on_context(const CancelFunc& cancel) = 0;

 protected:
  ~ContextHook() = default;
};

}  // namespace weft::http::detail
