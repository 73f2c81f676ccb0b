#include "runtime/src/io/ring.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/constants.h"
#include "runtime/src/sched/scheduler.h"

namespace weft::rt {
namespace {

constexpr unsigned kSubmissionEntries = 256;
constexpr unsigned kCompletionEntries = 4096;

// The receive buffers of one ring: the least and the most. Under perturbation they are few and small, so that tests run
// out of them.
constexpr std::uint32_t kLeastBuffers = kPerturb ? 8 : 16;
constexpr std::uint32_t kMostBuffers = kPerturb ? 32 : 4096;
constexpr std::size_t kBufferSize = kPerturb ? 256 : 4096;

// How often a ring that has more than the least looks whether it still needs them.
constexpr Nanos kReviewEvery = kPerturb ? 1'000'000 : 1'000'000'000;

// One mapping holds the ring of buffers, who is held, and the buffers.
constexpr std::size_t kAlignment = 4096;
constexpr std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }
constexpr std::size_t kBufferRingBytes = aligned(kMostBuffers * sizeof(io_uring_buf));
constexpr std::size_t kHeldBytes = aligned(kMostBuffers * sizeof(std::atomic<bool>));
constexpr std::size_t kMappingBytes = kBufferRingBytes + kHeldBytes + kMostBuffers * kBufferSize;

constexpr Nanos kDrainLimit = 1'000'000'000;
constexpr Nanos kSubmitLimit = 1'000'000'000;

[[noreturn]] void die_without_ring(int error) noexcept {
  const std::string text = Error(system_error(error), "io_uring_enter").message() +
                           ": no I/O can be done any more; where a sandbox forbids io_uring, set WEFT_POLLER=epoll";
  fatal(text.c_str());
}

}  // namespace

const std::shared_ptr<Ring>& ring_of(const Processor& processor) noexcept {
  return static_cast<RingPoller&>(*processor.poller).ring();
}

// --- set-up ----------------------------------------------------------------------------------------------------------

Result<std::shared_ptr<Ring>> Ring::make(Tier tier, Purpose purpose) {
  auto ring = std::make_shared<Ring>(purpose);
  io_uring_params params{};
  params.flags = IORING_SETUP_CQSIZE;
  if (tier == Tier::full) params.flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = kCompletionEntries;
  if (const int rc = io_uring_queue_init_params(kSubmissionEntries, &ring->ring_, &params); rc < 0) {
    return Unexpected(Error(system_error(-rc), "io_uring_setup"));
  }
  ring->ready_ = true;
  // The queues are shared with a forked child, which would submit in the parent's name if it touched them.
  io_uring_ring_dontfork(&ring->ring_);
  if ((params.features & IORING_FEAT_NODROP) == 0 || (params.features & IORING_FEAT_EXT_ARG) == 0) {
    return Unexpected(
        Error(system_error(ENOSYS), "io_uring_setup: this kernel's io_uring is too old (5.11 is needed)"));
  }
  if (tier == Tier::full) {
    if (const std::error_code ec = ring->set_up_buffers())
      return Unexpected(Error(ec, "io_uring_register: buffer ring"));
  }
  if (const std::error_code ec = ring->wake_event_.open()) return Unexpected(Error(ec, "eventfd"));
  return ring;
}

std::error_code Ring::set_up_buffers() noexcept {
  void* const memory =
      ::mmap(nullptr, kMappingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return last_system_error();
  buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  held_ = reinterpret_cast<std::atomic<bool>*>(static_cast<char*>(memory) + kBufferRingBytes);
  buffers_ = reinterpret_cast<char*>(held_) + kHeldBytes;
  if (const std::error_code ec = register_buffers()) return ec;
  const LockGuard lock(buffers_mutex_);
  offer_locked(0, kLeastBuffers);
  return {};
}

std::error_code Ring::register_buffers() noexcept {
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(buffer_ring_);
  registration.ring_entries = kMostBuffers;
  registration.bgid = kBufferGroup;
  io_uring_buf_ring_init(buffer_ring_);  // empty, before the kernel looks
  const int rc = io_uring_register_buf_ring(&ring_, &registration, 0);
  return rc < 0 ? system_error(-rc) : std::error_code();
}

Ring::~Ring() { shut_down(); }

void Ring::shut_down() noexcept {
  if (std::exchange(ready_, false)) io_uring_queue_exit(&ring_);
  wake_event_.close();
  const LockGuard lock(buffers_mutex_);
  if (buffer_ring_ == nullptr) return;
  ::munmap(std::exchange(buffer_ring_, nullptr), kMappingBytes);
}

// --- submission ------------------------------------------------------------------------------------------------------

// Looks at what a call of io_uring_enter(2) returned, and returns whether the call took place. Where it did not, but
// the reason passes, the entries are still in the submission queue.
bool Ring::entered(int result) noexcept {
  if (result >= 0 || result == -ETIME) return true;  // the time of a wait was over
  // Out of memory for a moment, the completion queue is full, or a signal came.
  if (result == -EAGAIN || result == -EBUSY || result == -EINTR) return false;
  if (purpose_ == Purpose::service) die_without_ring(-result);
  if (!failure_) failure_ = Error(system_error(-result), "io_uring_enter");
  return false;
}

io_uring_sqe* Ring::next_sqe() noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  // When the queue is full, it goes to the kernel, which may be short of memory for a moment.
  for (const Nanos end = now() + kSubmitLimit; sqe == nullptr; sqe = io_uring_get_sqe(&ring_)) {
    if (!entered(io_uring_submit(&ring_))) {
      WEFT_CHECK(now() < end, "io_uring takes no submissions");
      relax_thread();
    }
  }
  return sqe;
}

void Ring::prepare_cancel(const Request* request) noexcept {
  io_uring_sqe* const sqe = next_sqe();
  io_uring_prep_cancel(sqe, const_cast<Request*>(request), 0);
  io_uring_sqe_set_data(sqe, nullptr);  // its own completion says nothing of use
}

bool Ring::belongs_to(const Pin& pin) const noexcept {
  return pin.processor() != nullptr && ring_of(*pin.processor()).get() == this;
}

void Ring::cancel(Request& request) noexcept {
  const Pin pin;
  if (belongs_to(pin)) {
    prepare_cancel(&request);
    submit();
    return;
  }
  {
    const LockGuard lock(mailbox_mutex_);
    if (request.cancel_link_.load(std::memory_order_relaxed) != nullptr) return;  // whoever put it there interrupts
    request.next_cancel_ = mailbox_;
    request.cancel_link_.store(&mailbox_, std::memory_order_relaxed);
    if (mailbox_ != nullptr) mailbox_->cancel_link_.store(&request.next_cancel_, std::memory_order_relaxed);
    mailbox_ = &request;
  }
  interrupt();
}

void Ring::unlink(Request& request) noexcept {
  Request** const link = request.cancel_link_.load(std::memory_order_relaxed);
  *link = request.next_cancel_;
  if (request.next_cancel_ != nullptr) request.next_cancel_->cancel_link_.store(link, std::memory_order_relaxed);
  request.cancel_link_.store(nullptr, std::memory_order_relaxed);
}

Request* Ring::take_cancel() noexcept {
  const LockGuard lock(mailbox_mutex_);
  Request* const first = mailbox_;
  if (first != nullptr) unlink(*first);
  return first;
}

void Ring::forget_cancel(Request& request) noexcept {
  // The caller's lock makes visible here what cancel() wrote.
  if (request.cancel_link_.load(std::memory_order_relaxed) == nullptr) [[likely]] {
    return;
  }
  const LockGuard lock(mailbox_mutex_);
  unlink(request);
}

void Ring::reap_here() noexcept {
  const Pin pin;
  if (belongs_to(pin)) reap();
}

// --- completion ------------------------------------------------------------------------------------------------------

void Ring::poll(Nanos timeout) noexcept {
  // A cancel that came with an interrupt() is taken after the wake-up was (on_wakeup), in this poll or in the next one.
  while (const Request* const request = take_cancel()) prepare_cancel(request);

  if (timeout != 0) {
    if (watcher_ != std::this_thread::get_id()) watch_wakeups();
    if (has_grown_) [[unlikely]] {
      timeout = review_buffers() ? 0 : std::min(timeout, kReviewEvery);
    }
  }

  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  const bool kernel_has_more = (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  if (timeout == 0 || io_uring_cq_ready(&ring_) > 0) {
    if (kernel_has_more) {
      static_cast<void>(entered(io_uring_submit_and_get_events(&ring_)));
    } else if (io_uring_sq_ready(&ring_) > 0) {
      submit();
    }
  } else {
    io_uring_cqe* cqe = nullptr;
    __kernel_timespec limit{timeout / 1'000'000'000, timeout % 1'000'000'000};
    static_cast<void>(
        entered(io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, timeout == kNever ? nullptr : &limit, nullptr)));
  }
  reap();
}

void Ring::reap() noexcept {
  // Each entry is given back before it is delivered, because what a completion does may need room in the queues.
  io_uring_cqe* next = nullptr;
  while (io_uring_cq_ready(&ring_) > 0 && io_uring_peek_cqe(&ring_, &next) == 0) {
    const io_uring_cqe cqe = *next;
    io_uring_cqe_seen(&ring_, next);
    note_buffers(cqe);
    auto* const request = reinterpret_cast<Request*>(cqe.user_data);
    if (request == nullptr) continue;
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) --in_flight_;
    request->complete(*request, *this, cqe);
  }
  most_held_ = std::max(most_held_, named_ - recycled_.load(std::memory_order_relaxed));
  if (starved_) [[unlikely]] {
    add_buffers();
  }
}

void Ring::drain() noexcept {
  draining_ = true;
  // Watches end with the ring. Some milliseconds after a thread has ended, the kernel ends what that thread asked for,
  // and nothing here waits for that.
  const auto left = [this] { return in_flight_ - watches_.size(); };
  if (left() == 0) return;
  const std::size_t left_behind = left();
  const Nanos end = now() + kDrainLimit;
  // Kernels before 5.19 can't cancel all at once. On them, requests of goroutines that were left behind end with the
  // ring.
  struct CancelAll : Request {
    CancelAll() noexcept
        : Request([](Request& self, Ring&, const io_uring_cqe& cqe) noexcept {
            static_cast<CancelAll&>(self).refused = cqe.res == -EINVAL;
          }) {}
    bool refused = false;
  } cancel_all;
  start(cancel_all, [](io_uring_sqe* sqe) {
    io_uring_prep_cancel(sqe, nullptr, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  });
  while (left() > 0 && !(cancel_all.refused && left() <= left_behind) && !failure_ && now() < end) {
    io_uring_cqe* cqe = nullptr;
    __kernel_timespec limit{0, 10'000'000};
    static_cast<void>(entered(io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &limit, nullptr)));
    reap();
  }
}

// --- wake-ups --------------------------------------------------------------------------------------------------------

// It is called just before a thread sleeps in the ring: for the first time, after another thread has slept in it, or
// when the thread's own request has ended.
void Ring::watch_wakeups() {
  if (watcher_ != std::thread::id()) prepare_cancel(&watches_.back());
  watcher_ = std::this_thread::get_id();
  start(watches_.emplace_back(&Ring::on_wakeup),
        [this](io_uring_sqe* sqe) { io_uring_prep_poll_multishot(sqe, wake_event_.fd(), POLLIN); });
}

void Ring::on_wakeup(Request& self, Ring& ring, const io_uring_cqe& cqe) noexcept {
  // A cancel that came with this wake-up, or with a raise() that take() answers, lies in the mailbox, which the next
  // poll() empties.
  ring.wake_event_.take();
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
  if (&self == &ring.watches_.back()) ring.watcher_ = {};
  ring.watches_.remove_if([&](const Request& watch) { return &watch == &self; });
}

// --- buffers ---------------------------------------------------------------------------------------------------------

std::string_view Ring::buffer(std::uint16_t id, std::size_t length) const noexcept {
  return {buffers_ + id * kBufferSize, length};
}

std::uint32_t Ring::buffers() const noexcept {
  const LockGuard lock(buffers_mutex_);
  return offered_;
}

void Ring::note_buffers(const io_uring_cqe& cqe) noexcept {
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    held_[cqe.flags >> IORING_CQE_BUFFER_SHIFT].store(true, std::memory_order_relaxed);
    ++named_;
  } else if (cqe.res == -ENOBUFS) {
    starved_ = true;
  }
}

void Ring::recycle(std::uint16_t id) noexcept {
  const LockGuard lock(buffers_mutex_);
  if (buffer_ring_ == nullptr) return;
  recycled_.store(recycled_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  held_[id].store(false, std::memory_order_relaxed);
  if (id < offered_) [[likely]] {
    offer_locked(id, id + 1U);
  } else {
    forget_contents(id);  // it was taken back while it was held
  }
}

// Gives the memory of a buffer back to the kernel, where a page is no larger than a buffer.
void Ring::forget_contents(std::uint32_t id) noexcept {
  static const bool kBufferIsPages = kBufferSize % static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) == 0;
  if (kBufferIsPages) ::madvise(buffers_ + id * kBufferSize, kBufferSize, MADV_DONTNEED);
}

// Offers those of the buffers to the kernel that nobody holds. The others come by way of recycle().
void Ring::offer_locked(std::uint32_t from, std::uint32_t to) noexcept {
  int n = 0;
  for (std::uint32_t id = from; id < to; ++id) {
    if (held_[id].load(std::memory_order_relaxed)) continue;
    io_uring_buf_ring_add(buffer_ring_, buffers_ + id * kBufferSize, kBufferSize, static_cast<std::uint16_t>(id),
                          io_uring_buf_ring_mask(kMostBuffers), n++);
  }
  io_uring_buf_ring_advance(buffer_ring_, n);
  offered_ = std::max(offered_, to);
}

void Ring::add_buffers() noexcept {
  starved_ = false;
  const LockGuard lock(buffers_mutex_);
  if (offered_ == kMostBuffers) return;
  has_grown_ = true;
  // They could not be registered when some were given back.
  if (offered_ == 0) {
    if (!register_buffers()) offer_locked(0, kLeastBuffers);
    return;
  }
  offer_locked(offered_, std::min(2 * offered_, kMostBuffers));
}

// Called before the ring sleeps, while it has more than the least buffers. Returns true when it may have delivered
// something, so that there is no time to sleep.
bool Ring::review_buffers() noexcept {
  const Nanos t = now();
  if (t - last_review_ < kReviewEvery) return false;
  last_review_ = t;
  give_buffers_back();
  most_held_ = 0;
  return true;
}

// Keeps twice as many as were held at a time since the last review. A group of buffers can't shrink, so it is
// registered anew. A receive that comes meanwhile ends as one that finds no buffer.
void Ring::give_buffers_back() noexcept {
  std::uint32_t keep = kLeastBuffers;
  while (keep < 2 * most_held_) keep *= 2;
  {
    const LockGuard lock(buffers_mutex_);
    if (keep >= offered_ || io_uring_unregister_buf_ring(&ring_, kBufferGroup) < 0) return;
  }
  // From here on the kernel takes no buffer. Those that it took are named by completions that are there already, in the
  // queue or in the kernel's overflow list behind it, and are held when both are empty.
  reap();
  while ((__atomic_load_n(ring_.sq.kflags, __ATOMIC_ACQUIRE) & IORING_SQ_CQ_OVERFLOW) != 0) {
    static_cast<void>(entered(io_uring_submit_and_get_events(&ring_)));
    reap();
  }
  const LockGuard lock(buffers_mutex_);
  const std::uint32_t before = std::exchange(offered_, 0);
  // Where the kernel refuses, receives find no buffer, and read for themselves.
  if (register_buffers()) return;
  for (std::uint32_t id = keep; id < before; ++id) {
    if (!held_[id].load(std::memory_order_relaxed)) forget_contents(id);
  }
  offer_locked(0, keep);
  has_grown_ = keep > kLeastBuffers;
}

}  // namespace weft::rt
