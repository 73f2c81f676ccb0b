// Opens many keep-alive connections, gets one reply on each, and holds them idle.
//
// The client prints one line of JSON when all are open, and holds them until its stdin ends. Then it checks that the
// server closed none of them and still answers on some, and prints a second line. Its exit status is 1 when a
// connection failed or was closed.
//
// A source address has some 28000 ports to one destination. So the connections come from 127.0.0.2, 127.0.0.3 and so
// on, 10000 from each.
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "reply.h"

namespace {

constexpr int kPerSource = 10000;
constexpr int kBatch = 128;        // connections that wait for their first reply at the same time
constexpr int kRevived = 256;      // connections asked again after the hold
constexpr unsigned kLimit = 300;   // seconds until SIGALRM ends the client, whatever happens
constexpr int kReplyTimeout = 10;  // seconds

[[noreturn]] void fail(const char* what, int index) {
  std::fprintf(stderr, "idle_client: connection %d: %s: %s\n", index, what,
               errno != 0 ? std::strerror(errno) : "ended");
  std::exit(1);
}

int connect_from(const sockaddr_in& to, int index) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket", index);
  int on = 1;
  timeval timeout{kReplyTimeout, 0};
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + static_cast<std::uint32_t>(index / kPerSource));
  if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0) {
    fail("setsockopt", index);
  }
  if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) fail("bind", index);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect", index);
  return fd;
}

void ask(int fd, const std::string& request, int index) {
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    fail("send", index);
  }
}

void expect_reply(int fd, int index) {
  char data[4096];
  std::size_t size = 0;
  for (;;) {
    errno = 0;
    ssize_t n = recv(fd, data + size, sizeof data - size, 0);
    if (n <= 0) fail("recv", index);
    size += static_cast<std::size_t>(n);
    auto scan = peer::scan_reply({data, size});
    errno = EPROTO;
    if (scan.state == peer::ReplyScan::State::malformed || size == sizeof data) fail("reply", index);
    if (scan.state != peer::ReplyScan::State::complete) continue;
    if (scan.status != 200 || scan.close || scan.size != size) fail("reply", index);
    return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s IP:PORT PATH CONNECTIONS\n", argv[0]);
    return 2;
  }
  alarm(kLimit);
  sockaddr_in to = peer::parse_address(argv[1]);
  std::string request = peer::get_request(argv[1], argv[2]);
  int connections = std::atoi(argv[3]);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  std::vector<int> fds;
  while (static_cast<int>(fds.size()) < connections) {
    std::size_t first = fds.size();
    for (int i = 0; i < kBatch && static_cast<int>(fds.size()) < connections; ++i) {
      int index = static_cast<int>(fds.size());
      fds.push_back(connect_from(to, index));
      ask(fds.back(), request, index);
    }
    for (std::size_t i = first; i < fds.size(); ++i) expect_reply(fds[i], static_cast<int>(i));
  }
  std::printf("{\"open\": %zu}\n", fds.size());
  std::fflush(stdout);

  for (char ignored[64]; read(STDIN_FILENO, ignored, sizeof ignored) > 0;) {
  }

  std::size_t closed = 0;
  for (int fd : fds) {
    char byte;
    if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0 || errno != EAGAIN) ++closed;
  }
  int revived = 0;
  if (closed == 0) {
    for (; revived < kRevived && revived < connections; ++revived) {
      ask(fds[revived], request, revived);
      expect_reply(fds[revived], revived);
    }
  }
  std::printf("{\"closed_by_server\": %zu, \"revived\": %d}\n", closed, revived);
  return closed == 0 ? 0 : 1;
}
