#include "runtime/src/io/backends.h"

#include <atomic>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "runtime/src/io/descriptor.h"

namespace weft::rt {
namespace {

std::atomic<std::uint64_t> runtimes_made{0};

Result<std::unique_ptr<Backend>> with_reason(std::unique_ptr<Backend> backend, std::string reason) {
  backend->set_reason(std::move(reason));
  return backend;
}

Result<std::unique_ptr<Backend>> best_available() {
  Result<std::unique_ptr<Backend>> full = make_uring_backend();
  if (full) return with_reason(std::move(*full), "the kernel passed every trial");
  std::string reason = full.error().message();
  Result<std::unique_ptr<Backend>> plain = make_plain_uring_backend();
  if (plain) return with_reason(std::move(*plain), std::move(reason));
  if (plain.error().message() != reason) reason += "; " + plain.error().message();
  return with_reason(make_epoll_backend(), std::move(reason));
}

// Returns the ring that was asked for, or a plain one. When neither can be had, the error is the full ring's.
Result<std::unique_ptr<Backend>> any_uring(const std::string& asked) {
  Result<std::unique_ptr<Backend>> full = make_uring_backend();
  if (full) return with_reason(std::move(*full), asked);
  Result<std::unique_ptr<Backend>> plain = make_plain_uring_backend();
  if (plain) return with_reason(std::move(*plain), asked + "; " + full.error().message());
  return Unexpected(full.error().wrap(asked + " can't be had (use epoll or auto)"));
}

Result<std::unique_ptr<Backend>> plain_uring(const std::string& asked) {
  Result<std::unique_ptr<Backend>> plain = make_plain_uring_backend();
  if (plain) return with_reason(std::move(*plain), asked);
  return Unexpected(plain.error().wrap(asked + " can't be had (use epoll or auto)"));
}

}  // namespace

IoBackend::IoBackend() noexcept : runtime_(runtimes_made.fetch_add(1, std::memory_order_relaxed) + 1) {}
IoBackend::~IoBackend() { close_descriptors_of(runtime_); }

Result<std::unique_ptr<Backend>> choose_backend(PollerChoice choice) {
  switch (choice) {
    case PollerChoice::io_uring:
      return any_uring("the program asked for io_uring");
    case PollerChoice::io_uring_plain:
      return plain_uring("the program asked for io_uring_plain");
    case PollerChoice::epoll:
      return with_reason(make_epoll_backend(), "the program asked for epoll");
    case PollerChoice::automatic:
      break;
  }
  const char* const variable = std::getenv("WEFT_POLLER");
  const std::string_view wish = variable == nullptr ? "auto" : variable;
  if (wish.empty() || wish == "auto") {
    Result<std::unique_ptr<Backend>> best = best_available();
    if (best) (*best)->set_chosen_freely();
    return best;
  }
  const std::string asked = "WEFT_POLLER=" + std::string(wish);
  if (wish == "epoll") return with_reason(make_epoll_backend(), asked);
  if (wish == "io_uring") return any_uring(asked);
  if (wish == "io_uring_plain") return plain_uring(asked);
  return Unexpected(Error::text(asked + ": unknown poller; use auto, io_uring, io_uring_plain or epoll"));
}

}  // namespace weft::rt
