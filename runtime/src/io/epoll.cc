// The epoll backend: edge-triggered. Each descriptor is registered once, for both directions, with the poller of the
// processor that was the first to wait for it.
//
// Reclamation. An event carries a pointer to its target: a descriptor, or a wait for a borrowed file. The target leaves
// the epoll set before its number is closed, and its memory is put on the set's retired list. poll() frees that list
// before its next epoll_wait. By then every event that was fetched earlier has been handled, and no later one can name
// the target. When the poller is gone, no event is handled any more, and memory is freed at once.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/io/backends.h"
#include "runtime/src/io/descriptor.h"
#include "runtime/src/io/wait_word.h"
#include "runtime/src/io/wake_event.h"
#include "runtime/src/sched/scheduler.h"

namespace weft::rt {
namespace {

constexpr int kEventsPerWait = 128;

// What a descriptor of both directions is told. A wait for one side asks for no more than that side: the edge of what
// nobody takes (an urgent byte, for one) is there again for every new registration, and would end every wait at once.
constexpr std::uint32_t kBothSides = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
constexpr std::uint32_t events_of(Side side) noexcept {
  return side == Side::read ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLOUT | EPOLLET;
}

// What an event names: where the goroutines wait that the event is for.
class EpollTarget {
 public:
  EpollTarget() = default;
  EpollTarget(const EpollTarget&) = delete;
  EpollTarget& operator=(const EpollTarget&) = delete;
  virtual ~EpollTarget() = default;

  void on_event(std::uint32_t events) noexcept {
    constexpr std::uint32_t kEndsReads = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;
    if ((events & kEndsReads) != 0) must_try_.store(true, std::memory_order_release);
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) on_peer_hung_up();
    if ((events & (EPOLLIN | kEndsReads)) != 0) words_[0].notify();
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) words_[1].notify();
  }
  WaitWord& word(Side side) noexcept { return words_[static_cast<unsigned>(side)]; }
  // True after an event that ends reads early.
  bool must_try_next() const noexcept { return must_try_.load(std::memory_order_acquire); }

  virtual void on_peer_hung_up() noexcept {}

  // Whom the set's retired list names next. It belongs to the list.
  EpollTarget* next_retired = nullptr;

 private:
  WaitWord words_[2];
  std::atomic<bool> must_try_{false};
};

// An epoll instance. The kernel's side goes with its poller; the object stays for the descriptors that are registered
// with it.
class EpollSet {
 public:
  static Result<std::shared_ptr<EpollSet>> make();
  ~EpollSet();

  std::error_code add(EpollTarget& target, int fd, std::uint32_t events) noexcept;
  // When a plain thread closes a file just while the poller goes, the call fails, because `fd` is in no other set.
  void remove(int fd) noexcept {
    if (polled()) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  }
  // Destroys the target, now or later. It needs no memory.
  void retire(EpollTarget* target) noexcept;
  void free_retired() noexcept;
  // Gives the epoll instance and the eventfd back. From then on nothing is retired, but destroyed at once.
  void end_polling() noexcept;
  bool polled() const noexcept { return polled_.load(std::memory_order_relaxed); }
  void poll(Nanos timeout) noexcept;
  void interrupt() noexcept { wake_event_.raise(); }

 private:
  int wait(epoll_event* events, Nanos timeout) noexcept;

  int epoll_ = -1;
  WakeEvent wake_event_;
  SpinMutex retired_mutex_;
  EpollTarget* retired_ WEFT_GUARDED_BY(retired_mutex_) = nullptr;  // the first; next_retired leads to the others
  std::atomic<bool> polled_{true};  // false when the poller is gone; written under retired_mutex_
};

class EpollPoller final : public Poller {
 public:
  explicit EpollPoller(std::shared_ptr<EpollSet> set) : set_(std::move(set)) {}
  ~EpollPoller() override { set_->end_polling(); }
  void poll(Nanos timeout) noexcept override { set_->poll(timeout); }
  void interrupt() noexcept override { set_->interrupt(); }
  const std::shared_ptr<EpollSet>& set() const noexcept { return set_; }

 private:
  const std::shared_ptr<EpollSet> set_;
};

std::shared_ptr<EpollSet> set_of(const Processor& processor) {
  return static_cast<EpollPoller&>(*processor.poller).set();
}

class EpollDescriptor final : public Descriptor, public EpollTarget {
 public:
  EpollDescriptor(int fd, FdKind kind, const IoBackend& backend) : Descriptor(fd, kind, backend) {}
  ~EpollDescriptor() override = default;

 protected:
  std::error_code wait(Side side) override {
    if (const std::error_code ec = enroll()) return ec;
    word(side).wait([&] { return static_cast<bool>(interrupted(side)); });
    return interrupted(side);
  }
  void interrupt(Side side) noexcept override { word(side).interrupt(); }
  // The edge of a hang-up comes once. hung_up() remembers it.
  std::error_code watch_hang_up() override { return enroll(); }
  void on_peer_hung_up() noexcept override { hung_up(); }
  // The edge of a hang-up that came together with data is spent, so the next read must not wait for another one. And
  // urgent data cuts reads short.
  bool must_try() const noexcept override { return must_try_next(); }
  void detach() noexcept override {
    if (EpollSet* const set = enrolled_in_.load(std::memory_order_acquire)) set->remove(fd());
  }
  void dispose() noexcept override {
    const std::shared_ptr<EpollSet> set = [this] {
      const LockGuard lock(enroll_mutex_);
      return set_;
    }();
    if (set == nullptr) {
      delete this;
    } else {
      set->retire(this);
    }
  }

 private:
  // Registers with the current processor's set, the first time that somebody must wait. The kernel then reports at once
  // what is ready already.
  std::error_code enroll() {
    if (const EpollSet* const set = enrolled_in_.load(std::memory_order_acquire))
      return set->polled() ? std::error_code() : make_error_code(Errc::closed);
    if (const std::error_code ec = ended_with_its_runtime()) return ec;
    const Pin pin{Pin::WithProcessor()};
    const LockGuard lock(enroll_mutex_);
    if (set_ != nullptr) return {};
    std::shared_ptr<EpollSet> set = set_of(*pin.processor());
    if (const std::error_code ec = set->add(*this, fd(), kBothSides)) return ec;
    set_ = std::move(set);
    enrolled_in_.store(set_.get(), std::memory_order_release);
    return {};
  }

  std::atomic<EpollSet*> enrolled_in_{nullptr};  // what set_ points to, for those who need no lock
  SpinMutex enroll_mutex_;                       // a reader and a writer may both be the first that waits
  std::shared_ptr<EpollSet> set_ WEFT_GUARDED_BY(enroll_mutex_);  // written once
};

// A borrowed file. Its owner may close it as soon as no wait is in flight. Its number may then name another file,
// perhaps one that is in the same epoll set. So the file is in a set only during a wait, and under a duplicate number
// that belongs to that wait. Each wait has a target of its own, because a late event may still name the target when the
// wait is over. The set keeps the target until then, as it keeps descriptors.
class BorrowedDescriptor final : public Descriptor {
 public:
  BorrowedDescriptor(int fd, const IoBackend& backend) : Descriptor(fd, FdKind::borrowed, backend) {}
  ~BorrowedDescriptor() override = default;

 protected:
  std::error_code wait(Side side) override;

  void interrupt(Side side) noexcept override {
    const LockGuard lock(waits_mutex_);
    if (EpollTarget* const target = waits_[static_cast<unsigned>(side)].target) target->word(side).interrupt();
  }
  void forget_wait(Side side) noexcept override {
    const LockGuard lock(waits_mutex_);
    const Wait wait = std::exchange(waits_[static_cast<unsigned>(side)], {});
    if (wait.duplicate >= 0) ::close(wait.duplicate);
  }
  std::error_code watch_hang_up() override { return std::make_error_code(std::errc::operation_not_supported); }

 private:
  struct Wait {
    EpollTarget* target = nullptr;
    int duplicate = -1;
  };
  void set_wait(Side side, const Wait& wait) noexcept {
    const LockGuard lock(waits_mutex_);
    waits_[static_cast<unsigned>(side)] = wait;
  }

  SpinMutex waits_mutex_;
  Wait waits_[2] WEFT_GUARDED_BY(waits_mutex_);  // those in flight
};

std::error_code BorrowedDescriptor::wait(Side side) {
  if (const std::error_code ec = ended_with_its_runtime()) return ec;
  std::unique_ptr<EpollTarget> target;
  try {
    target = std::make_unique<EpollTarget>();
  } catch (const std::bad_alloc&) {
    return system_error(ENOMEM);
  }
  const std::shared_ptr<EpollSet> set = [] {
    const Pin pin{Pin::WithProcessor()};
    return set_of(*pin.processor());
  }();
  const int duplicate = ::fcntl(fd(), F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) return last_system_error();
  // Who interrupts stores a flag, and then looks for the target under the lock. This goroutine shows the target under
  // the lock, and then looks at the flags (in WaitWord::wait). So this goroutine sees the flag, or the other one sees
  // the target.
  set_wait(side, {target.get(), duplicate});
  std::error_code ec = set->add(*target, duplicate, events_of(side));
  if (!ec) target->word(side).wait([&] { return static_cast<bool>(interrupted(side)); });
  set_wait(side, {});
  if (!ec) {
    set->remove(duplicate);
    ec = interrupted(side);
  }
  ::close(duplicate);
  set->retire(target.release());
  return ec;
}

// --- EpollSet --------------------------------------------------------------------------------------------------------

Result<std::shared_ptr<EpollSet>> EpollSet::make() {
  auto set = std::make_shared<EpollSet>();
  set->epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (set->epoll_ < 0) return Unexpected(Error(last_system_error(), "epoll_create1"));
  if (const std::error_code ec = set->wake_event_.open()) return Unexpected(Error(ec, "eventfd"));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  if (::epoll_ctl(set->epoll_, EPOLL_CTL_ADD, set->wake_event_.fd(), &event) != 0)
    return Unexpected(Error(last_system_error(), "epoll_ctl"));
  return set;
}

EpollSet::~EpollSet() { end_polling(); }

std::error_code EpollSet::add(EpollTarget& target, int fd, std::uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &target;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0 ? std::error_code() : last_system_error();
}

void EpollSet::retire(EpollTarget* target) noexcept {
  {
    const LockGuard lock(retired_mutex_);
    if (polled()) {
      target->next_retired = std::exchange(retired_, target);
      return;
    }
  }
  delete target;
}

void EpollSet::end_polling() noexcept {
  {
    const LockGuard lock(retired_mutex_);
    if (!polled_.exchange(false, std::memory_order_relaxed)) return;
  }
  if (epoll_ >= 0) ::close(epoll_);
  wake_event_.close();
  free_retired();
}

void EpollSet::free_retired() noexcept {
  EpollTarget* retired = nullptr;
  {
    const LockGuard lock(retired_mutex_);
    retired = std::exchange(retired_, nullptr);
  }
  while (retired != nullptr) delete std::exchange(retired, retired->next_retired);
}

// The timeout is in nanoseconds where the kernel has that (5.11), else in milliseconds, rounded up.
int EpollSet::wait(epoll_event* events, Nanos timeout) noexcept {
#ifdef SYS_epoll_pwait2
  static std::atomic<bool> has_pwait2{true};
  if (timeout > 0 && timeout != kNever && has_pwait2.load(std::memory_order_relaxed)) {
    const timespec limit{static_cast<time_t>(timeout / 1'000'000'000), static_cast<long>(timeout % 1'000'000'000)};
    const long n = ::syscall(SYS_epoll_pwait2, epoll_, events, kEventsPerWait, &limit, nullptr, 0);
    if (n >= 0 || (last_errno() != ENOSYS && last_errno() != EPERM)) return static_cast<int>(n);
    has_pwait2.store(false, std::memory_order_relaxed);
  }
#endif
  int milliseconds = -1;
  if (timeout != kNever) {
    constexpr Nanos kMaxMilliseconds = 1'000'000'000;
    milliseconds = static_cast<int>(std::min<Nanos>((timeout + 999'999) / 1'000'000, kMaxMilliseconds));
  }
  return ::epoll_wait(epoll_, events, kEventsPerWait, milliseconds);
}

// A signal ends a wait early. Any other failure is for good: no event would come any more, and every further wait would
// return at once.
void die_unless_interrupted(int error) noexcept {
  if (error == EINTR) return;
  fatal((Error(system_error(error), "epoll_wait").message() + ": no I/O can be done any more").c_str());
}

void EpollSet::poll(Nanos timeout) noexcept {
  free_retired();
  std::array<epoll_event, kEventsPerWait> events;
  const int n = wait(events.data(), timeout);
  if (n < 0) die_unless_interrupted(last_errno());
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr != nullptr) {
      static_cast<EpollTarget*>(event.data.ptr)->on_event(event.events);
    } else {
      wake_event_.take();
    }
  }
}

// --- the backend -----------------------------------------------------------------------------------------------------

class EpollBackend final : public IoBackend {
 public:
  const char* name() const noexcept override { return "epoll"; }
  Result<std::unique_ptr<Poller>> make_poller() override {
    Result<std::shared_ptr<EpollSet>> set = EpollSet::make();
    if (!set) return Unexpected(set.error());
    return std::make_unique<EpollPoller>(std::move(*set));
  }
  Descriptor* make_descriptor(int fd, FdKind kind) override {
    if (kind == FdKind::borrowed) return new BorrowedDescriptor(fd, *this);
    return new EpollDescriptor(fd, kind, *this);
  }
};

}  // namespace

std::unique_ptr<Backend> make_epoll_backend() { return std::make_unique<EpollBackend>(); }

}  // namespace weft::rt
