// The io_uring backend's descriptors.
//
// RingDescriptor (plain tier): operations try the system call and wait for readiness by a one-shot poll request on the
// ring of the processor that the goroutine runs on. A wait returns only after its request's completion was reaped.
// Whether the peer hangs up is watched by one more poll request, which stays in flight from the first time that
// somebody asks until the hang-up or the close.
//
// StreamDescriptor (full tier, stream sockets): one multishot request receives into the ring's buffers, so an idle
// connection holds none, and to receive costs no system call per read. A multishot request accepts, too. What has
// arrived lies in arrived_ until it is read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/io/descriptor.h"
#include "runtime/src/io/ring.h"
#include "runtime/src/io/wait_word.h"

namespace weft::rt {

class Machine;

class RingDescriptor : public Descriptor {
 public:
  RingDescriptor(int fd, FdKind kind, const IoBackend& backend) : Descriptor(fd, kind, backend) {}

 protected:
  std::error_code wait(Side side) override;
  void interrupt(Side side) noexcept override;
  std::error_code watch_hang_up() override;
  void cancel_requests() noexcept override;

 private:
  // A wait in flight, on the goroutine's stack.
  struct PollRequest : Request {
    PollRequest(RingDescriptor& d, Side s) noexcept;
    RingDescriptor& descriptor;
    const Side side;
    Waiter waiter;
    std::shared_ptr<Ring> ring;
    int result = 0;
  };
  static bool start_poll(void* request) noexcept;
  static void poll_done(Request& request, Ring& ring, const io_uring_cqe& cqe) noexcept;

  // The watch for a hang-up. While it is armed it owns the descriptor's memory and its number, as a multishot request
  // does. The other fields are guarded by polls_mutex_.
  struct HangUpPoll : Request {
    explicit HangUpPoll(RingDescriptor& d) noexcept : Request(&RingDescriptor::hang_up_polled), descriptor(d) {}
    void start() noexcept;
    RingDescriptor& descriptor;
    std::shared_ptr<Ring> ring;
    bool armed = false;
    bool cancelling = false;
  };
  static void hang_up_polled(Request& request, Ring& ring, const io_uring_cqe& cqe) noexcept;

  SpinMutex polls_mutex_;
  PollRequest* polls_[2] WEFT_GUARDED_BY(polls_mutex_) = {nullptr, nullptr};  // the waits in flight
  std::unique_ptr<HangUpPoll> hang_up_poll_ WEFT_GUARDED_BY(polls_mutex_);    // made when somebody first asks
};

// A stream's multishot request, whose memory is part of the descriptor.
//
// armed_ is true from arm() until the request's last completion. Meanwhile the request owns the descriptor's memory and
// its number. Only the reader (side lock) arms; the ring's machine delivers. The kernel posts completions by way of the
// thread that submitted the request, and late when that thread computes. So a request that another machine armed than
// the one that delivers is cancelled, and the reader arms anew. (Who arms nearly always submits, too. Where not, the
// next holder submits the request, which is at worst late.)
// All that lies in arrived_ came from ring_, because arm() is called only when
// arrived_ is empty.
class StreamDescriptor final : public RingDescriptor {
 public:
  StreamDescriptor(int fd, FdKind kind, const IoBackend& backend);
  ~StreamDescriptor() override;

 protected:
  IoResult do_read(std::span<char> buffer) override;
  IoResult do_try_read(std::span<char> buffer) override;
  AcceptResult do_accept(sockaddr* peer, socklen_t room) override;
  AcceptResult do_accept_now(sockaddr* peer, socklen_t room) override;
  std::error_code do_wait_readable() override;
  void interrupt(Side side) noexcept override;
  void cancel_requests() noexcept override;
  void detach() noexcept override { discard_arrivals(); }

 private:
  // A buffer of the ring with bytes in it, or an accepted socket.
  struct Arrival {
    std::uint32_t length;  // receive: bytes not yet read
    std::uint32_t offset;
    int id;  // receive: the buffer's id; accept: the socket
  };
  enum class Kind { receive, accept };

  struct Multishot : Request {
    Multishot(Complete fn, StreamDescriptor& d) noexcept : Request(fn), descriptor(d) {}
    StreamDescriptor& descriptor;
  };
  static void delivered(Request& request, Ring& ring, const io_uring_cqe& cqe) noexcept;
  bool deliver_locked(Ring& ring, const io_uring_cqe& cqe) WEFT_REQUIRES(mutex_);

  void forget_taken_locked() noexcept WEFT_REQUIRES(mutex_);
  int take_socket_locked() noexcept WEFT_REQUIRES(mutex_);
  std::size_t take_bytes_locked(std::span<char> buffer) noexcept WEFT_REQUIRES(mutex_);
  Attempt attempt_read(std::span<char> buffer) noexcept;
  // Waits for an arrival. Arms the request first when it is not in flight.
  std::error_code wait_for_arrival(Kind kind);
  bool arm(Kind kind);
  void discard_arrivals() noexcept;

  Multishot request_;
  WaitWord arrivals_;
  SpinMutex mutex_;
  std::vector<Arrival> arrived_ WEFT_GUARDED_BY(mutex_);  // from first_ on
  std::size_t first_ WEFT_GUARDED_BY(mutex_) = 0;
  int failure_ WEFT_GUARDED_BY(mutex_) = 0;  // errno's number of a request that failed; reported once
  Kind kind_ WEFT_GUARDED_BY(mutex_) = Kind::receive;
  bool ended_ WEFT_GUARDED_BY(mutex_) = false;  // the peer finished sending
  bool armed_ WEFT_GUARDED_BY(mutex_) = false;
  bool cancelling_ WEFT_GUARDED_BY(mutex_) = false;
  bool starved_ WEFT_GUARDED_BY(mutex_) = false;  // the last receive found no buffer; the reader has not tried since
  std::shared_ptr<Ring> ring_ WEFT_GUARDED_BY(mutex_);
  const Machine* armed_by_ WEFT_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace weft::rt
