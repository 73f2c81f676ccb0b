// Backend: one kernel interface for I/O, as the scheduler sees it: who makes its pollers. io/backends.h has what a
// backend offers for descriptors, and the backends that there are.
#pragma once

#include <memory>
#include <string>

#include "runtime/src/sched/poller.h"
#include "weft/error.h"

namespace weft::rt {

class Backend {
 public:
  virtual ~Backend() = default;

  // Returns "io_uring", "io_uring_plain" or "epoll".
  virtual const char* name() const noexcept = 0;
  virtual Result<std::unique_ptr<Poller>> make_poller() = 0;

  // Says why this backend was chosen, for the log and the debug page: "io_uring_setup: operation not permitted".
  const std::string& reason() const noexcept { return reason_; }
  void set_reason(std::string reason) { reason_ = std::move(reason); }

  // True when nobody asked for this backend: another may take its place when it fails later.
  bool chosen_freely() const noexcept { return chosen_freely_; }
  void set_chosen_freely() noexcept { chosen_freely_ = true; }

 private:
  std::string reason_;
  bool chosen_freely_ = false;
};

}  // namespace weft::rt
