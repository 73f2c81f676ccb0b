// GoroutineLocals: what a goroutine owns through G::locals, its goroutine-local values (control/local_table.h).
#pragma once

namespace weft::rt {

class GoroutineLocals {
 public:
  virtual ~GoroutineLocals() = default;
  // Destroys all values, on their goroutine's stack, while the goroutine still points to this object: a destructor may
  // ask for other values.
  virtual void destroy_all() noexcept = 0;
};

}  // namespace weft::rt
