// This header has what the bare servers share: flags, the listener, the request count and the fixed reply.
//
// Nothing here parses HTTP: a request is what ends in an empty line, whatever stands before that line.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace peer {

struct Options {
  std::string address = "127.0.0.1:8080";  // dotted IPv4 and port
  int procs = 2;                           // threads that serve
  std::string body = "hello, you\n";       // the whole reply body
};

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline Options parse_options(int argc, char** argv, const char* summary) {
  Options options;
  auto usage = [&](FILE* out, int status) {
    std::fprintf(out, "%s\n\nusage: %s [--address IP:PORT] [--procs N] [--body TEXT]\n", summary, argv[0]);
    std::exit(status);
  };
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    if (flag == "--help") usage(stdout, 0);
    if (i + 1 == argc) usage(stderr, 2);
    std::string value = argv[++i];
    if (flag == "--address") {
      options.address = value;
    } else if (flag == "--procs") {
      options.procs = std::atoi(value.c_str());
    } else if (flag == "--body") {
      options.body = value;
    } else {
      usage(stderr, 2);
    }
  }
  if (options.procs < 1 || options.procs > 256) usage(stderr, 2);
  return options;
}

// SIGTERM ends a bare server at once with status 0, because the server has nothing to drain.
inline void exit_on_sigterm() {
  struct sigaction action {};
  action.sa_handler = [](int) { _exit(0); };
  sigaction(SIGTERM, &action, nullptr);
}

// Makes a listener. `flags` is SOCK_NONBLOCK or 0. The accepted sockets inherit TCP_NODELAY, so that none needs a call
// of its own.
inline int listen_on(const std::string& address, int flags) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  auto colon = address.rfind(':');
  if (colon == std::string::npos || inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    std::fprintf(stderr, "address %s: want dotted IPv4 and port\n", address.c_str());
    std::exit(2);
  }
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  int on = 1;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
    die("socket");
  }
  if (bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die("bind");
  if (listen(fd, 4096) != 0) die("listen");
  return fd;
}

// What is known of the end of the data read so far, where an empty line may have begun.
struct Tail {
  char bytes[3];
  std::uint8_t size = 0;
};

// How many bytes a caller of count_requests keeps free before its data.
inline constexpr std::size_t kTailRoom = sizeof(Tail::bytes);

// Counts the empty lines in `data`, including those that began in an earlier read. There are kTailRoom writable bytes
// before `data`.
inline std::size_t count_requests(char* data, std::size_t size, Tail& tail) {
  const char* at = data - tail.size;
  const char* end = data + size;
  std::memcpy(data - tail.size, tail.bytes, tail.size);
  const char* unclaimed = at;  // the bytes before it belong to an empty line that is counted already
  std::size_t requests = 0;
  while (end - at >= 4) {
    at = static_cast<const char*>(std::memchr(at, '\r', static_cast<std::size_t>(end - at) - 3));
    if (at == nullptr) break;
    if (std::memcmp(at, "\r\n\r\n", 4) == 0) {
      ++requests;
      at += 4;
      unclaimed = at;
    } else {
      ++at;
    }
  }
  auto rest = static_cast<std::size_t>(end - unclaimed);
  tail.size = static_cast<std::uint8_t>(rest < kTailRoom ? rest : kTailRoom);
  std::memcpy(tail.bytes, end - tail.size, tail.size);
  return requests;
}

// Many copies of one fixed reply, so that one write answers a burst of requests. An object belongs to one thread.
class Replies {
 public:
  explicit Replies(const std::string& body) {
    std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: ";
    date_at_ = head.size();
    std::string reply =
        head + std::string(kDateSize, ' ') + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    size_ = reply.size();
    for (int i = 0; i < kCopies; ++i) text_ += reply;
    refresh();
  }

  // Returns the size of one reply in bytes.
  std::size_t size() const { return size_; }

  // Writes the date into the replies when the second has changed. The clock is read in user space.
  void refresh() {
    timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec == second_) return;
    second_ = now.tv_sec;
    tm parts;
    gmtime_r(&now.tv_sec, &parts);
    char date[kDateSize + 1];
    std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    for (int i = 0; i < kCopies; ++i) std::memcpy(text_.data() + i * size_ + date_at_, date, kDateSize);
  }

  // Returns the replies from the byte where `owed` bytes remain. `n` is at most `owed`, and may be less.
  struct Span {
    const char* data;
    std::size_t n;
  };
  Span last(std::size_t owed) const {
    std::size_t begun = owed % size_ == 0 ? 0 : size_ - owed % size_;
    std::size_t room = text_.size() - begun;
    return {text_.data() + begun, owed < room ? owed : room};
  }

 private:
  static constexpr int kCopies = 256;
  static constexpr std::size_t kDateSize = 29;

  std::string text_;
  std::size_t size_ = 0;
  std::size_t date_at_ = 0;
  time_t second_ = 0;
};

}  // namespace peer
