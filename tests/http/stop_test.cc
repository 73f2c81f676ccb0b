// The server stops while clients connect and ask all the time. No client that has connected and sent its request goes
// without its whole response.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/running_server.h"
#include "support/matrix.h"
#include "support/scale.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/http/errc.h"
#include "weft/http/server.h"
#include "weft/time.h"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr std::string_view kRequest = "GET /stop HTTP/1.1\r\nHost: h\r\n\r\n";

// What the clients of one stop have seen.
struct Seen {
  std::atomic<bool> stopped{false};  // the server has come to its end: nobody connects any more
  std::atomic<int> answered{0};
  std::mutex mutex;
  std::vector<std::string> unanswered;
};

// A client on a thread of its own, with sockets that block, so that nothing in it depends on what it tests.
class Asker {
 public:
  Asker(int port, int requests_per_connection, Seen& seen)
      : port_(port), requests_(requests_per_connection), seen_(seen), thread_([this] { run(); }) {}
  ~Asker() { thread_.join(); }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

 private:
  void run() {
    while (true) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      const bool go_on = connect(fd) && ask_on(fd);
      ::close(fd);
      if (!go_on) return;
    }
  }

  // Whether the socket is connected. Where the server has ended, nobody waits for the second try of a handshake.
  bool connect(int fd) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port_));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0) return true;
    if (errno != EINPROGRESS) return false;
    while (true) {
      const bool stopped = seen_.stopped.load(std::memory_order_acquire);
      if (is_ready(fd, POLLOUT, 5)) break;
      if (stopped) return false;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0;
  }

  static bool is_ready(int fd, short events, int milliseconds) {
    pollfd p{fd, events, 0};
    return ::poll(&p, 1, milliseconds) == 1;
  }

  // Whether the client may go on with another connection.
  bool ask_on(int fd) {
    for (int i = 0; i < requests_; ++i) {
      std::string why;
      const std::string response = ask(fd, why);
      if (!response.ends_with("\r\n\r\n/stop")) {
        const std::lock_guard lock(seen_.mutex);
        seen_.unanswered.push_back("request " + std::to_string(i) + " of its connection: " + why + ": " + response);
        return false;
      }
      seen_.answered.fetch_add(1, std::memory_order_relaxed);
      if (says_close(response)) break;
    }
    return true;
  }

  // The response, as far as it comes; `why` says what ends it.
  static std::string ask(int fd, std::string& why) {
    if (::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kRequest.size())) {
      why = std::string("send: ") + std::strerror(errno);
      return {};
    }
    std::string response;
    while (!response.ends_with("\r\n\r\n/stop")) {
      if (!is_ready(fd, POLLIN, 30'000)) {
        why = "silence";
        return response;
      }
      char bytes[1024];
      const ssize_t n = ::recv(fd, bytes, sizeof(bytes), 0);
      if (n <= 0) {
        why = n == 0 ? "end of stream" : std::strerror(errno);
        return response;
      }
      response.append(bytes, static_cast<std::size_t>(n));
    }
    return response;
  }

  const int port_;
  const int requests_;
  Seen& seen_;
  std::thread thread_;
};

WEFT_MATRIX_TEST(HttpStop, LosesNoClient) {
  constexpr int kClients = 16;
  std::minstd_rand random(std::random_device{}());
  for (int stop = 0; stop < 5 * weft::testing::kScale; ++stop) {
    Seen seen;
    Running running({.handler = echo_path});
    const int port = std::stoi(running.address.substr(running.address.rfind(':') + 1));
    std::vector<std::unique_ptr<Asker>> askers;
    for (int c = 0; c < kClients; ++c) askers.push_back(std::make_unique<Asker>(port, c % 2 == 0 ? 1 : 1000, seen));
    while (seen.answered.load(std::memory_order_relaxed) < 4 * kClients) sleep(1ms);
    sleep(std::chrono::microseconds(random() % 3000));
    EXPECT_FALSE(running.server.shutdown(with_timeout(background(), kPatience).first));
    EXPECT_EQ(running.wait().code(), Errc::server_closed);
    seen.stopped.store(true, std::memory_order_release);
    blocking([&] { askers.clear(); });
    EXPECT_EQ(seen.unanswered, std::vector<std::string>()) << "stop " << stop;
    EXPECT_EQ(running.log(), "");
    if (!seen.unanswered.empty()) break;
  }
}

}  // namespace
}  // namespace weft::http
