// WakeEvent: the eventfd by which any thread makes a poller return from its wait.
//
// raised_ is true from the raise() that writes the eventfd until the poller's take(). A raise() that finds it true
// writes nothing, because a wake-up is still to come or is being taken:
//   - The other thread has stored true and has not written yet. It will write; until then this raise() leans on that
//     thread, and the wake-up comes as late as its write.
//   - It has written, and the poller has not read. The poller returns from its wait for what was written.
//   - The poller has read, and has not stored false. The poller is awake. Its store reads the true of this raise(),
//     because both are exchanges of one word. So the poller's machine sees what was published before the raise().
// After the store of false, the next raise() writes again.
//
// take() may be called when there is nothing to read: io_uring's completion of an older poll may come late. Then the
// read finds nothing. When take() stores false between another thread's exchange and its write, the poller's machine
// sees what that thread published, and the write wakes the poller once more, for nothing.
//
// The class is a template over its atomics and the eventfd: tests/model/wake_event_test.cc explores it.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <system_error>
#include <utility>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/errno.h"

namespace weft::rt {

// An eventfd that never blocks. It is readable from write() until read().
class EventFd {
 public:
  EventFd() noexcept = default;
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;
  ~EventFd() { close(); }

  std::error_code open() noexcept {
    fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd_ >= 0 ? std::error_code() : last_system_error();
  }
  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const noexcept { return fd_; }
  void write() noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(::write(fd_, &one, sizeof(one)));
  }
  void read() noexcept {
    std::uint64_t count = 0;
    static_cast<void>(::read(fd_, &count, sizeof(count)));
  }

 private:
  int fd_ = -1;
};

template <typename Atomics, typename Event>
class BasicWakeEvent {
 public:
  std::error_code open() noexcept { return event_.open(); }
  // Gives the eventfd back; from then on a raise() does nothing. Nobody else uses the event meanwhile.
  void close() noexcept { event_.close(); }
  // What the poller waits for. It is readable after raise() until take().
  int fd() const noexcept { return event_.fd(); }
  // True from raise() until the take() that answers it. Any thread.
  bool raised() const noexcept { return raised_.load(std::memory_order_relaxed); }

  // Any thread.
  void raise() noexcept {
    // seq_cst: after what the caller published for the poller's machine to find.
    if (!raised_.exchange(true, std::memory_order_seq_cst)) event_.write();
  }

  // The poller's machine, when it is told that fd() is readable, or was.
  void take() noexcept {
    event_.read();
    raised_.exchange(false, std::memory_order_acq_rel);
  }

 protected:  // for the models' planted bugs
  Event event_;
  typename Atomics::template Atomic<bool> raised_{false};
};

using WakeEvent = BasicWakeEvent<StdAtomics, EventFd>;

}  // namespace weft::rt
