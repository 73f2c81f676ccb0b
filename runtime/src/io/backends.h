// The backends that there are, and the choice between them at the start, by trying: the full io_uring, a plain ring, epoll.
#pragma once

#include <memory>

#include "runtime/src/sched/backend.h"
#include "weft/error.h"
#include "weft/go.h"

namespace weft::rt {

std::unique_ptr<Backend> make_epoll_backend();
// Each tries on a throw-away ring everything that it will use, and fails with what the kernel refused.
Result<std::unique_ptr<Backend>> make_uring_backend();
Result<std::unique_ptr<Backend>> make_plain_uring_backend();

// The best the kernel lets us have, or exactly what WEFT_POLLER or `choice` asks for.
Result<std::unique_ptr<Backend>> choose_backend(PollerChoice choice);

}  // namespace weft::rt
