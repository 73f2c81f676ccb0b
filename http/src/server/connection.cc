#include "http/src/server/connection.h"

#include "weft/go.h"

namespace weft::http::detail {

void Connection::begin_shutdown() {
  // A load, and the load of an exchange that fails: each is a half of the pair; see the opening comment of the header.
  ConnectionState wait = state_.load(std::memory_order_seq_cst);
  while (wait != ConnectionState::active) {
    if (state_.compare_exchange_weak(wait, ConnectionState::held, std::memory_order_seq_cst,
                                     std::memory_order_seq_cst)) {
      limit_wait(host_.wait_limit({}));
      state_.store(wait, std::memory_order_release);
      return;
    }
  }
}

// Shutdown holds the connection for some instructions. What the goroutine does next may set the deadline, and must come
// after shutdown has set its own.
void Connection::become_active_late(ConnectionState wait) {
  ConnectionState expected = ConnectionState::held;
  do {
    yield();
    expected = wait;
  } while (!state_.compare_exchange_strong(expected, ConnectionState::active, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
}

}  // namespace weft::http::detail
