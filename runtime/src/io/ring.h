// Ring: one io_uring instance with its buffers, used by the machine that holds its processor.
//
// Who may touch what. Submission and completion queue: the machine that holds the processor, on its thread (from a goroutine or the
// scheduler stack). cancel() and interrupt(): any thread; a cancel from elsewhere goes through the mailbox. recycle(): any thread.
//
// Requests. Each request's user data is a pointer to a Request that stays in place until the request's last completion (one without
// IORING_CQE_F_MORE) was reaped; `in_flight_` counts them. A cancelled request is over only then, too.
//
// Task work. The kernel posts a request's completions by way of the thread that submitted it: in the full tier (COOP_TASKRUN) when that
// thread next enters the kernel, or at its next timer tick. Another thread can reap them when this one computes or sleeps; not SINGLE_ISSUER
// or DEFER_TASKRUN, whose completions only their own thread reaps. While it is in an uninterruptible sleep nothing is posted, so a thread
// that sleeps in the ring watches for wake-ups by a request of its own.
#pragma once

#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/sched/poller.h"
#include "weft/error.h"

namespace weft::rt {

class Pin;
class Ring;
struct Processor;

// What a completion is delivered to. Runs on the ring's machine.
struct Request {
  using Complete = void (*)(Request& self, Ring& ring, const io_uring_cqe& cqe) noexcept;
  explicit Request(Complete fn) noexcept : complete(fn) {}
  const Complete complete;
};

class Ring {
 public:
  enum class Tier { plain, full };  // full: with buffers for multishot receive

  static Result<std::shared_ptr<Ring>> make(Tier tier);
  Ring() = default;
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // --- the ring's machine ---
  // A submission entry for `request`, to be filled by an io_uring_prep_ call; it goes to the kernel at the next poll() or submit().
  template <typename Prepare>
  void start(Request& request, Prepare prepare) noexcept {
    io_uring_sqe* const sqe = next_sqe();
    prepare(sqe);
    io_uring_sqe_set_data(sqe, &request);
    ++in_flight_;
  }
  void submit() noexcept { io_uring_submit(&ring_); }
  void poll(Nanos timeout) noexcept;
  // Delivers what lies in the completion queue.
  void reap() noexcept;
  std::size_t in_flight() const noexcept { return in_flight_; }
  // Cancels every request and reaps until none is left, for a bounded time. When the machines have stopped.
  void drain() noexcept;

  // --- any thread ---
  // Asks the kernel to end the request; its last completion still comes.
  void cancel(const Request& request) noexcept;
  // The same, and delivers at once what the kernel answers, where the caller is the ring's machine. Not from within a completion.
  void cancel_and_reap(const Request& request) noexcept;
  void interrupt() noexcept;

  // --- receive buffers (full tier) ---
  std::string_view buffer(std::uint16_t id, std::size_t length) const noexcept;
  void recycle(std::uint16_t id) noexcept;  // any thread

 private:
  std::error_code set_up_buffers() noexcept;
  void tear_down() noexcept;
  bool belongs_to(const Pin& pin) const noexcept;
  io_uring_sqe* next_sqe() noexcept;
  void prepare_cancel(const Request* request) noexcept;
  void watch_wakeups();
  static void on_wakeup(Request& self, Ring& ring, const io_uring_cqe& cqe) noexcept;

  struct io_uring ring_ {};
  bool ready_ = false;
  std::size_t in_flight_ = 0;

  int wakeup_ = -1;                       // eventfd
  std::list<Request> watches_;            // polls of it in flight; all but the last are being cancelled
  std::thread::id watcher_;               // whose request the last is; nobody's when it has ended
  std::atomic<bool> interrupted_{false};  // the eventfd has been written and not yet seen
  SpinMutex mailbox_mutex_;
  std::vector<const Request*> mailbox_;  // cancels from other threads; guarded by mailbox_mutex_

  SpinMutex buffers_mutex_;  // guards the tail of buffer_ring_
  io_uring_buf_ring* buffer_ring_ = nullptr;
  char* buffers_ = nullptr;
};

class RingPoller final : public Poller {
 public:
  explicit RingPoller(std::shared_ptr<Ring> ring) : ring_(std::move(ring)) {}
  ~RingPoller() override { ring_->drain(); }
  void poll(Nanos timeout) noexcept override { ring_->poll(timeout); }
  void interrupt() noexcept override { ring_->interrupt(); }
  const std::shared_ptr<Ring>& ring() const noexcept { return ring_; }

 private:
  const std::shared_ptr<Ring> ring_;
};

// The processor's ring, where the backend is an io_uring one. To be used by the machine that holds the processor, while it is pinned.
const std::shared_ptr<Ring>& ring_of(const Processor& processor) noexcept;

// The group that receive requests name to get a buffer.
inline constexpr std::uint16_t kBufferGroup = 1;

}  // namespace weft::rt
