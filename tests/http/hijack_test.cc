// What handlers do to their connection, on real sockets: take it over, and set deadlines for their request.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "http/running_server.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/http/errc.h"
#include "weft/http/hijacked.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using namespace test;

// Sends back what comes, until the end of the stream.
void echo_bytes(Hijacked hijacked) {
  static_cast<void>(hijacked.conn.write(hijacked.buffered));
  char buffer[100];
  while (true) {
    const IoResult got = hijacked.conn.read(buffer);
    if (got.n == 0 || hijacked.conn.write({buffer, got.n}).ec) break;
  }
  static_cast<void>(hijacked.conn.close());
}

// Takes the connection and serves it in a goroutine of its own.
void hijack_and_echo(ResponseWriter& w, Request& r) {
  if (r.path() != "/hijack") return echo_path(w, r);
  auto hijacked = w.hijack();
  ASSERT_TRUE(hijacked.has_value()) << hijacked.error().message();
  EXPECT_EQ(w.write("x").ec, Errc::hijacked);
  EXPECT_EQ(w.flush(), Errc::hijacked);
  EXPECT_EQ(w.set_read_deadline(kNoDeadline), Errc::hijacked);
  EXPECT_EQ(w.set_write_deadline(kNoDeadline), Errc::hijacked);
  EXPECT_EQ(w.enable_full_duplex(), Errc::hijacked);
  EXPECT_EQ(w.hijack().error().code(), Errc::hijacked);
  EXPECT_FALSE(r.context().err());
  EXPECT_EQ(r.path(), "/hijack");
  go([hijacked = *std::move(hijacked)]() mutable { echo_bytes(std::move(hijacked)); });
}

std::string read_bytes(Client& client, std::size_t size) {
  std::string text(size, '\0');
  text.resize(client.conn.read_full({text.data(), text.size()}).n);
  return text;
}

// As read_bytes(), after Client::response(), which may have read some of them.
std::string read_rest_of(Client& client, std::size_t size) {
  std::string text = client.take_read();
  return text + read_bytes(client, size - std::min(size, text.size()));
}

WEFT_MATRIX_TEST(Hijack, HandsOverTheConnectionAndWhatWasRead) {
  // These deadlines would end the connection soon if they stayed.
  Running running({.handler = hijack_and_echo, .read_timeout = 200ms, .write_timeout = 200ms});
  Client client(running.address);
  EXPECT_EQ(body_of(client.ask("/before")), "/before");
  client.send("GET /hijack HTTP/1.1\r\nHost: h\r\n\r\nfirst ");
  EXPECT_EQ(read_bytes(client, 6), "first ");
  sleep(300ms);
  client.send("second");
  EXPECT_EQ(read_bytes(client, 6), "second");
  const ServerStats stats = running.server.stats();
  EXPECT_EQ(stats.connections, 1U);
  EXPECT_EQ(stats.requests, 2U);
  EXPECT_EQ(stats.open, 0U);
  static_cast<void>(client.conn.close_write());
  EXPECT_EQ(client.rest(), "");
  EXPECT_EQ(running.log(), "");
}

WEFT_MATRIX_TEST(Hijack, NobodyWaitsForIt) {
  Running running({.handler = hijack_and_echo});
  Client client(running.address);
  client.send("GET /hijack HTTP/1.1\r\nHost: h\r\n\r\nx");
  EXPECT_EQ(read_bytes(client, 1), "x");
  EXPECT_FALSE(running.server.shutdown(with_timeout(background(), kPatience).first));
  EXPECT_EQ(running.wait().code(), Errc::server_closed);
  running.server.close();
  client.send("still here");
  EXPECT_EQ(read_bytes(client, 10), "still here");
  static_cast<void>(client.conn.close_write());
  EXPECT_EQ(client.rest(), "");
}

// Shutdown returns while the handler that hijacked still runs.
WEFT_MATRIX_TEST(Hijack, NobodyWaitsForItsHandler) {
  const auto entered = make_chan<int>(1);
  const auto release = make_chan<int>();
  const auto left = make_chan<int>(1);
  Running running({.handler = [=](ResponseWriter& w, Request&) {
    auto hijacked = w.hijack();
    entered.send(1);
    release.recv();
    EXPECT_FALSE(hijacked->conn.write("bye").ec);
    static_cast<void>(hijacked->conn.close());
    left.send(1);
  }});
  Client client(running.address);
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.recv();
  EXPECT_FALSE(running.server.shutdown(with_timeout(background(), kPatience).first));
  EXPECT_EQ(running.wait().code(), Errc::server_closed);
  release.close();
  EXPECT_EQ(client.rest(), "bye");
  left.recv();
}

WEFT_MATRIX_TEST(Hijack, WhatWasWrittenGoesOutFirst) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() != "/upgrade") return echo_path(w, r);
    w.header().set("Connection", "Upgrade");
    w.header().set("Upgrade", "echo");
    w.header().set("Date", "");
    w.write_header(101);
    auto hijacked = w.hijack();
    ASSERT_TRUE(hijacked.has_value());
    echo_bytes(*std::move(hijacked));
  }});
  Client client(running.address);
  // The earlier response of the burst is sent, too.
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /upgrade HTTP/1.1\r\nHost: h\r\n\r\nhello");
  EXPECT_EQ(body_of(client.response()), "/1");
  EXPECT_EQ(client.response(), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
  static_cast<void>(client.conn.close_write());
  EXPECT_EQ(client.rest(), "hello");
}

// A handler that asked for its context has a watch on the connection, which takes nothing from it.
WEFT_MATRIX_TEST(Hijack, GetsWhatCameUnderTheWatch) {
  const auto watched = make_chan<int>(1);
  const auto sent = make_chan<int>();
  Running running({.handler = [=](ResponseWriter& w, Request& r) {
    const Context ctx = r.context();
    watched.send(1);
    sent.recv();
    sleep(20ms);
    auto hijacked = w.hijack();
    ASSERT_TRUE(hijacked.has_value());
    EXPECT_FALSE(ctx.err());
    echo_bytes(*std::move(hijacked));
  }});
  Client client(running.address);
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  watched.recv();
  client.send("hello");
  sent.send(1);
  EXPECT_EQ(read_bytes(client, 5), "hello");
  static_cast<void>(client.conn.close_write());
  EXPECT_EQ(client.rest(), "");
}

WEFT_MATRIX_TEST(Hijack, LeavesTheBodyOnTheConnection) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    char two[2];
    EXPECT_EQ(r.body().read(two).n, 2U);
    auto hijacked = w.hijack();
    ASSERT_TRUE(hijacked.has_value());
    EXPECT_EQ(r.body().read(two).ec, Errc::body_closed);
    echo_bytes(*std::move(hijacked));
  }});
  Client client(running.address);
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde");
  EXPECT_EQ(read_bytes(client, 3), "cde");
  static_cast<void>(client.conn.close_write());
  EXPECT_EQ(client.rest(), "");
}

// So does one that has begun its response: the framing of what goes out first doesn't read the body away.
WEFT_MATRIX_TEST(Hijack, LeavesTheBodyAfterTheHead) {
  Running running({.handler = [](ResponseWriter& w, Request&) {
    w.header().set("Date", "");
    w.write_header(101);
    auto hijacked = w.hijack();
    ASSERT_TRUE(hijacked.has_value());
    EXPECT_EQ(hijacked->buffered, "abc");
    echo_bytes(*std::move(hijacked));
  }});
  Client client(running.address);
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc");
  // The rest of the body comes after the takeover: who would read it first would wait here.
  EXPECT_EQ(client.response(), "HTTP/1.1 101 Switching Protocols\r\n\r\n");
  client.send("de");
  EXPECT_EQ(read_rest_of(client, 5), "abcde");
  static_cast<void>(client.conn.close_write());
  EXPECT_EQ(client.rest(), "");
}

WEFT_MATRIX_TEST(Hijack, WorksOnHttp10) {
  Running running({.handler = hijack_and_echo});
  for (const std::string fields : {"", "Connection: keep-alive\r\n"}) {
    Client client(running.address);
    client.send("GET /hijack HTTP/1.0\r\n" + fields + "\r\nhello");
    EXPECT_EQ(read_bytes(client, 5), "hello");
    static_cast<void>(client.conn.close_write());
    EXPECT_EQ(client.rest(), "");
  }
  EXPECT_EQ(running.server.stats().open, 0U);
}

// What cannot be sent first leaves the connection with the server.
WEFT_MATRIX_TEST(Hijack, FailsWithItsFlush) {
  const auto failed = make_chan<std::error_code>(1);
  Running running({.handler = [failed](ResponseWriter& w, Request& r) {
    const Context ctx = r.context();
    EXPECT_FALSE(w.set_write_deadline(now() - 1ms));
    EXPECT_EQ(w.write("x").n, 1U);
    auto hijacked = w.hijack();
    ASSERT_FALSE(hijacked.has_value());
    EXPECT_TRUE(ctx.err());
    EXPECT_NE(w.write("x").ec, Errc::hijacked);
    failed.send(hijacked.error().code());
  }});
  Client client(running.address);
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc");
  EXPECT_TRUE(*failed.recv() == Condition::deadline_exceeded);
  EXPECT_EQ(client.rest(), "");
  EXPECT_FALSE(running.server.shutdown(with_timeout(background(), kPatience).first));
  EXPECT_EQ(running.server.stats().open, 0U);
}

// Server::close() leaves the connection alone and ends the context of the handler that took it.
WEFT_MATRIX_TEST(Hijack, OutlivesCloseOfTheServer) {
  const auto entered = make_chan<int>(1);
  const auto left = make_chan<int>(1);
  Running running({.handler = [=](ResponseWriter& w, Request& r) {
    const Context ctx = r.context();
    auto hijacked = w.hijack();
    ASSERT_TRUE(hijacked.has_value());
    EXPECT_FALSE(ctx.err());
    entered.send(1);
    ctx.done().recv();
    EXPECT_TRUE(ctx.err() == Condition::canceled);
    echo_bytes(*std::move(hijacked));
    left.send(1);
  }});
  Client client(running.address);
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.recv();
  running.server.close();
  EXPECT_EQ(running.wait().code(), Errc::server_closed);
  client.send("still here");
  EXPECT_EQ(read_bytes(client, 10), "still here");
  static_cast<void>(client.conn.close_write());
  EXPECT_EQ(client.rest(), "");
  left.recv();
}

// A takeover and the server's close, at any moment: either the connection is whole, or it ends.
WEFT_MATRIX_TEST(Hijack, RacesWithCloseOfTheServer) {
  for (int i = 0; i < 20; ++i) {
    const auto entered = make_chan<int>(1);
    const auto left = make_chan<bool>(1);
    Running running({.handler = [=](ResponseWriter& w, Request&) {
      entered.send(1);
      auto hijacked = w.hijack();
      left.send(hijacked.has_value());
    }});
    Client client(running.address);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    entered.recv();
    running.server.close();
    EXPECT_EQ(running.wait().code(), Errc::server_closed);
    left.recv();
    EXPECT_TRUE(client.ends());
    EXPECT_EQ(running.server.stats().open, 0U);
  }
}

// A handler that leaves by exit_goroutine() ends its request's context as one that returns does.
WEFT_MATRIX_TEST(Hijack, TheContextEndsWithTheGoroutine) {
  const auto contexts = make_chan<Context>(1);
  Running running({.handler = [contexts](ResponseWriter& w, Request& r) {
    contexts.send(r.context());
    EXPECT_EQ(r.path() == "/hijack" && w.hijack().has_value(), r.path() == "/hijack");
    exit_goroutine();
  }});
  for (const std::string path : {"/hijack", "/watch", "/body"}) {
    Client client(running.address);
    client.send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + (path == "/body" ? "5" : "0") +
                "\r\n\r\n");
    const Context ctx = *contexts.recv();
    EXPECT_TRUE(client.ends()) << path;
    EXPECT_TRUE(weft::testing::eventually([&] { return static_cast<bool>(ctx.err()); })) << path;
  }
}

// The end of the last handle closes the connection, and an exception after the takeover is only logged.
WEFT_MATRIX_TEST(Hijack, EndsWithItsLastHandle) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    auto hijacked = w.hijack();
    ASSERT_TRUE(hijacked.has_value());
    if (r.path() == "/throw") throw std::runtime_error("bad luck");
    if (r.path() == "/exit") exit_goroutine();
  }});
  for (const std::string path : {"/return", "/throw", "/exit"}) {
    Client client(running.address);
    client.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(client.ends()) << path;
  }
  EXPECT_NE(running.log().find("\"std::runtime_error: bad luck\""), std::string::npos) << running.log();
}

WEFT_MATRIX_TEST(Deadline, OfAHandlerLastsForItsRequest) {
  const auto failed = make_chan<std::error_code>(1);
  Running running({.handler = [failed](ResponseWriter& w, Request& r) {
    if (r.path() == "/short") {
      EXPECT_FALSE(w.set_read_deadline(now() + 100ms));
      EXPECT_FALSE(w.set_write_deadline(now() + 100ms));
    }
    if (r.path() == "/passed") {
      EXPECT_FALSE(w.set_write_deadline(now() - 1ms));
      static_cast<void>(w.write("x"));
      failed.send(w.flush());
      return;
    }
    auto body = r.read_body(100);
    static_cast<void>(w.write(body ? "[" + *body + "]" : "failed"));
  }});
  Client client(running.address);
  EXPECT_EQ(body_of(client.ask("/short")), "[]");
  sleep(150ms);
  // The connection is idle, reads a body that comes in two pieces, and writes, all past those deadlines.
  client.send("POST /long HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
  sleep(20ms);
  client.send("b");
  EXPECT_EQ(body_of(client.response()), "[ab]");
  client.send("GET /passed HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(*failed.recv() == Condition::deadline_exceeded);
  EXPECT_EQ(client.rest(), "");
}

WEFT_MATRIX_TEST(Deadline, OfAHandlerEndsItsReads) {
  const auto failed = make_chan<Error>(1);
  Running running({.handler = [failed](ResponseWriter& w, Request& r) {
    EXPECT_FALSE(w.set_read_deadline(now() + 50ms));
    auto body = r.read_body(100);
    failed.send(body ? Error() : body.error());
  }});
  Client client(running.address);
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc");
  EXPECT_TRUE(*failed.recv() == Condition::deadline_exceeded);
  EXPECT_TRUE(says_close(client.rest()));
}

// A read deadline in the past is over when the next request comes, also one whose body is still under way.
WEFT_MATRIX_TEST(Deadline, OfReadsInThePastSparesTheNextBody) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/1") {
      EXPECT_FALSE(w.set_read_deadline(now() - 1ms));
      return echo_path(w, r);
    }
    auto body = r.read_body(100);
    static_cast<void>(w.write(body ? "[" + *body + "]" : body.error().message()));
  }});
  Client client(running.address);
  client.send(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
  EXPECT_EQ(body_of(client.response()), "/1");
  client.send("b");
  EXPECT_EQ(body_of(client.response()), "[ab]");
  EXPECT_EQ(body_of(client.ask("/1")), "/1");
}

// The earlier responses of a burst don't leave under the deadline of a later request.
WEFT_MATRIX_TEST(Deadline, OfWritesSparesEarlierResponses) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/3") static_cast<void>(w.set_write_deadline(now() - 1ms));
    echo_path(w, r);
  }});
  Client client(running.address);
  std::string burst;
  for (const std::string path : {"/1", "/2", "/3"}) burst += "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n";
  client.send(burst);
  for (const std::string path : {"/1", "/2"}) EXPECT_EQ(body_of(client.response()), path);
  EXPECT_EQ(client.rest(), "");
}

// A read deadline is no concern of the watch.
WEFT_MATRIX_TEST(Deadline, DoesntDisturbTheWatch) {
  const auto cancelled = make_chan<bool>(2);
  Running running({.handler = [cancelled](ResponseWriter& w, Request& r) {
    const Context ctx = r.context();
    EXPECT_FALSE(w.set_read_deadline(now() - 1ms));
    if (r.path() == "/stay") {
      sleep(50ms);
      cancelled.send(static_cast<bool>(ctx.err()));
      return echo_path(w, r);
    }
    ctx.done().recv();
    cancelled.send(static_cast<bool>(ctx.err()));
  }});
  Client client(running.address);
  EXPECT_EQ(body_of(client.ask("/stay")), "/stay");
  EXPECT_FALSE(*cancelled.recv());
  client.send("GET /go HTTP/1.1\r\nHost: h\r\n\r\n");
  sleep(20ms);
  static_cast<void>(client.conn.close());
  EXPECT_TRUE(*cancelled.recv());
}

// The client waits for a piece of the response before it sends the next piece of its body.
WEFT_MATRIX_TEST(FullDuplex, TalksWhileTheBodyComes) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    EXPECT_FALSE(w.enable_full_duplex());
    EXPECT_FALSE(w.flush());
    char byte = 0;
    while (r.body().read({&byte, 1}).n == 1) {
      static_cast<void>(w.write({&byte, 1}));
      EXPECT_FALSE(w.flush());
    }
  }});
  Client client(running.address);
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
  EXPECT_TRUE(client.response().starts_with("HTTP/1.1 200 OK\r\n"));
  for (const std::string byte : {"a", "b", "c"}) {
    client.send(byte);
    EXPECT_EQ(read_bytes(client, 6), "1\r\n" + byte + "\r\n");
  }
  EXPECT_EQ(read_bytes(client, 5), "0\r\n\r\n");
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.response().starts_with("HTTP/1.1 200 OK\r\n"));
}

}  // namespace
}  // namespace weft::http
