// The floor over epoll: what the kernel alone costs for HTTP hello.
//
// Each of the N threads has an epoll of its own. The first thread watches the one listener and deals the accepted
// sockets in turn into the threads' epolls (epoll_ctl may be called from any thread). SO_REUSEPORT listeners would
// choose by a hash instead: of 128 connections, 64 ± 6 (a binomial share) would land on each of two threads, and the
// fuller thread would set the pace. Dealing gives 64 and 64 in every run, and costs nothing once the connections stand.
//
// A connection is registered once, edge-triggered, for input, output and the peer's close. An event reads until a
// short read (which tells that the socket is empty), counts the empty lines, and answers the burst with one send. So a
// request costs one recv, one send, and its share of an epoll_wait.
//
// A Connection is touched only by the thread it was dealt to.
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "peer.h"

namespace {

constexpr std::size_t kReadSize = 64 * 1024;
constexpr int kEvents = 256;
constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

struct Connection {
  int fd;
  std::size_t owed = 0;  // bytes of replies that are not sent yet
  bool ended = false;    // nothing more will be read
  peer::Tail tail{};
};

class Worker {
 public:
  explicit Worker(const peer::Options& options) : replies_(options.body), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) peer::die("epoll_create1");
  }

  // Called on the accepting thread.
  void adopt(int fd) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = new Connection{fd};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) peer::die("epoll_ctl");
  }

  // Makes this worker the one that accepts, for all of `workers`.
  void accept_for(int listener, const std::vector<std::unique_ptr<Worker>>& workers) {
    listener_ = listener;
    workers_ = &workers;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, listener, &event) != 0) peer::die("epoll_ctl");
  }

  [[noreturn]] void serve() {
    std::array<epoll_event, kEvents> events;
    for (;;) {
      int n = epoll_wait(epoll_, events.data(), kEvents, -1);
      if (n < 0 && errno != EINTR) peer::die("epoll_wait");
      replies_.refresh();
      for (int i = 0; i < n; ++i) {
        if (events[i].data.ptr == nullptr) {
          accept_all();
        } else {
          on_event(static_cast<Connection*>(events[i].data.ptr), events[i].events);
        }
      }
    }
  }

 private:
  void accept_all() {
    for (;;) {
      int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EAGAIN) return;
        if (errno == EINTR || errno == ECONNABORTED) continue;
        peer::die("accept4");
      }
      (*workers_)[next_++ % workers_->size()]->adopt(fd);
    }
  }

  void on_event(Connection* c, std::uint32_t events) {
    if (flush(c) && !c->ended && (events & ~EPOLLOUT) != 0) {
      c->owed += read_all(c, (events & kEnd) != 0) * replies_.size();
    }
    if (flush(c) && c->ended) {
      close(c->fd);
      delete c;
    }
  }

  // Returns how many requests it has read when the socket is empty or has ended. After a short read the next arrival is
  // a new edge. An end that this event already told of is no new edge, so with `to_end` it reads on to the end.
  std::size_t read_all(Connection* c, bool to_end) {
    char* data = buffer_.data() + peer::kTailRoom;
    std::size_t requests = 0;
    for (;;) {
      ssize_t n = recv(c->fd, data, kReadSize, 0);
      if (n > 0) {
        requests += peer::count_requests(data, static_cast<std::size_t>(n), c->tail);
        if (static_cast<std::size_t>(n) < kReadSize && !to_end) return requests;
      } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        c->ended = true;
        return requests;
      } else if (errno == EAGAIN) {
        return requests;
      }
    }
  }

  // Returns true when nothing is owed any more: all is sent, or the connection is broken, which a read or an edge will
  // tell. Returns false when the socket is full; its next edge calls again.
  bool flush(Connection* c) {
    while (c->owed > 0) {
      auto span = replies_.last(c->owed);
      ssize_t n = send(c->fd, span.data, span.n, MSG_NOSIGNAL);
      if (n >= 0) {
        c->owed -= static_cast<std::size_t>(n);
      } else if (errno == EAGAIN) {
        return false;
      } else if (errno != EINTR) {
        c->owed = 0;
      }
    }
    return true;
  }

  peer::Replies replies_;
  int epoll_;
  int listener_ = -1;
  std::size_t next_ = 0;
  const std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
  std::array<char, peer::kTailRoom + kReadSize> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  auto options = peer::parse_options(argc, argv, "HTTP hello over bare epoll: the floor of the load test.");
  peer::exit_on_sigterm();
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < options.procs; ++i) workers.push_back(std::make_unique<Worker>(options));
  workers[0]->accept_for(peer::listen_on(options.address, SOCK_NONBLOCK), workers);
  for (int i = 1; i < options.procs; ++i) std::thread([&workers, i] { workers[i]->serve(); }).detach();
  workers[0]->serve();
}
