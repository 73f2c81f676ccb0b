// The floor over io_uring, with multishot accept, and multishot recv into provided buffers.
//
// Each of the N threads has a ring of its own (SINGLE_ISSUER, DEFER_TASKRUN). The first thread's ring accepts from the
// one listener, and the thread deals the sockets in turn: a message to the other ring carries the number of the socket.
// bare_epoll.cc says why it deals.
//
// One io_uring_enter submits the sends of the last batch and waits for the next batch. A burst is answered by one send
// that may not block and that posts no completion when it succeeds. Only when the socket is full, a completion comes,
// and a second send follows that waits for room.
//
// A Connection is touched only by the thread it was dealt to.
#include <liburing.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "peer.h"

namespace {

constexpr unsigned kSubmissions = 1024;
constexpr unsigned kCompletions = 32768;  // never overflows: closing relies on seeing every failed send
constexpr unsigned kBuffers = 1024;       // a power of two
constexpr std::size_t kStride = 4096;
constexpr std::size_t kHeadroom = 8;  // holds the tail of the read before
static_assert(kHeadroom >= peer::kTailRoom);
constexpr int kBufferGroup = 0;

// What a completion is about: the low bits of its user data, above which stands a Connection* or a socket's number.
enum Kind : std::uint64_t { kRecv, kSend, kAccept, kDealt, kUndealt, kKindMask = 7 };

struct Connection {
  int fd;
  std::size_t owed = 0;   // bytes of replies that are not sent yet
  bool queued = false;    // in Worker::to_send_
  bool sending = false;   // a send that waits for room is in flight
  bool full = false;      // the last send found no room: the next one waits for it
  bool ended = false;     // nothing more will be read
  std::size_t hoped = 0;  // bytes of the last send that may not wait: sent, unless a completion says otherwise
  peer::Tail tail{};
};

[[noreturn]] void die(const char* what, int error) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(error));
  std::exit(1);
}

class Worker {
 public:
  explicit Worker(const peer::Options& options) : replies_(options.body) {}

  // Called on the thread that serves, before any other call.
  void open() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = kCompletions;
    int error = io_uring_queue_init_params(kSubmissions, &ring_, &params);
    if (error != 0) die("io_uring_queue_init", -error);
    io_uring_register_ring_fd(&ring_);

    std::size_t table = kBuffers * sizeof(io_uring_buf);
    void* memory =
        mmap(nullptr, table + kBuffers * kStride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap", errno);
    buffers_ = static_cast<io_uring_buf_ring*>(memory);
    storage_ = static_cast<char*>(memory) + table;
    io_uring_buf_reg reg{};
    reg.ring_addr = reinterpret_cast<std::uint64_t>(buffers_);
    reg.ring_entries = kBuffers;
    reg.bgid = kBufferGroup;
    error = io_uring_register_buf_ring(&ring_, &reg, 0);
    if (error != 0) die("io_uring_register_buf_ring", -error);
    io_uring_buf_ring_init(buffers_);
    for (unsigned i = 0; i < kBuffers; ++i) give_back(static_cast<std::uint16_t>(i));
  }

  // Makes this worker the one that accepts, for all of `workers`.
  void accept_for(int listener, const std::vector<std::unique_ptr<Worker>>& workers) {
    listener_ = listener;
    workers_ = &workers;
    arm_accept();
  }

  [[noreturn]] void serve() {
    for (;;) {
      if (returned_ > 0) io_uring_buf_ring_advance(buffers_, returned_);
      returned_ = 0;
      int error = io_uring_submit_and_wait(&ring_, 1);
      if (error < 0 && error != -EINTR) die("io_uring_enter", -error);
      if (waiting_sends_ == 0) replies_.refresh();
      unsigned head, seen = 0;
      io_uring_cqe* cqe;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        on_completion(*cqe);
        ++seen;
      }
      io_uring_cq_advance(&ring_, seen);
      for (Connection* c : to_send_) send_owed(c);
      to_send_.clear();
    }
  }

 private:
  // The io_uring_prep_* calls clear the user data, so callers set the user data afterwards.
  io_uring_sqe* next_sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
      if (sqe == nullptr) die("io_uring_get_sqe", EBUSY);
    }
    return sqe;
  }

  static std::uint64_t tag(Connection* c, Kind kind) { return reinterpret_cast<std::uint64_t>(c) | kind; }

  void arm_accept() {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, kAccept);
  }

  void arm_recv(Connection* c) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, c->fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kBufferGroup;
    io_uring_sqe_set_data64(sqe, tag(c, kRecv));
  }

  void on_completion(const io_uring_cqe& cqe) {
    auto* c = reinterpret_cast<Connection*>(cqe.user_data & ~std::uint64_t{kKindMask});
    switch (cqe.user_data & kKindMask) {
      case kAccept:
        return on_accept(cqe);
      case kDealt:
        return arm_recv(new Connection{static_cast<int>(cqe.user_data >> 3)});
      case kRecv:
        return on_recv(c, cqe);
      case kSend:
        return on_send(c, cqe.res);
      case kUndealt:
        die("io_uring_prep_msg_ring", -cqe.res);
    }
  }

  void on_accept(const io_uring_cqe& cqe) {
    if (cqe.res >= 0) {
      Worker& to = *(*workers_)[next_++ % workers_->size()];
      if (&to == this) {
        arm_recv(new Connection{cqe.res});
      } else {
        io_uring_sqe* sqe = next_sqe();
        io_uring_prep_msg_ring(sqe, to.ring_.ring_fd, 0, static_cast<std::uint64_t>(cqe.res) << 3 | kDealt, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(sqe, kUndealt);
      }
    } else if (cqe.res != -ECONNABORTED && cqe.res != -EINTR) {
      die("accept", -cqe.res);
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm_accept();
  }

  void on_recv(Connection* c, const io_uring_cqe& cqe) {
    if (cqe.res > 0) {
      auto buffer = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      char* data = storage_ + buffer * kStride + kHeadroom;
      std::size_t requests = peer::count_requests(data, static_cast<std::size_t>(cqe.res), c->tail);
      give_back(buffer);
      c->owed += requests * replies_.size();
      if (requests > 0) queue(c);
    }
    if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
    if (cqe.res > 0 || cqe.res == -ENOBUFS) return arm_recv(c);
    c->ended = true;
    queue(c);
  }

  void queue(Connection* c) {
    if (c->queued || c->sending) return;
    c->queued = true;
    to_send_.push_back(c);
  }

  // Sends what is owed, or closes. A send that may wait keeps the connection out of to_send_ until the send is
  // complete, so that replies never overtake each other.
  void send_owed(Connection* c) {
    c->queued = false;
    if (c->owed == 0) {
      if (!c->ended) return;
      close(c->fd);
      delete c;
      return;
    }
    auto span = replies_.last(c->owed);
    bool may_wait = c->full || c->ended || span.n < c->owed;
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, c->fd, span.data, span.n, MSG_NOSIGNAL | MSG_WAITALL | (may_wait ? 0 : MSG_DONTWAIT));
    if (may_wait) {
      c->full = false;
      c->sending = true;
      ++waiting_sends_;
    } else {
      sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
      c->owed = 0;
      c->hoped = span.n;
    }
    io_uring_sqe_set_data64(sqe, tag(c, kSend));
  }

  // Called when a send that may wait is complete, or when a send that may not wait has failed. The completion of the
  // latter is there before the next batch is looked at, because that send ran inside the io_uring_enter that submitted
  // it.
  void on_send(Connection* c, int result) {
    if (c->sending) {
      c->sending = false;
      --waiting_sends_;
    } else {
      c->owed += c->hoped;
      c->full = true;
    }
    if (result >= 0) {
      c->owed -= static_cast<std::size_t>(result);
    } else if (result != -EAGAIN) {
      c->owed = 0;  // the connection is broken, and the recv will tell
    }
    queue(c);
  }

  void give_back(std::uint16_t buffer) {
    io_uring_buf_ring_add(buffers_, storage_ + buffer * kStride + kHeadroom, kStride - kHeadroom, buffer,
                          io_uring_buf_ring_mask(kBuffers), returned_++);
  }

  peer::Replies replies_;
  io_uring ring_{};
  io_uring_buf_ring* buffers_ = nullptr;
  char* storage_ = nullptr;
  int returned_ = 0;            // buffers given back and not yet shown to the kernel
  unsigned waiting_sends_ = 0;  // they read replies_, which must not change until they are done
  std::vector<Connection*> to_send_;
  int listener_ = -1;
  std::size_t next_ = 0;
  const std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  auto options = peer::parse_options(argc, argv, "HTTP hello over bare io_uring: the other floor of the load test.");
  peer::exit_on_sigterm();
  int listener = peer::listen_on(options.address, 0);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < options.procs; ++i) workers.push_back(std::make_unique<Worker>(options));
  std::latch opened(options.procs);
  for (int i = 1; i < options.procs; ++i) {
    std::thread([&workers, &opened, i] {
      workers[i]->open();
      opened.arrive_and_wait();
      workers[i]->serve();
    }).detach();
  }
  workers[0]->open();
  opened.arrive_and_wait();
  workers[0]->accept_for(listener, workers);
  workers[0]->serve();
}
