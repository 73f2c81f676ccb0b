// The server on real sockets, for every poller and width.
#include "weft/http/server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/running_server.h"
#include "support/files.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/http/errc.h"
#include "weft/http/helpers.h"
#include "weft/http/mux.h"
#include "weft/net/address.h"
#include "weft/net/dial.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using namespace test;
using Clock = std::chrono::steady_clock;

WEFT_MATRIX_TEST(HttpServer, KeepsTheConnection) {
  Running running({.handler = echo_path});
  Client client(running.address);
  for (const std::string path : {"/1", "/2", "/3"}) {
    const std::string response = client.ask(path);
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n")) << response;
    EXPECT_EQ(body_of(response), path);
  }
  const ServerStats stats = running.server.stats();
  EXPECT_EQ(stats.connections, 1U);
  EXPECT_EQ(stats.requests, 3U);
  EXPECT_EQ(stats.open, 1U);
}

WEFT_MATRIX_TEST(HttpServer, CountsConnectionsThatHaveEnded) {
  Running running({.handler = echo_path});
  for (int i = 0; i < 3; ++i) {
    Client client(running.address);
    for (const std::string path : {"/1", "/2"}) EXPECT_EQ(body_of(client.ask(path)), path);
  }
  while (running.server.stats().open > 0) sleep(1ms);
  const ServerStats stats = running.server.stats();
  EXPECT_EQ(stats.connections, 3U);
  EXPECT_EQ(stats.requests, 6U);
}

WEFT_MATRIX_TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/slow") sleep(20ms);
    echo_path(w, r);
  }});
  Client client(running.address);
  std::string burst;
  for (const std::string path : {"/slow", "/2", "/3"}) burst += "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n";
  client.send(burst);
  for (const std::string path : {"/slow", "/2", "/3"}) EXPECT_EQ(body_of(client.response()), path);
}

// 64 requests of 64 bytes, as many bytes as one read takes, and more of them behind. `last`: the 64th.
std::string long_pipeline(std::string_view last) {
  const auto request = [](int number, std::string_view field) {
    std::string head = "GET /" + std::to_string(100 + number) + " HTTP/1.1\r\nHost: h\r\n";
    head.append(field).append("X: ");
    head.append(64 - head.size() - 4, 'x');
    return head + "\r\n\r\n";
  };
  std::string burst;
  for (int i = 1; i <= 200; ++i) burst += request(i, i == 64 ? last : "");
  return burst;
}

// What the client has sent behind the last request that is answered does not reset the connection.
WEFT_MATRIX_TEST(HttpServer, AnswersAllBeforeAnEndInAPipeline) {
  Running running({.handler = echo_path});
  Client client(running.address);
  client.send(long_pipeline("Connection: close\r\n"));
  sleep(20ms);
  for (int i = 1; i <= 64; ++i) EXPECT_EQ(body_of(client.response()), "/" + std::to_string(100 + i));
  EXPECT_TRUE(client.ends());
}

WEFT_MATRIX_TEST(HttpServer, ServesManyConnections) {
  constexpr int kClients = 40;
  constexpr int kRequests = 25;
  Running running({.handler = echo_path});
  WaitGroup group;
  std::atomic<int> right{0};
  for (int c = 0; c < kClients; ++c) {
    group.go([&, c] {
      Client client(running.address);
      for (int i = 0; i < kRequests; ++i) {
        const std::string path = "/" + std::to_string(c) + "/" + std::to_string(i);
        if (body_of(client.ask(path)) == path) right.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  group.wait();
  EXPECT_EQ(right.load(std::memory_order_relaxed), kClients * kRequests);
  EXPECT_EQ(running.server.stats().requests, static_cast<std::uint64_t>(kClients * kRequests));
}

WEFT_MATRIX_TEST(HttpServer, MalformedRequestsHurtOnlyThemselves) {
  Running running({.handler = echo_path});
  Client neighbour(running.address);
  EXPECT_EQ(body_of(neighbour.ask("/before")), "/before");
  for (const std::string_view bad :
       {"nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"}) {
    Client client(running.address);
    client.send(bad);
    const std::string response = client.rest();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 400 Bad Request\r\n")) << response;
    EXPECT_TRUE(says_close(response));
    EXPECT_TRUE(client.error == Condition::eof) << client.error.message();
  }
  // The reply arrives although the client goes on sending.
  Client big(running.address);
  big.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
  const std::string filler(2 << 20, 'x');
  static_cast<void>(big.conn.write(filler));
  EXPECT_TRUE(big.rest().starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
  EXPECT_EQ(body_of(neighbour.ask("/after")), "/after");
}

[[gnu::noinline]] void throw_bad_luck() { throw std::runtime_error("bad\nluck"); }

WEFT_MATRIX_TEST(HttpServer, ExceptionsEndTheirConnectionAlone) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/throw") throw_bad_luck();
    if (r.path() == "/abort") throw AbortHandler();
    echo_path(w, r);
  }});
  Client neighbour(running.address);
  EXPECT_EQ(body_of(neighbour.ask("/1")), "/1");
  Client thrower(running.address);
  const std::string failed = thrower.ask("/throw");
  EXPECT_TRUE(failed.starts_with("HTTP/1.1 500 Internal Server Error\r\n")) << failed;
  EXPECT_TRUE(says_close(failed));
  EXPECT_EQ(thrower.rest(), "");
  Client aborter(running.address);
  EXPECT_EQ(aborter.ask("/abort"), "");
  EXPECT_EQ(body_of(neighbour.ask("/2")), "/2");
  const std::string log = running.log();
  EXPECT_TRUE(log.starts_with("http: panic serving 127.0.0.1:")) << log;
  EXPECT_NE(log.find(": GET \"/throw\": \"std::runtime_error: bad\\nluck\", thrown in goroutine "), std::string::npos)
      << log;
  EXPECT_NE(log.find("throw_bad_luck"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

WEFT_MATRIX_TEST(HttpServer, ExitGoroutineEndsItsConnectionAlone) {
  std::atomic<int> destroyed{0};
  struct Counts {
    std::atomic<int>& n;
    ~Counts() { n.fetch_add(1, std::memory_order_relaxed); }
  };
  Running running({.handler = [&](ResponseWriter& w, Request& r) {
    const Counts counts{destroyed};
    if (r.path() == "/exit") exit_goroutine();
    if (r.path() == "/blocking") blocking([] { exit_goroutine(); });
    echo_path(w, r);
  }});
  Client neighbour(running.address);
  EXPECT_EQ(body_of(neighbour.ask("/1")), "/1");
  for (const std::string path : {"/exit", "/blocking", "/exit"}) {
    Client client(running.address);
    EXPECT_EQ(body_of(client.ask("/before")), "/before");
    EXPECT_EQ(client.ask(path), "");
    EXPECT_EQ(body_of(neighbour.ask("/after")), "/after");
  }
  EXPECT_EQ(destroyed.load(std::memory_order_relaxed), 10);
  EXPECT_EQ(running.log(), "");
  // Nobody waits for the connections that ended this way.
  EXPECT_FALSE(running.server.shutdown(with_timeout(background(), kPatience).first));
  EXPECT_EQ(running.server.stats().open, 0U);
}

WEFT_MATRIX_TEST(HttpServer, StreamsBodiesBothWays) {
  const std::string content(3 << 20, 'x');
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    w.header().set("Content-Type", "x/y");
    w.header().set("Content-Length", std::to_string(r.content_length()));
    std::vector<char> buffer(10000);
    // Reading goes on while the response is under way; the client below reads and writes at the same time.
    w.header().set("Connection", "close");
    while (true) {
      const IoResult got = r.body().read(buffer);
      if (got.n > 0 && w.write({buffer.data(), got.n}).ec) return;
      if (got.ec) return;
    }
  }});
  Client client(running.address);
  go([conn = client.conn, content] {
    const std::string head =
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(content.size()) + "\r\n\r\n";
    static_cast<void>(conn.write(head));
    static_cast<void>(conn.write(content));
  });
  EXPECT_TRUE(body_of(client.rest()) == content);
}

WEFT_MATRIX_TEST(HttpServer, SaysContinueOnTheFirstRead) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/read") return static_cast<void>(w.write(*r.read_body(100)));
    static_cast<void>(w.write("no"));
  }});
  Client reader(running.address);
  reader.send("POST /read HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(reader.response(), "HTTP/1.1 100 Continue\r\n\r\n");
  reader.send("abc");
  EXPECT_EQ(body_of(reader.response()), "abc");
  Client ignorer(running.address);
  ignorer.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  const std::string response = ignorer.rest();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n")) << response;
  EXPECT_TRUE(says_close(response));
}

WEFT_MATRIX_TEST(HttpServer, ShutdownLetsRequestsFinish) {
  const auto entered = make_chan<int>(2);
  const auto release = make_chan<int>();
  Running running({.handler = [entered, release](ResponseWriter& w, Request& r) {
    if (r.path() == "/slow") {
      entered.send(1);
      release.recv();
    }
    echo_path(w, r);
  }});
  const auto hooked = make_chan<int>(1);
  running.server.on_shutdown([hooked] { hooked.send(1); });
  Client idle(running.address);
  EXPECT_EQ(body_of(idle.ask("/idle")), "/idle");
  Client busy(running.address);
  busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.recv();

  const auto done = make_chan<Error>(1);
  go([server = running.server, done] { done.send(server.shutdown(background())); });
  EXPECT_TRUE(idle.ends());
  hooked.recv();
  EXPECT_FALSE(net::dial(background(), "tcp", running.address).has_value());
  sleep(100ms);
  EXPECT_FALSE(running.result.try_recv().has_value()) << "serve returns after the drain";
  EXPECT_FALSE(done.try_recv().has_value()) << "shutdown returns after the drain";
  release.close();
  const std::string response = busy.rest();
  EXPECT_EQ(body_of(response), "/slow");
  EXPECT_TRUE(says_close(response));
  EXPECT_FALSE(*done.recv());
  EXPECT_EQ(running.wait().code(), Errc::server_closed);
  EXPECT_EQ(running.server.stats().open, 0U);
}

WEFT_MATRIX_TEST(HttpServer, ShutdownGivesUpAtItsDeadline) {
  const auto entered = make_chan<int>(1);
  const auto release = make_chan<int>();
  Running running({.handler = [entered, release](ResponseWriter& w, Request& r) {
    entered.send(1);
    release.recv();
    echo_path(w, r);
  }});
  Client busy(running.address);
  busy.send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.recv();
  const auto [ctx, cancel] = with_timeout(background(), 50ms);
  EXPECT_TRUE(running.server.shutdown(ctx) == Condition::deadline_exceeded);
  EXPECT_EQ(running.server.stats().active, 1U);
  release.close();
  EXPECT_EQ(body_of(busy.rest()), "/busy");
  EXPECT_EQ(running.wait().code(), Errc::server_closed);
  EXPECT_FALSE(running.server.shutdown(background()));
}

// A shutdown in a goroutine of its own.
class Shutdown {
 public:
  explicit Shutdown(const Running& running, const Context& ctx = background()) {
    const auto begun = make_chan<int>(1);
    running.server.on_shutdown([begun] { begun.send(1); });
    go([server = running.server, ctx, done = done_] { done.send(server.shutdown(ctx)); });
    begun.recv();
  }
  Error wait() { return *done_.recv(); }
  Clock::duration age() const { return Clock::now() - start_; }

  // So long the server waits for requests.
  static constexpr std::chrono::milliseconds kGrace{500};

 private:
  const Clock::time_point start_ = Clock::now();
  Chan<Error> done_ = make_chan<Error>(1);
};

// Connections that are new, idle or in the middle of a head have half a second. What comes in time is served.
WEFT_MATRIX_TEST(HttpServer, ShutdownWaitsALittleForRequests) {
  Running running({.handler = echo_path, .read_header_timeout = 1h});
  Client fresh(running.address);
  Client idle(running.address);
  Client half(running.address);
  Client second_half(running.address);
  EXPECT_EQ(body_of(idle.ask("/1")), "/1");
  EXPECT_EQ(body_of(second_half.ask("/1")), "/1");
  half.send("GET /late HT");
  second_half.send("GET /late HT");
  while (running.server.stats().open < 4 || running.server.stats().idle > 1) sleep(1ms);
  Shutdown shutdown(running);
  sleep(20ms);
  fresh.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
  idle.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
  half.send("TP/1.1\r\nHost: h\r\n\r\n");
  second_half.send("TP/1.1\r\nHost: h\r\n\r\n");
  for (Client* const client : {&fresh, &idle, &half, &second_half}) {
    const std::string response = client->response();
    if (response.empty() && shutdown.age() >= Shutdown::kGrace) continue;  // a machine may be too slow to use the grace
    EXPECT_EQ(body_of(response), "/late");
    EXPECT_TRUE(says_close(response));
    EXPECT_TRUE(client->ends());
  }
  EXPECT_FALSE(shutdown.wait());
}

WEFT_MATRIX_TEST(HttpServer, ShutdownEndsWhoSendsNoRequest) {
  Running running({.handler = echo_path, .read_header_timeout = 1h, .idle_timeout = 1h});
  Client silent(running.address);
  Client half(running.address);
  Client second_half(running.address);
  Client dripping(running.address);
  Client idle(running.address);
  EXPECT_EQ(body_of(idle.ask("/1")), "/1");
  EXPECT_EQ(body_of(second_half.ask("/1")), "/1");
  for (Client* const client : {&half, &second_half, &dripping}) client->send("GET / HTTP/1.1\r\nHost: h\r\n");
  while (running.server.stats().open < 5) sleep(1ms);
  Shutdown shutdown(running);
  WaitGroup group;
  group.go([&] {
    while (!dripping.ends(20ms)) static_cast<void>(dripping.conn.write("X: 1\r\n"));
  });
  for (Client* const client : {&silent, &half, &second_half, &idle}) {
    EXPECT_TRUE(client->ends());
    EXPECT_GE(shutdown.age(), Shutdown::kGrace);
    static_cast<void>(client->conn.close());
  }
  group.wait();
  EXPECT_LE(shutdown.age(), kPatience);
  EXPECT_FALSE(shutdown.wait());
}

// The grace is half of the context's time when that is short, and the connections end, too, when it is up.
WEFT_MATRIX_TEST(HttpServer, ShutdownWithLittleTimeEndsWhoSendsNoRequest) {
  for (const auto time : {-1ms, 1ms, 4000ms}) {
    Running running({.handler = echo_path, .read_header_timeout = 1h, .idle_timeout = 1h});
    Client idle(running.address);
    Client half(running.address);
    EXPECT_EQ(body_of(idle.ask("/1")), "/1");
    half.send("GET / HTTP/1.1\r\n");
    while (running.server.stats().open < 2 || running.server.stats().idle > 1) sleep(1ms);
    const auto [ctx, cancel] = with_timeout(background(), time);
    const Error error = running.server.shutdown(ctx);
    cancel();
    EXPECT_TRUE(!error || error == Condition::deadline_exceeded);
    EXPECT_TRUE(idle.ends());
    EXPECT_TRUE(half.ends());
    static_cast<void>(idle.conn.close());
    EXPECT_EQ(running.wait().code(), Errc::server_closed);
    EXPECT_FALSE(running.server.shutdown(background()));
  }
}

// A body may take longer than the grace, also when it had not begun before.
WEFT_MATRIX_TEST(HttpServer, ShutdownWaitsForBodies) {
  Running running({.handler = [](ResponseWriter& w, Request& r) { static_cast<void>(w.write(*r.read_body(100))); }});
  Client early(running.address);
  Client late(running.address);
  early.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
  late.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Le");
  while (running.server.stats().requests < 1 || running.server.stats().open < 2) sleep(1ms);
  Shutdown shutdown(running);
  late.send("ngth: 6\r\n\r\nabc");
  sleep(Shutdown::kGrace + 100ms);
  for (Client* const client : {&early, &late}) {
    client->send("def");
    const std::string response = client->response();
    EXPECT_EQ(body_of(response), "abcdef");
    EXPECT_TRUE(says_close(response));
  }
  EXPECT_FALSE(shutdown.wait());
}

// The requests of a pipeline that are here are all answered, and the last response announces the end.
WEFT_MATRIX_TEST(HttpServer, ShutdownAnswersThePipeline) {
  const auto entered = make_chan<int>(1);
  const auto release = make_chan<int>();
  Running running({.handler = [=](ResponseWriter& w, Request& r) {
    if (r.path() == "/1") {
      entered.send(1);
      release.recv();
    }
    echo_path(w, r);
  }});
  Client client(running.address);
  std::string burst;
  for (const std::string path : {"/1", "/2", "/3"}) burst += "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n";
  client.send(burst);
  entered.recv();
  Shutdown shutdown(running);
  release.close();
  for (const std::string path : {"/1", "/2", "/3"}) {
    const std::string response = client.response();
    EXPECT_EQ(body_of(response), path);
    EXPECT_TRUE(says_close(response) == (path == "/3") || shutdown.age() >= Shutdown::kGrace) << response;
  }
  EXPECT_TRUE(client.ends());
  EXPECT_FALSE(shutdown.wait());
}

// The same for more requests than one read takes.
WEFT_MATRIX_TEST(HttpServer, ShutdownAnswersALongPipeline) {
  const auto entered = make_chan<int>(1);
  const auto release = make_chan<int>();
  Running running({.handler = [=](ResponseWriter& w, Request& r) {
    if (r.path() == "/101") {
      entered.send(1);
      release.recv();
    }
    echo_path(w, r);
  }});
  Client client(running.address);
  client.send(long_pipeline(""));
  entered.recv();
  Shutdown shutdown(running);
  release.close();
  for (int i = 1; i <= 200; ++i) {
    const std::string response = client.response();
    EXPECT_EQ(body_of(response), "/" + std::to_string(100 + i));
    if (shutdown.age() >= Shutdown::kGrace) return;  // a slow machine
    EXPECT_EQ(says_close(response), i == 200);
  }
  EXPECT_TRUE(client.ends());
  EXPECT_FALSE(shutdown.wait());
}

// A response whose head was written before the shutdown can't announce the end. So the next request is served, too.
WEFT_MATRIX_TEST(HttpServer, ShutdownServesWhoCouldNotKnow) {
  const auto entered = make_chan<int>(1);
  const auto release = make_chan<int>();
  Running running({.handler = [=](ResponseWriter& w, Request& r) {
    if (r.path() == "/1") {
      w.header().set("Content-Length", "2");
      EXPECT_FALSE(w.flush());
      entered.send(1);
      release.recv();
    }
    echo_path(w, r);
  }});
  Client client(running.address);
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.recv();
  Shutdown shutdown(running);
  sleep(Shutdown::kGrace + 100ms);  // the grace begins when the response ends
  release.close();
  const std::string first = client.response();
  EXPECT_EQ(body_of(first), "/1");
  EXPECT_FALSE(says_close(first));
  const auto asked = Clock::now();
  static_cast<void>(client.conn.write("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
  const std::string second = client.response();
  EXPECT_TRUE((body_of(second) == "/2" && says_close(second)) || Clock::now() - asked >= Shutdown::kGrace) << second;
  EXPECT_FALSE(shutdown.wait());
}

// Who has connected is served, though nobody has accepted him when the shutdown begins.
WEFT_MATRIX_TEST(HttpServer, ShutdownBeforeServeServesTheBacklog) {
  auto listener = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(listener.has_value());
  Client client(net::to_string(listener->address()));
  client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  const Server server({.handler = echo_path});
  EXPECT_FALSE(server.shutdown(background()));
  EXPECT_EQ(server.serve(*listener).code(), Errc::server_closed);
  const std::string response = client.response();
  EXPECT_EQ(body_of(response), "/x");
  EXPECT_TRUE(says_close(response));
  EXPECT_EQ(listener->close(), make_error_code(weft::Errc::closed));
}

// Several shutdowns at the same time are one.
WEFT_MATRIX_TEST(HttpServer, ShutdownsMeet) {
  const auto entered = make_chan<int>(1);
  const auto release = make_chan<int>();
  Running running({.handler = [=](ResponseWriter& w, Request& r) {
    entered.send(1);
    release.recv();
    echo_path(w, r);
  }});
  Client busy(running.address);
  busy.send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.recv();
  Shutdown one(running);
  Shutdown two(running);
  const auto [ctx, cancel] = with_timeout(background(), 10ms);
  EXPECT_TRUE(running.server.shutdown(ctx) == Condition::deadline_exceeded);
  release.close();
  EXPECT_EQ(body_of(busy.rest()), "/busy");
  EXPECT_FALSE(one.wait());
  EXPECT_FALSE(two.wait());
}

// A stream and an acceptor that offer no more than they must.
class PlainStream final : public net::Stream {
 public:
  explicit PlainStream(net::Conn below) : below_(std::move(below)) {}
  IoResult read(std::span<char> buffer) override { return below_.read(buffer); }
  IoResult writev(std::span<const std::string_view> parts) override { return below_.writev(parts); }
  std::error_code close() override { return below_.close(); }
  void set_read_deadline(TimePoint deadline) override { below_.set_read_deadline(deadline); }
  void set_write_deadline(TimePoint deadline) override { below_.set_write_deadline(deadline); }

 private:
  const net::Conn below_;
};

class PlainAcceptor final : public net::Acceptor {
 public:
  explicit PlainAcceptor(net::Listener below) : below_(std::move(below)) {}
  Result<net::Conn> accept() override {
    Result<net::Conn> conn = below_.accept();
    if (!conn) return conn;
    return net::Conn(std::make_shared<PlainStream>(*conn));
  }
  std::error_code close() override { return below_.close(); }
  void set_deadline(TimePoint deadline) override { below_.set_deadline(deadline); }

 private:
  const net::Listener below_;
};

// A stream that can't wait without a buffer is ended like the others.
WEFT_MATRIX_TEST(HttpServer, ShutdownEndsPlainStreams) {
  auto listener = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(listener.has_value());
  const Server server({.handler = echo_path, .read_header_timeout = 1h, .idle_timeout = 1h});
  const auto result = make_chan<Error>(1);
  go([server, listener = net::Listener(std::make_shared<PlainAcceptor>(*listener)), result] {
    result.send(server.serve(listener));
  });
  Client silent(net::to_string(listener->address()));
  Client idle(net::to_string(listener->address()));
  EXPECT_EQ(body_of(idle.ask("/1")), "/1");
  while (server.stats().open < 2) sleep(1ms);
  EXPECT_FALSE(server.shutdown(with_timeout(background(), kPatience).first));
  EXPECT_TRUE(silent.ends());
  EXPECT_TRUE(idle.ends());
  EXPECT_EQ(result.recv()->code(), Errc::server_closed);
}

WEFT_MATRIX_TEST(HttpServer, CloseDropsEverything) {
  const auto entered = make_chan<int>(1);
  const auto cancelled = make_chan<bool>(1);
  Running running({.handler = [entered, cancelled](ResponseWriter&, Request& r) {
    const Context ctx = r.context();
    entered.send(1);
    ctx.done().recv();
    cancelled.send(ctx.err() == Condition::canceled);
  }});
  Client busy(running.address);
  busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.recv();
  running.server.close();
  EXPECT_TRUE(*cancelled.recv());
  EXPECT_EQ(busy.rest(), "");
  EXPECT_EQ(running.wait().code(), Errc::server_closed);
  EXPECT_EQ(running.server.listen_and_serve().code(), Errc::server_closed);
}

WEFT_MATRIX_TEST(HttpServer, TimesOutHeadsAndIdleConnections) {
  Running heads({.handler = echo_path, .read_header_timeout = 150ms, .idle_timeout = 1h});
  Running idles({.handler = echo_path, .read_header_timeout = 1h, .idle_timeout = 300ms});
  WaitGroup group;
  // Whether the server answers. It need not where the machine was too slow to ask in time; then there is nothing to
  // see.
  const auto answers = [](Client& client, const std::string& path, Clock::time_point since,
                          std::chrono::milliseconds timeout) {
    static_cast<void>(client.conn.write("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"));
    const std::string response = client.response();
    if (response.empty() && Clock::now() - since >= timeout) return false;
    EXPECT_EQ(body_of(response), path);
    return true;
  };
  // The server ended the connection: not before the timeout, and not because the client ran out of patience.
  const auto ended = [](const Client& client, Clock::time_point start, std::chrono::milliseconds timeout) {
    EXPECT_GE(Clock::now() - start, timeout);
    EXPECT_FALSE(client.error == Condition::deadline_exceeded);
  };
  group.go([&] {  // says nothing
    const auto start = Clock::now();
    Client client(heads.address);
    EXPECT_EQ(client.rest(), "");
    ended(client, start, 150ms);
  });
  group.go([&] {  // drips
    const auto start = Clock::now();
    Client client(heads.address);
    bool over = false;
    while (!over && Clock::now() - start < kPatience) {
      static_cast<void>(client.conn.write("GET / HTTP/1.1\r\nHost: h\r\nX: "));
      over = client.ends(30ms);
    }
    EXPECT_TRUE(over);
    ended(client, start, 150ms);
  });
  group.go([&] {  // drips at the second request
    const auto begin = Clock::now();
    Client client(heads.address);
    if (!answers(client, "/1", begin, 150ms)) return;
    sleep(50ms);
    const auto start = Clock::now();
    client.send("GET / HT");
    EXPECT_EQ(client.rest(), "");
    ended(client, start, 150ms);
  });
  group.go([&] {  // sends an empty line and no request
    const auto start = Clock::now();
    Client client(heads.address);
    client.send("\r\n");
    EXPECT_EQ(client.rest(), "");
    ended(client, start, 150ms);
  });
  group.go([&] {  // sends an empty line after a request
    const auto begin = Clock::now();
    Client client(heads.address);
    if (!answers(client, "/1", begin, 150ms)) return;
    const auto start = Clock::now();
    client.send("\r\n");
    EXPECT_EQ(client.rest(), "");
    ended(client, start, 150ms);
  });
  group.go([&] {  // drips empty lines
    Client client(heads.address);
    const auto start = Clock::now();
    bool over = false;
    while (!over && Clock::now() - start < kPatience) {
      static_cast<void>(client.conn.write("\r\n"));
      over = client.ends(60ms);
    }
    EXPECT_TRUE(over);
  });
  group.go([&] {  // idles
    Client client(idles.address);
    const auto first = Clock::now();
    EXPECT_EQ(body_of(client.ask("/1")), "/1");
    sleep(150ms);
    const auto second = Clock::now();
    if (!answers(client, "/2", first, 300ms)) return;
    EXPECT_EQ(client.rest(), "");
    ended(client, second, 300ms);
  });
  group.wait();
}

WEFT_MATRIX_TEST(HttpServer, TimesOutBodiesAndResponses) {
  const auto read_error = make_chan<Error>(1);
  const auto write_error = make_chan<std::error_code>(1);
  const Handler handler = [=](ResponseWriter& w, Request& r) {
    if (r.method() == "POST") {
      auto body = r.read_body(100);
      read_error.send(body ? Error() : body.error());
      return;
    }
    const std::string piece(1 << 20, 'x');
    std::error_code ec;
    while (!ec) ec = w.write(piece).ec;
    write_error.send(ec);
  };
  // The time runs from the connection's start: on a slow machine it passes before the handler is called, and the test
  // tries again with more.
  for (auto timeout = 100ms;; timeout *= 4) {
    Running reads({.handler = handler, .read_timeout = timeout});
    Client poster(reads.address);
    static_cast<void>(poster.conn.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"));
    static_cast<void>(poster.rest());
    ASSERT_FALSE(poster.error == Condition::deadline_exceeded);
    const auto error = read_error.try_recv();
    if (!error && timeout < kPatience / 8) continue;
    ASSERT_TRUE(error);
    EXPECT_TRUE(*error == Condition::deadline_exceeded);
    break;
  }
  Running writes({.handler = handler, .write_timeout = 200ms});
  Client getter(writes.address);
  getter.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(*write_error.recv() == Condition::deadline_exceeded);
}

WEFT_MATRIX_TEST(HttpServer, WriteToAGoneClientCancelsTheRequest) {
  const auto cancelled = make_chan<Error>(1);
  Running running({.handler = [cancelled](ResponseWriter& w, Request& r) {
    const Context ctx = r.context();
    const std::string piece(1 << 20, 'x');
    while (!w.write(piece).ec) {
    }
    cancelled.send(ctx.err());
  }});
  {
    Client client(running.address);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    char byte = 0;
    static_cast<void>(client.conn.read({&byte, 1}));
  }
  EXPECT_TRUE(*cancelled.recv() == Condition::canceled);
}

WEFT_MATRIX_TEST(HttpServer, ContextEndsWithTheHandler) {
  const auto contexts = make_chan<Context>(1);
  Running running({.handler = [contexts](ResponseWriter& w, Request& r) {
    EXPECT_FALSE(r.context().err());
    contexts.send(r.context());
    echo_path(w, r);
  }});
  Client client(running.address);
  for (const std::string path : {"/1", "/2"}) {
    EXPECT_EQ(body_of(client.ask(path)), path);
    EXPECT_TRUE(contexts.recv()->err() == Condition::canceled);
  }
}

// Answers whether its context ended before 200 ms.
void watch_context(ResponseWriter& w, Request& r) {
  const auto [ctx, cancel] = with_timeout(r.context(), 200ms);
  static_cast<void>(r.read_body(100));
  ctx.done().recv();
  static_cast<void>(w.write(r.context().err() ? "canceled" : "lasted"));
}

WEFT_MATRIX_TEST(HttpServer, DisconnectCancelsTheRequest) {
  const auto cancelled = make_chan<bool>(1);
  Running running({.handler = [cancelled](ResponseWriter&, Request& r) {
    const auto [ctx, cancel] = with_timeout(r.context(), 2 * kPatience);
    static_cast<void>(r.read_body(100));
    ctx.done().recv();
    cancelled.send(ctx.err() == Condition::canceled);
  }});
  for (const std::string_view request :
       {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"}) {
    auto client = std::make_unique<Client>(running.address);
    client->send(request);
    sleep(20ms);
    const auto start = Clock::now();
    client.reset();
    EXPECT_TRUE(*cancelled.recv());
    EXPECT_LE(Clock::now() - start, kPatience);
  }
}

WEFT_MATRIX_TEST(HttpServer, PipelinedBytesDontCancelTheRequest) {
  Running running({.handler = watch_context});
  Client client(running.address);
  client.send("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  sleep(20ms);
  client.send("GET /2 HTTP/1.1\r\nHo");
  EXPECT_EQ(body_of(client.response()), "lasted");
  client.send("st: h\r\n\r\n");
  EXPECT_EQ(body_of(client.response()), "lasted");
  EXPECT_EQ(body_of(client.ask("/3")), "lasted");
}

WEFT_MATRIX_TEST(HttpServer, ServesSeveralListeners) {
  Running running({.handler = echo_path});
  auto second = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(second.has_value());
  const auto result = make_chan<Error>(1);
  go([server = running.server, listener = *second, result] { result.send(server.serve(listener)); });
  Client one(running.address);
  Client two(net::to_string(second->address()));
  EXPECT_EQ(body_of(one.ask("/1")), "/1");
  EXPECT_EQ(body_of(two.ask("/2")), "/2");
  EXPECT_FALSE(running.server.shutdown(background()));
  EXPECT_EQ(result.recv()->code(), Errc::server_closed);
}

WEFT_MATRIX_TEST(HttpServer, ReportsWhatEndsAListener) {
  Server server({.handler = echo_path});
  auto listener = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(listener.has_value());
  const auto result = make_chan<Error>(1);
  go([server, listener = *listener, result] { result.send(server.serve(listener)); });
  sleep(10ms);
  static_cast<void>(listener->close());
  const Error error = *result.recv();
  EXPECT_TRUE(error == Condition::closed);
  EXPECT_NE(error.code(), Errc::server_closed);
  Server taken({.address = "256.0.0.1:1"});
  EXPECT_TRUE(taken.listen_and_serve());
}

// The process has no descriptor left until give_back(), or the end of the scope.
class NoDescriptors {
 public:
  // Inside blocking(): a goroutine that computes for so long is reported with its stack, and the thread that looks up
  // the names in that stack opens files, whose descriptors would be free a moment later.
  NoDescriptors() {
    blocking([this] {
      EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &old_), 0);
      rlimit low = old_;
      low.rlim_cur = 256;
      EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
      for (int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC); fd >= 0; fd = ::dup(fd)) hoard_.push_back(fd);
    });
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  ~NoDescriptors() { give_back(); }

  void give_back() {
    for (const int fd : std::exchange(hoard_, {})) ::close(fd);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &old_), 0);
  }

 private:
  rlimit old_{};
  std::vector<int> hoard_;
};

// Without descriptors left, accept fails and is tried again.
WEFT_MATRIX_TEST(HttpServer, SurvivesRunningOutOfDescriptors) {
  auto listener = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(listener.has_value());
  const auto lines = make_chan<std::string>(1000);
  Server server({.handler = echo_path, .log = [lines](LogLevel, std::string_view line) {
                   static_cast<void>(lines.try_send(std::string(line)));
                 }});
  Client client(net::to_string(listener->address()));
  client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");

  NoDescriptors hoard;
  const auto result = make_chan<Error>(1);
  go([server, listener = *listener, result] { result.send(server.serve(listener)); });
  const std::string line = *lines.recv();
  EXPECT_TRUE(line.starts_with("http: Accept error: accept tcp 127.0.0.1:")) << line;
  EXPECT_TRUE(line.ends_with("too many open files; retrying in 5ms")) << line;
  EXPECT_TRUE(lines.recv()->ends_with("retrying in 10ms"));

  hoard.give_back();
  EXPECT_EQ(body_of(client.response()), "/x");
  server.close();
  EXPECT_EQ(result.recv()->code(), Errc::server_closed);
}

// A shutdown while there are none: the accept loop does not sleep on, and who has connected is served when there are.
WEFT_MATRIX_TEST(HttpServer, ShutdownWithoutDescriptors) {
  auto listener = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(listener.has_value());
  const auto lines = make_chan<std::string>(1000);
  const Server server({.handler = echo_path, .log = [lines](LogLevel, std::string_view line) {
                         static_cast<void>(lines.try_send(std::string(line)));
                       }});
  Client client(net::to_string(listener->address()));
  client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  NoDescriptors hoard;
  const auto result = make_chan<Error>(1);
  go([server, listener = *listener, result] { result.send(server.serve(listener)); });
  while (!lines.recv()->ends_with("retrying in 80ms")) {
  }
  const auto [end, cancel_end] = with_timeout(background(), kPatience);
  const auto done = make_chan<Error>(1);
  go([server, done, end = end] { done.send(server.shutdown(end)); });
  EXPECT_TRUE(lines.recv()->ends_with("retrying in 160ms"));
  hoard.give_back();
  const std::string response = client.response();
  EXPECT_EQ(body_of(response), "/x");
  EXPECT_TRUE(says_close(response));
  EXPECT_FALSE(*done.recv());
  EXPECT_EQ(result.recv()->code(), Errc::server_closed);
  cancel_end();
}

// Without descriptors to the end, the listeners are closed when the time is up.
WEFT_MATRIX_TEST(HttpServer, ShutdownGivesUpWithoutDescriptors) {
  auto listener = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(listener.has_value());
  const auto lines = make_chan<std::string>(1000);
  const Server server({.handler = echo_path, .log = [lines](LogLevel, std::string_view line) {
                         static_cast<void>(lines.try_send(std::string(line)));
                       }});
  Client client(net::to_string(listener->address()));
  const NoDescriptors hoard;
  const auto result = make_chan<Error>(1);
  go([server, listener = *listener, result] { result.send(server.serve(listener)); });
  lines.recv();
  const auto [ctx, cancel] = with_timeout(background(), 50ms);
  EXPECT_TRUE(server.shutdown(ctx) == Condition::deadline_exceeded);
  EXPECT_EQ(result.recv()->code(), Errc::server_closed);
  EXPECT_TRUE(client.ends());
}

WEFT_MATRIX_TEST(HttpServer, RoutesByMux) {
  ServeMux mux;
  mux.handle("GET /users/{id}", [](ResponseWriter& w, Request& r) { static_cast<void>(w.write(r.path_value("id"))); });
  mux.handle("/tree/", [](ResponseWriter& w, Request&) { static_cast<void>(w.write("tree")); });
  Running running({.handler = mux});
  Client client(running.address);
  EXPECT_EQ(body_of(client.ask("/users/a%2Fb")), "a/b");
  EXPECT_TRUE(client.ask("/none").starts_with("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_NE(client.ask("/tree?q=1").find("\r\nLocation: /tree/?q=1\r\n"), std::string::npos);
  client.send("DELETE /users/1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.response().find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
}

// Main returns while a server serves: one connection is idle, one waits for the rest of a head, and the handlers of the
// others sleep, wait for the client, and read a body.
TEST(HttpServerRunEnd, LeavesNoFiles) {
  std::vector<Server> servers;
  weft::testing::expect_runs_leave_no_files([&] {
    auto handling = make_chan<int>(3);
    const Server server({.handler = [handling](ResponseWriter& w, Request& r) {
      if (r.path() == "/idle") return static_cast<void>(w.write("idle"));
      handling.send(1);
      if (r.path() == "/sleep") sleep(1h);
      if (r.path() == "/watch") r.context().done().recv();
      static_cast<void>(r.read_body(1 << 20));
    }});
    servers.push_back(server);
    const auto listener = net::listen("tcp", "127.0.0.1:0").value();
    go([server, listener] { static_cast<void>(server.serve(listener)); });
    const std::string address = net::to_string(listener.address());
    Client idle(address);
    EXPECT_TRUE(idle.ask("/idle").starts_with("HTTP/1.1 200 OK"));
    Client slow(address);
    slow.send("GET / HT");
    Client sleeper(address);
    sleeper.send("GET /sleep HTTP/1.1\r\nHost: h\r\n\r\n");
    Client watcher(address);
    watcher.send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
    Client sender(address);
    sender.send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    for (int i = 0; i < 3; ++i) handling.recv();
  });
}

}  // namespace
}  // namespace weft::http
