// WaitStop: what may end a wait from outside. The tree of contexts implements it (context/semaphore.cc), from a higher
// floor.
#pragma once

#include "weft/error.h"

namespace weft::detail {

class WaitStop {
 public:
  // Returns why waits end; no error while they may go on.
  virtual Error reason() const = 0;

  // Asks for one call of callback(arg) when waits are to end, from any goroutine or plain thread, without locks.
  // Returns false when waits are to end already; then there is no call. The callback may wake goroutines; it may not
  // park.
  using Callback = void (*)(void* arg) noexcept;
  virtual bool attach(Callback callback, void* arg) noexcept = 0;

  // After this returns, the callback is not running and will not run. detach() may park until a call that is on its
  // way has ended.
  virtual void detach() noexcept = 0;

 protected:
  ~WaitStop() = default;
};

}  // namespace weft::detail
