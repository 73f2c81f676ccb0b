#include "http/src/server/connection.h"

namespace weft::http::detail {

void Connection::end_if(ConnectionState expected) {
  // Also the load of an exchange that fails is a half of the pair; see the opening comment of the header.
  if (state_.compare_exchange_strong(expected, ConnectionState::closing, std::memory_order_seq_cst,
                                     std::memory_order_seq_cst)) {
    wake();
  }
}

bool Connection::become_idle() noexcept {
  // The other half is Server::Impl::begin_shutdown(); see the opening comment of the header.
  state_.store(ConnectionState::idle, std::memory_order_seq_cst);
  return !host_.shutting_down();
}

}  // namespace weft::http::detail
