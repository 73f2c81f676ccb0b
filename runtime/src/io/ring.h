// Ring: one io_uring instance with its buffers, used by the machine that holds its processor.
//
// Who may touch what. The submission and the completion queue belong to the machine that holds the processor, on its
// thread, from a goroutine or from the scheduler's stack. cancel(), interrupt() and recycle() may be called from any
// thread; a cancel from elsewhere goes through the mailbox.
//
// Requests. The user data of a request is a pointer to a Request, which stays in place until the request's last
// completion (one without IORING_CQE_F_MORE) was reaped; in_flight_ counts them. A cancelled request, too, is over only
// then.
//
// Buffers. Each ring has receive buffers, which it offers to the kernel. Their number follows the load: a receive that
// finds none ends, and must be armed again, so the ring doubles their number. When the ring sleeps, and needed far
// fewer in the last second, it takes them back and gives their memory back. A buffer is held from the completion that
// names it until recycle().
//
// Task work. The kernel posts a request's completions by way of the thread that submitted the request. In the full tier
// (COOP_TASKRUN) it does so when that thread next enters the kernel, or at the thread's next timer tick. Another thread
// can reap the completions while this one computes or sleeps. So the ring uses neither SINGLE_ISSUER nor DEFER_TASKRUN,
// whose completions only their own thread can reap. While the thread is in an uninterruptible sleep nothing is posted,
// so a thread that sleeps in the ring watches for wake-ups by a request of its own.
//
// When the kernel takes nothing. io_uring_enter(2) may fail for a moment: entries then stay in the submission queue,
// and the next call takes them along. Every other failure is for good, as where a sandbox forbids the call: no request
// would be answered any more. It ends the process, except on a ring that is on trial, which keeps it for its trial to
// find.
#pragma once

#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <thread>

#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/io/wake_event.h"
#include "runtime/src/sched/poller.h"
#include "weft/error.h"

namespace weft::rt {

class Pin;
class Ring;
struct Processor;

// What a completion is delivered to. `complete` runs on the ring's machine.
struct Request {
  using Complete = void (*)(Request& self, Ring& ring, const io_uring_cqe& cqe) noexcept;
  explicit Request(Complete fn) noexcept : complete(fn) {}
  const Complete complete;

 private:
  friend class Ring;
  // The request's place in the ring's mailbox. cancel_link_ points to what points to this request; null: it is not
  // there. It is atomic because neighbours in the mailbox move it, under the mailbox's mutex, while forget_cancel()
  // looks whether it is null, which they don't change.
  Request* next_cancel_ = nullptr;
  std::atomic<Request**> cancel_link_{nullptr};
};

class Ring {
 public:
  // The full tier has buffers for multishot receives.
  enum class Tier { plain, full };
  enum class Purpose { service, trial };

  static Result<std::shared_ptr<Ring>> make(Tier tier, Purpose purpose);
  explicit Ring(Purpose purpose) noexcept : purpose_(purpose) {}
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // --- the ring's machine ---
  // Makes a submission entry for `request`, which `prepare` fills by an io_uring_prep_ call. The entry goes to the
  // kernel at the next poll() or submit().
  template <typename Prepare>
  void start(Request& request, Prepare prepare) noexcept {
    io_uring_sqe* const sqe = next_sqe();
    prepare(sqe);
    io_uring_sqe_set_data(sqe, &request);
    ++in_flight_;
  }
  void submit() noexcept { static_cast<void>(entered(io_uring_submit(&ring_))); }
  void poll(Nanos timeout) noexcept;
  // Delivers what lies in the completion queue.
  void reap() noexcept;
  // Cancels every request and reaps until none is left, for a bounded time. It is called when the machines have
  // stopped.
  void drain() noexcept;
  // Why a ring on trial is of no use, or none: what io_uring_enter(2) failed with for good.
  const Error& failure() const noexcept { return failure_; }
  // True from interrupt() until a completion has told this ring of it.
  bool interrupt_pending() const noexcept { return wake_event_.raised(); }
  // True from drain() on: a request that the kernel has cancelled is not made again.
  bool draining() const noexcept { return draining_; }
  // Gives the kernel's ring, the eventfd and the buffers back. The object stays for those that still point to it: waits
  // on the stacks of goroutines that never run again, and descriptors. Cancels and buffers that come later are ignored.
  void shut_down() noexcept;

  // Takes back a cancel() of the request that is still in the mailbox, for the request's memory may go now. The
  // request's last completion calls it under the lock that cancel() names, where it also sees to it that nobody calls
  // cancel() any more.
  void forget_cancel(Request& request) noexcept;

  // --- any thread ---
  // Asks the kernel to end the request, whose last completion still comes. It needs no memory. A caller that may not be
  // the ring's machine finds out that the request is in flight, and calls this, under the lock under which the last
  // completion calls forget_cancel(). So the mailbox never names a request that has ended.
  void cancel(Request& request) noexcept;
  // Where the caller is the ring's machine, delivers what the kernel has answered. It must not be called from within a
  // completion.
  void reap_here() noexcept;
  void interrupt() noexcept { wake_event_.raise(); }

  // --- receive buffers (full tier) ---
  std::string_view buffer(std::uint16_t id, std::size_t length) const noexcept;
  void recycle(std::uint16_t id) noexcept;  // any thread
  // How many there are now.
  std::uint32_t buffers() const noexcept;  // any thread

 private:
  std::error_code set_up_buffers() noexcept;
  std::error_code register_buffers() noexcept;
  void offer_locked(std::uint32_t from, std::uint32_t to) noexcept WEFT_REQUIRES(buffers_mutex_);
  void note_buffers(const io_uring_cqe& cqe) noexcept;
  void add_buffers() noexcept;
  void give_buffers_back() noexcept;
  bool review_buffers() noexcept;
  void forget_contents(std::uint32_t id) noexcept;
  bool entered(int result) noexcept;
  bool belongs_to(const Pin& pin) const noexcept;
  io_uring_sqe* next_sqe() noexcept;
  void prepare_cancel(const Request* request) noexcept;
  Request* take_cancel() noexcept;
  static void unlink(Request& request) noexcept;
  void watch_wakeups();
  static void on_wakeup(Request& self, Ring& ring, const io_uring_cqe& cqe) noexcept;

  const Purpose purpose_;
  Error failure_;
  struct io_uring ring_ {};
  bool ready_ = false;
  std::size_t in_flight_ = 0;
  bool draining_ = false;

  WakeEvent wake_event_;
  std::list<Request> watches_;  // polls of wake_event_ in flight; all but the last are being cancelled
  std::thread::id watcher_;     // whose request the last one is; nobody's when it has ended
  SpinMutex mailbox_mutex_;
  Request* mailbox_ WEFT_GUARDED_BY(mailbox_mutex_) = nullptr;  // the first whose cancel came from another thread

  io_uring_buf_ring* buffer_ring_ = nullptr;  // it and what it points to are guarded by buffers_mutex_
  char* buffers_ = nullptr;
  std::atomic<bool>* held_ = nullptr;  // one for each buffer
  mutable SpinMutex buffers_mutex_;
  std::uint32_t offered_ WEFT_GUARDED_BY(buffers_mutex_) = 0;  // buffers below this number circulate
  // Buffers that completions have named, and buffers that were recycled. The first is the ring's machine's.
  std::uint64_t named_ = 0;
  std::atomic<std::uint64_t> recycled_{0};
  // For the ring's machine: what was needed since the last review.
  bool starved_ = false;
  std::uint64_t most_held_ = 0;
  bool has_grown_ = false;
  Nanos last_review_ = 0;
};

class RingPoller final : public Poller {
 public:
  explicit RingPoller(std::shared_ptr<Ring> ring) : ring_(std::move(ring)) {}
  ~RingPoller() override {
    ring_->drain();
    ring_->shut_down();
  }
  void poll(Nanos timeout) noexcept override { ring_->poll(timeout); }
  void interrupt() noexcept override { ring_->interrupt(); }
  const std::shared_ptr<Ring>& ring() const noexcept { return ring_; }

 private:
  const std::shared_ptr<Ring> ring_;
};

// Returns the processor's ring, where the backend is an io_uring one. It is for the machine that holds the processor,
// while the machine is pinned.
const std::shared_ptr<Ring>& ring_of(const Processor& processor) noexcept;

// The group of buffers that receive requests name.
inline constexpr std::uint16_t kBufferGroup = 1;

}  // namespace weft::rt
