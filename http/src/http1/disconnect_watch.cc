#include "http/src/http1/disconnect_watch.h"

#include <new>
#include <utility>
#include <variant>

#include "weft/chan.h"
#include "weft/go.h"
#include "weft/time_point.h"

namespace weft::http::detail::http1 {

struct DisconnectWatch::Watch {
  net::Conn conn;
  CancelFunc cancel;
  char byte = 0;
  bool has_byte = false;
  Chan<std::monostate> done = make_chan<std::monostate>();

  void run() {
    const IoResult got = conn.read({&byte, 1});
    has_byte = got.n == 1;
    if (!has_byte && !(got.ec == Condition::deadline_exceeded)) cancel();
    done.close();
  }
};

void DisconnectWatch::on_context(const CancelFunc& cancel) {
  wanted_ = true;
  cancel_ = cancel;
  if (body_ended_) start();
}

void DisconnectWatch::body_ended() {
  body_ended_ = true;
  if (wanted_) start();
}

void DisconnectWatch::start() {
  conn_->set_read_deadline(kNoDeadline);
  auto watch = std::make_shared<Watch>();
  watch->conn = *conn_;
  watch->cancel = std::move(cancel_);
  try {
    go([watch] { watch->run(); });
  } catch (const std::bad_alloc&) {
    return;  // the handler goes on without being told
  }
  watch_ = std::move(watch);
}

std::optional<char> DisconnectWatch::stop() {
  conn_->set_read_deadline(TimePoint());
  watch_->done.recv();
  const std::optional<char> byte = watch_->has_byte ? std::optional(watch_->byte) : std::nullopt;
  watch_.reset();
  return byte;
}

}  // namespace weft::http::detail::http1
