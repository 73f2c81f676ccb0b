// Loads a server, sends it SIGTERM, and checks that it drains.
//
// The verdict for each connection, when the clients keep their connections (--clients keep-alive):
//   before the signal   Every reply is whole and 200; nothing is closed or refused.
//   after the signal    A reply that began is whole and 200; otherwise it is a violation ("torn").
//                       The server may end a connection between replies, with a clean end (FIN). If a request is then
//                       under way and has got not one byte of its reply, it counts as "unanswered", or as a reset (RST)
//                       when the server closed its socket while the request lay unread in it. Both are violations,
//                       unless --lost is "count".
//                       A connection opened after the signal may be refused, ended or reset before its reply begins.
//
// When the clients make a connection for each request (--clients connecting), they go on until the process is gone.
// Before the signal the verdict is the same. After the signal, a connection ends in one of these ways:
//   answered              with a whole reply, 200; a torn one is a violation.
//   unanswered            The client was connected, had sent its request, and got not one byte, however that ended.
//                         These are counted, and are no violation.
//   ended early           The client was connected, but the end came before it had sent its request ("late_ended").
//   refused               The client was never connected.
//
// At the end the process must be gone within --deadline, and no connection may be left open.
//
// The client prints one line of JSON: the counts, and the first violations in words. Its exit status is 1 when there
// are violations.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <vector>

#include "reply.h"

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kRetry{2};        // between attempts to connect again
constexpr milliseconds kPatience{5000};  // for the first replies of a slow server, in addition to --load
constexpr milliseconds kGrace{300};      // for the ends of connections to arrive once the process is gone
constexpr std::size_t kMaxNamed = 10;

struct Options {
  std::string address;
  std::string path = "/hello/you";
  std::string body;  // expected, unless empty
  int pid = 0;
  int connections = 64;
  milliseconds load{1000};
  milliseconds deadline{10000};
  bool losses_violate = true;
  bool connecting = false;
};

struct Connection {
  int fd = -1;
  bool late = false;       // opened after the signal
  bool connected = false;  // the handshake has succeeded
  bool asked = false;      // a request is under way
  bool sent = false;       // ... and the kernel has taken all of it
  bool last = false;       // the server announced Connection: close
  std::size_t replies = 0;
  std::string data;  // the reply so far
  Clock::time_point retry_at{};
};

class Drain {
 public:
  explicit Drain(Options options)
      : options_(std::move(options)),
        to_(peer::parse_address(options_.address)),
        request_(peer::get_request(options_.address, options_.path, options_.connecting)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        process_(static_cast<int>(syscall(SYS_pidfd_open, options_.pid, 0))),
        connections_(static_cast<std::size_t>(options_.connections)) {
    if (process_ < 0) {
      std::perror("drain_client: pidfd_open");
      std::exit(2);
    }
  }

  int run() {
    for (auto& c : connections_) open(c);
    auto start = Clock::now();
    run_until(start + options_.load, false);
    while (!all_answered() && Clock::now() < start + options_.load + kPatience) {
      run_until(Clock::now() + milliseconds(10), false);
    }
    for (auto& c : connections_) {
      if (c.replies == 0) violation("before the signal: a connection without a single reply");
    }
    signaled_ = true;
    auto signal_at = Clock::now();
    syscall(SYS_pidfd_send_signal, process_, SIGTERM, nullptr, 0);
    run_until(signal_at + options_.deadline, true);
    auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - signal_at);
    bool gone = process_gone();
    if (gone) {
      closing_ = true;
      run_until(Clock::now() + kGrace, false);
    } else {
      violation("after the signal: the process still runs at the deadline");
    }
    for (auto& c : connections_) {
      if (c.fd < 0) continue;
      if (c.connected) {
        violation("at the end: a connection is still open");
      } else {
        ++refused_;  // its handshake has had no answer
      }
    }
    print(gone, took);
    return violations_ == 0 ? 0 : 1;
  }

 private:
  bool process_gone() const {
    pollfd p{process_, POLLIN, 0};
    return poll(&p, 1, 0) == 1;
  }

  bool all_answered() const {
    for (auto& c : connections_) {
      if (c.replies == 0) return false;
    }
    return true;
  }

  bool all_closed() const {
    for (auto& c : connections_) {
      if (c.fd >= 0) return false;
    }
    return true;
  }

  void run_until(Clock::time_point end, bool until_gone) {
    epoll_event events[64];
    while (Clock::now() < end) {
      if (until_gone && process_gone()) return;
      if (closing_ && all_closed()) return;
      int n = epoll_wait(epoll_, events, 64, 5);
      for (int i = 0; i < n; ++i) on_event(connections_[events[i].data.u32], events[i].events);
      if (!signaled_ || closing_) continue;
      auto now = Clock::now();
      for (auto& c : connections_) {
        if (c.fd < 0 && now >= c.retry_at) open(c);
      }
    }
  }

  void open(Connection& c) {
    auto replies = c.replies;
    c = Connection{};
    c.replies = replies;
    c.late = signaled_;
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (c.fd < 0) {
      std::perror("drain_client: socket");
      std::exit(2);
    }
    if (connect(c.fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) != 0 && errno != EINPROGRESS) {
      return ended(c, errno);
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u32 = static_cast<std::uint32_t>(&c - connections_.data());
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
  }

  void on_event(Connection& c, std::uint32_t events) {
    if (c.fd < 0) return;
    if (!c.connected) {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      c.connected = error == ECONNRESET;  // a handshake that fails is refused, so this one had succeeded
      if (error != 0) return ended(c, error);
      if ((events & EPOLLOUT) == 0) return;
      c.connected = true;
      if (!ask(c)) return;
    }
    receive(c);
  }

  // Returns false when the connection is broken. A request is smaller than any socket buffer, so a short send is not
  // handled.
  bool ask(Connection& c) {
    c.asked = true;
    c.data.clear();
    ssize_t n = send(c.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
    c.sent = n == static_cast<ssize_t>(request_.size());
    if (c.sent) return true;
    // The server's end may have come first, so what the server sent is read before the verdict.
    int error = errno;
    if (error != EPIPE) {
      ended(c, error);
      return false;
    }
    return true;
  }

  void receive(Connection& c) {
    char buffer[16384];
    for (;;) {
      ssize_t n = recv(c.fd, buffer, sizeof buffer, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return ended(c, n == 0 ? 0 : errno);
      if (!c.asked) {
        violation("bytes that no request asked for");
        return close_connection(c);
      }
      c.data.append(buffer, static_cast<std::size_t>(n));
      auto scan = peer::scan_reply(c.data);
      if (scan.state == peer::ReplyScan::State::incomplete) continue;
      if (!check(c, scan)) return close_connection(c);
      ++c.replies;
      ++(signaled_ ? replies_after_ : replies_before_);
      c.asked = false;
      c.last = scan.close;
      c.data.clear();
      if (options_.connecting) {
        close_connection(c);
        if (!closing_) open(c);
        return;
      }
      if (c.last && !signaled_) violation("before the signal: Connection: close");
      if (!c.last && !closing_ && !ask(c)) return;
    }
  }

  bool check(const Connection& c, const peer::ReplyScan& scan) {
    if (scan.state == peer::ReplyScan::State::malformed) return violation("a malformed reply: " + c.data.substr(0, 80));
    if (scan.status != 200) return violation("status " + std::to_string(scan.status));
    if (c.data.size() != scan.size) return violation("bytes after the reply");
    if (!options_.body.empty() && !c.data.ends_with("\r\n\r\n" + options_.body)) return violation("another body");
    return true;
  }

  // Called when the connection has come to an end. `error` is 0 for a clean end.
  void ended(Connection& c, int error) {
    std::string how = error == 0 ? "end of stream" : std::strerror(error);
    if (!signaled_) {
      violation("before the signal: " + how);
    } else if (!c.data.empty()) {
      violation("torn: a reply ended after " + std::to_string(c.data.size()) + " bytes: " + how);
    } else if (options_.connecting) {
      ++(!c.connected ? refused_ : c.sent ? unanswered_ : late_ended_);
    } else if (c.late) {
      ++(c.connected ? late_ended_ : refused_);
    } else if (error == 0 && !c.asked) {
      ++clean_;
    } else if (c.asked && !options_.losses_violate) {
      ++(error == 0 ? unanswered_ : resets_);
    } else {
      ++(error == 0 ? unanswered_ : resets_);
      violation(std::string(error == 0 ? "end: " : "reset: ") +
                (c.asked ? "a request without an answer: " : "between requests: ") + how);
    }
    close_connection(c);
  }

  void close_connection(Connection& c) {
    close(c.fd);
    c.fd = -1;
    c.retry_at = Clock::now() + kRetry;
  }

  // Returns false, always.
  bool violation(std::string what) {
    ++violations_;
    if (named_.size() < kMaxNamed) named_.push_back(std::move(what));
    return false;
  }

  void print(bool gone, milliseconds took) const {
    std::printf(
        "{\"replies_before\": %zu, \"replies_after\": %zu, \"clean\": %zu, \"unanswered\": %zu, \"resets\": %zu, "
        "\"refused\": %zu, \"late_ended\": %zu, \"gone\": %s, \"took_ms\": %lld, \"violations\": %zu, \"named\": [",
        replies_before_, replies_after_, clean_, unanswered_, resets_, refused_, late_ended_, gone ? "true" : "false",
        static_cast<long long>(took.count()), violations_);
    for (std::size_t i = 0; i < named_.size(); ++i) {
      std::string text;
      for (char ch : named_[i]) text += ch < ' ' || ch == '"' || ch == '\\' ? '.' : ch;
      std::printf("%s\"%s\"", i == 0 ? "" : ", ", text.c_str());
    }
    std::printf("]}\n");
  }

  Options options_;
  sockaddr_in to_;
  std::string request_;
  int epoll_;
  int process_;
  std::vector<Connection> connections_;
  bool signaled_ = false;
  bool closing_ = false;  // the process is gone, and nothing new is asked
  std::size_t replies_before_ = 0;
  std::size_t replies_after_ = 0;
  std::size_t clean_ = 0;       // ended between requests, or after Connection: close
  std::size_t unanswered_ = 0;  // ended with a request under way: cleanly, or in any way when each has its connection
  std::size_t resets_ = 0;
  std::size_t refused_ = 0;     // late connects that did not succeed
  std::size_t late_ended_ = 0;  // late connections that ended without a reply, or without a request
  std::size_t violations_ = 0;
  std::vector<std::string> named_;
};

Options parse(int argc, char** argv) {
  Options options;
  auto usage = [&] {
    std::fprintf(stderr,
                 "usage: %s --address IP:PORT --pid PID [--path PATH] [--body TEXT] [--connections N]\n"
                 "  [--load MS] [--deadline MS] [--lost fail|count] [--clients keep-alive|connecting]\n",
                 argv[0]);
    std::exit(2);
  };
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--address") {
      options.address = value;
    } else if (flag == "--pid") {
      options.pid = std::atoi(value.c_str());
    } else if (flag == "--path") {
      options.path = value;
    } else if (flag == "--body") {
      options.body = value;
    } else if (flag == "--connections") {
      options.connections = std::atoi(value.c_str());
    } else if (flag == "--load") {
      options.load = milliseconds(std::atoi(value.c_str()));
    } else if (flag == "--deadline") {
      options.deadline = milliseconds(std::atoi(value.c_str()));
    } else if (flag == "--lost") {
      options.losses_violate = value != "count";
    } else if (flag == "--clients") {
      options.connecting = value == "connecting";
    } else {
      usage();
    }
  }
  if (options.address.empty() || options.pid <= 0 || options.connections < 1 || options.connections > 10000) usage();
  return options;
}

}  // namespace

int main(int argc, char** argv) { return Drain(parse(argc, argv)).run(); }
