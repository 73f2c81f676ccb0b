// The io_uring backends, and the trial that each must pass at the start. The kernel's version says little, because
// distributions port features back to older kernels, and containers forbid them.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "runtime/src/base/errno.h"
#include "runtime/src/io/backends.h"
#include "runtime/src/io/ring.h"
#include "runtime/src/io/uring.h"

namespace weft::rt {
namespace {

class FdGuard {
 public:
  explicit FdGuard(int fd = -1) noexcept : fd_(fd) {}
  FdGuard(const FdGuard&) = delete;
  FdGuard& operator=(const FdGuard&) = delete;
  ~FdGuard() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }
  void reset(int fd) noexcept { fd_ = fd; }

 private:
  int fd_;
};

// Polls until done() is true, for at most a second, and returns whether it is. A poll that returns says nothing: where
// the kernel refuses to enter the ring, every poll returns at once.
template <typename Done>
bool poll_until(Ring& ring, Done done) noexcept {
  const Nanos end = now() + 1'000'000'000;
  while (!done() && !ring.failure() && now() < end) ring.poll(10'000'000);
  return done();
}

// Why a trial has failed: the ring can't be used at all, or this.
Error refusal(const Ring& ring, int error, const char* what) {
  return ring.failure() ? ring.failure() : Error(system_error(error), what);
}

// A request that notes its completions, for a trial.
struct Trial : Request {
  Trial() noexcept : Request(&Trial::done) {}
  static void done(Request& self, Ring& ring, const io_uring_cqe& cqe) noexcept {
    auto& trial = static_cast<Trial&>(self);
    ++trial.completions;
    trial.result = cqe.res;
    trial.more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
      trial.with_buffer = true;
      ring.recycle(static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT));
    }
  }
  // Polls until `n` completions have come. Returns false when they don't come.
  bool await(Ring& ring, int n) noexcept {
    return poll_until(ring, [&] { return completions >= n; });
  }
  // At the end of a trial's scope, ends what is in flight, before the trial itself is destroyed.
  struct Drain {
    Ring& ring;
    ~Drain() { ring.drain(); }
  };
  int completions = 0;
  int result = 0;
  bool more = false;
  bool with_buffer = false;
};

Error try_multishot_receive(Ring& ring) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
    return Error(last_system_error(), "socketpair");
  const FdGuard reader(pair[0]);
  FdGuard writer(pair[1]);
  Trial trial;
  const Trial::Drain drain{ring};
  ring.start(trial, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, reader.get(), nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kBufferGroup;
  });
  ring.submit();
  for (int i = 1; i <= 2; ++i) {
    static_cast<void>(::write(writer.get(), "x", 1));
    if (!trial.await(ring, i) || trial.result != 1 || !trial.more || !trial.with_buffer) {
      return refusal(ring, trial.result < 0 ? -trial.result : EOPNOTSUPP, "io_uring: multishot receive");
    }
  }
  ::close(writer.get());
  writer.reset(-1);
  return trial.await(ring, 3) ? Error() : refusal(ring, EIO, "io_uring: end of multishot receive");
}

Error try_multishot_accept(Ring& ring) {
  const FdGuard listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t length = sizeof(sa_family_t);  // the kernel picks an abstract name
  if (listener.get() < 0 || ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(listener.get(), 4) != 0) {
    return Error(last_system_error(), "io_uring: a socket to try accept on");
  }
  length = sizeof(address);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  Trial trial;
  const Trial::Drain drain{ring};
  ring.start(trial, [&](io_uring_sqe* sqe) {
    io_uring_prep_multishot_accept(sqe, listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
  });
  ring.submit();
  const FdGuard client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  static_cast<void>(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length));
  const bool came = trial.await(ring, 1);
  if (came && trial.result >= 0) ::close(trial.result);
  if (came && trial.result >= 0 && trial.more) return {};
  return refusal(ring, trial.result < 0 ? -trial.result : EOPNOTSUPP, "io_uring: multishot accept");
}

// The least that a plain ring must do is to tell that a file is ready. It is told so of every interrupt.
Error try_wake_up(Ring& ring) {
  ring.interrupt();
  if (poll_until(ring, [&] { return !ring.interrupt_pending(); })) return {};
  return refusal(ring, EIO, "io_uring: no completion for a poll on an eventfd");
}

template <Ring::Tier kTier>
class UringBackend final : public IoBackend {
 public:
  const char* name() const noexcept override { return kTier == Ring::Tier::full ? "io_uring" : "io_uring_plain"; }

  Result<std::unique_ptr<Poller>> make_poller() override {
    Result<std::shared_ptr<Ring>> ring = Ring::make(kTier, Ring::Purpose::service);
    if (!ring) return Unexpected(ring.error());
    return std::make_unique<RingPoller>(std::move(*ring));
  }

  Descriptor* make_descriptor(int fd, FdKind kind) override {
    const bool is_stream = kind == FdKind::stream || kind == FdKind::tcp;
    if (kTier == Ring::Tier::full && is_stream) return new StreamDescriptor(fd, kind, *this);
    return new RingDescriptor(fd, kind, *this);
  }
};

}  // namespace

Result<std::unique_ptr<Backend>> make_uring_backend() {
  Result<std::shared_ptr<Ring>> ring = Ring::make(Ring::Tier::full, Ring::Purpose::trial);
  if (!ring) return Unexpected(ring.error());
  Error error = try_multishot_receive(**ring);
  if (!error) error = try_multishot_accept(**ring);
  (*ring)->drain();
  if (error) return Unexpected(error);
  return std::make_unique<UringBackend<Ring::Tier::full>>();
}

Result<std::unique_ptr<Backend>> make_plain_uring_backend() {
  Result<std::shared_ptr<Ring>> ring = Ring::make(Ring::Tier::plain, Ring::Purpose::trial);
  if (!ring) return Unexpected(ring.error());
  const Error error = try_wake_up(**ring);
  (*ring)->drain();
  if (error) return Unexpected(error);
  return std::make_unique<UringBackend<Ring::Tier::plain>>();
}

}  // namespace weft::rt
