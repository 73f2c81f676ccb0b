// A server on a real socket and a raw client, for tests on every poller and width.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "weft/chan.h"
#include "weft/go.h"
#include "weft/http/request.h"
#include "weft/http/server.h"
#include "weft/mutex.h"
#include "weft/net/address.h"
#include "weft/net/dial.h"

namespace weft::http::test {

// A limit for what happens soon on any machine, however slow.
inline constexpr std::chrono::seconds kPatience{60};

// A server on a port of its own, which a goroutine serves. The destructor closes the server and waits for its end.
class Running {
 public:
  explicit Running(ServerOptions options) : server(with_log(std::move(options))) {
    auto listener = net::listen("tcp", "127.0.0.1:0");
    EXPECT_TRUE(listener.has_value()) << (listener ? "" : listener.error().message());
    address = net::to_string(listener->address());
    go([server = server, listener = *listener, result = result] { result.send(server.serve(listener)); });
  }
  ~Running() {
    server.close();
    if (!served_) static_cast<void>(wait());
  }

  // Waits for serve() and returns its error.
  Error wait() {
    served_ = true;
    return *result.recv();
  }

  std::string log() {
    const std::lock_guard lock(*mutex_);
    return *lines_;
  }

 private:
  ServerOptions with_log(ServerOptions options) {
    options.log = [mutex = mutex_, lines = lines_](LogLevel, std::string_view line) {
      const std::lock_guard lock(*mutex);
      *lines += std::string(line) + "\n";
    };
    return options;
  }

  std::shared_ptr<Mutex> mutex_ = std::make_shared<Mutex>();
  std::shared_ptr<std::string> lines_ = std::make_shared<std::string>();
  bool served_ = false;

 public:
  Server server;
  std::string address;
  Chan<Error> result = make_chan<Error>(1);
};

// A raw client.
class Client {
 public:
  explicit Client(const std::string& address) {
    auto dialed = net::dial(background(), "tcp", address);
    EXPECT_TRUE(dialed.has_value()) << (dialed ? "" : dialed.error().message());
    if (dialed) conn = *dialed;
    conn.set_deadline(std::chrono::steady_clock::now() + kPatience);
  }
  ~Client() {
    if (conn) static_cast<void>(conn.close());
  }

  void send(std::string_view text) { EXPECT_FALSE(conn.write(text).ec); }

  // Reads one response: the head, and the body by its Content-Length. Empty at the end of the stream.
  std::string response() {
    std::size_t head = 0;
    while ((head = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return std::exchange(buffer_, "");
    }
    std::size_t size = head + 4;
    const std::size_t length = buffer_.find("Content-Length: ");
    if (length < head) size += std::stoul(buffer_.substr(length + 16));
    while (buffer_.size() < size && more()) {
    }
    std::string response = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return response;
  }

  // Reads up to the end of a response's head; may have some of its body, too.
  std::string response_head() {
    while (buffer_.find("\r\n\r\n") == std::string::npos && more()) {
    }
    return std::exchange(buffer_, "");
  }

  // Reads everything up to the end of the stream.
  std::string rest() {
    while (more()) {
    }
    return std::exchange(buffer_, "");
  }

  // What response() has read beyond the response.
  std::string take_read() { return std::exchange(buffer_, ""); }

  std::string ask(std::string_view target) {
    send("GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    return response();
  }

  // Whether the connection ends within `limit`.
  bool ends(std::chrono::milliseconds limit = kPatience) {
    conn.set_read_deadline(std::chrono::steady_clock::now() + limit);
    char byte = 0;
    const IoResult got = conn.read({&byte, 1});
    return got.n == 0 && !(got.ec == Condition::deadline_exceeded);
  }

  net::Conn conn;
  std::error_code error;

 private:
  bool more() {
    char bytes[16384];
    const IoResult got = conn.read(bytes);
    buffer_.append(bytes, got.n);
    error = got.ec;
    return got.n > 0;
  }

  std::string buffer_;
};

inline std::string body_of(const std::string& response) {
  const std::size_t head = response.find("\r\n\r\n");
  return head == std::string::npos ? "" : response.substr(head + 4);
}

inline bool says_close(const std::string& response) {
  return response.find("\r\nConnection: close\r\n") != std::string::npos;
}

inline void echo_path(ResponseWriter& w, Request& r) { static_cast<void>(w.write(r.path())); }

}  // namespace weft::http::test
