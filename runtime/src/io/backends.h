// The backends that there are, and the choice between them. It is made at the start, by trying them in this order: the
// full io_uring, a plain ring, epoll.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/src/sched/backend.h"
#include "weft/error.h"
#include "weft/go.h"

namespace weft::rt {

class Descriptor;
enum class FdKind : std::uint8_t;

// A backend that makes descriptors, too. Every backend of a scheduler is one.
class IoBackend : public Backend {
 public:
  IoBackend() noexcept;
  // Closes the descriptors of the runtime, whose goroutines never run again (close_descriptors_of()). The pollers are
  // gone, and no request is in flight.
  ~IoBackend() override;
  IoBackend(const IoBackend&) = delete;
  IoBackend& operator=(const IoBackend&) = delete;

  // Which runtime of this process it is; no two have the same number.
  std::uint64_t runtime() const noexcept { return runtime_; }

  // Makes a descriptor of a non-blocking socket (or another pollable file). Throws std::bad_alloc; `fd` is then still
  // the caller's.
  virtual Descriptor* make_descriptor(int fd, FdKind kind) = 0;

 private:
  const std::uint64_t runtime_;
};

std::unique_ptr<Backend> make_epoll_backend();
// Each tries everything that it will use on a ring of its own, which it then throws away. It fails with what the kernel
// refused.
Result<std::unique_ptr<Backend>> make_uring_backend();
Result<std::unique_ptr<Backend>> make_plain_uring_backend();

// Returns the best backend that the kernel grants, or exactly the one that WEFT_POLLER or `choice` asks for.
Result<std::unique_ptr<Backend>> choose_backend(PollerChoice choice);

}  // namespace weft::rt
