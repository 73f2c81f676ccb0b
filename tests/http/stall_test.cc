// Clients that stop in the middle of a request or of a response, and clients and handlers that are only slow.
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "http/running_server.h"
#include "net/peer.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/http/hijacked.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using namespace test;
using weft::testing::eventually;
using weft::testing::Peer;
using Clock = std::chrono::steady_clock;

constexpr auto kStall = 200ms;
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::size_t kLarge = 16 << 20;  // more than the kernel keeps for a connection

void expect_one_stall(Running& running, std::string_view what) {
  EXPECT_TRUE(eventually([&] { return running.server.stats().open == 0; }));
  EXPECT_EQ(running.server.stats().stalled, 1U);
  const std::string log = running.log();
  EXPECT_TRUE(log.starts_with("http: client 127.0.0.1:")) << log;
  EXPECT_TRUE(log.ends_with(" has " + std::string(what) + " for 0.2s\n")) << log;
}

TEST(Stall, TheDefaultsHaveATimeout) { EXPECT_EQ(ServerOptions{}.stall_timeout, 30s); }

WEFT_MATRIX_TEST(Stall, EndsAResponseThatNobodyReads) {
  const auto failed = make_chan<std::error_code>(1);
  Running running({.handler =
                       [failed](ResponseWriter& w, Request& r) {
                         const Context ctx = r.context();
                         const auto start = Clock::now();
                         failed.send(w.write(std::string(kLarge, 'x')).ec);
                         EXPECT_GE(Clock::now() - start, kStall);
                         EXPECT_TRUE(ctx.err());
                       },
                   .stall_timeout = kStall});
  const Peer peer(net::Address::parse(running.address).value(), 4096);
  peer.send(kGet);
  EXPECT_TRUE(*failed.recv() == Condition::deadline_exceeded);
  expect_one_stall(running, "taken nothing of its response");
}

// Here no handler is at work when the connection has to wait.
WEFT_MATRIX_TEST(Stall, EndsAPipelineWhoseResponsesNobodyReads) {
  Running running({.handler = [](ResponseWriter& w, Request&) { static_cast<void>(w.write(std::string(2000, 'x'))); },
                   .stall_timeout = kStall});
  const Peer peer(net::Address::parse(running.address).value(), 4096);
  ASSERT_TRUE(eventually([&] { return running.server.stats().open == 1; }));
  std::string burst;
  for (int i = 0; i < 500; ++i) burst += kGet;
  std::size_t sent = 0;
  for (const auto end = Clock::now() + kPatience; Clock::now() < end;) {
    const std::size_t n = peer.send_some(std::string_view(burst).substr(sent % kGet.size()));
    sent += n;
    if (n == 0) {
      if (running.server.stats().open == 0) break;
      sleep(1ms);
    }
  }
  expect_one_stall(running, "taken nothing of its response");
}

WEFT_MATRIX_TEST(Stall, EndsABodyThatDoesntGoOn) {
  const std::string heads[] = {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n",
                               "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n",
                               "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"};
  for (const std::string& head : heads) {
    Running running({.handler =
                         [](ResponseWriter& w, Request& r) {
                           auto body = r.read_body(1 << 20);
                           ASSERT_FALSE(body.has_value());
                           EXPECT_TRUE(body.error() == Condition::deadline_exceeded);
                           w.write_header(408);
                         },
                     .stall_timeout = kStall});
    Client client(running.address);
    client.send(head);
    for (int i = 0; i < 5; ++i) {
      client.send(head.ends_with("hello\r\n") ? "1\r\nx\r\n" : "x");
      sleep(kStall / 10);
    }
    const std::string response = client.rest();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << response;
    EXPECT_TRUE(says_close(response));
    expect_one_stall(running, "sent nothing of its request's body");
  }
}

// Only a read or a write that waits counts. A handler may be silent, and a client may wait for it.
WEFT_MATRIX_TEST(Stall, SparesHandlersThatTakeTheirTime) {
  Running running({.handler =
                       [](ResponseWriter& w, Request& r) {
                         sleep(2 * kStall);
                         auto body = r.read_body(100);
                         EXPECT_EQ(body.value_or("?"), "abc");
                         for (int i = 0; i < 2; ++i) {
                           static_cast<void>(w.write("event"));
                           EXPECT_FALSE(w.flush());
                           sleep(2 * kStall);
                         }
                       },
                   .stall_timeout = kStall});
  Client client(running.address);
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\na");
  client.send("bc");
  EXPECT_EQ(body_of(client.rest()), "5\r\nevent\r\n5\r\nevent\r\n0\r\n\r\n");
  EXPECT_EQ(running.server.stats().stalled, 0U);
  EXPECT_EQ(running.log(), "");
}

// A client that waits longer than the stall timeout, where something else rules its reads and writes.
WEFT_MATRIX_TEST(Stall, IsOffWhereSomethingElseRules) {
  const Handler handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/mine") {
      EXPECT_FALSE(w.set_read_deadline(kNoDeadline));
      EXPECT_FALSE(w.set_write_deadline(kNoDeadline));
    }
    EXPECT_EQ(r.read_body(100).value_or("?"), "abc");
    static_cast<void>(w.write(std::string(kLarge, 'x')));
  };
  const auto ask = [](const std::string& address, const std::string& path) {
    Client client(address);
    client.send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\na");
    sleep(2 * kStall);
    client.send("bc");
    sleep(2 * kStall);
    EXPECT_GE(client.rest().size(), kLarge);
  };
  Running own({.handler = handler, .stall_timeout = kStall});
  Running never({.handler = handler, .read_timeout = -1s, .write_timeout = -1s, .stall_timeout = kStall});
  Running absolute({.handler = handler, .read_timeout = 1h, .write_timeout = 1h, .stall_timeout = kStall});
  Running zero({.handler = handler, .stall_timeout = 0s});
  Running negative({.handler = handler, .stall_timeout = -1s});
  WaitGroup group;
  group.go([&] { ask(own.address, "/mine"); });
  for (const Running* const running : {&never, &absolute, &zero, &negative}) {
    group.go([&ask, running] { ask(running->address, "/"); });
  }
  group.wait();
}

// A deadline of a handler's own is for its request: the next one on the connection has the stall timeout again.
WEFT_MATRIX_TEST(Stall, ComesBackAfterAHandlersDeadline) {
  Running running({.handler =
                       [](ResponseWriter& w, Request& r) {
                         if (r.path() == "/mine") {
                           EXPECT_FALSE(w.set_write_deadline(now() + 1h));
                           return echo_path(w, r);
                         }
                         static_cast<void>(w.write(std::string(kLarge, 'x')));
                       },
                   .stall_timeout = kStall});
  Client client(running.address);
  EXPECT_EQ(body_of(client.ask("/mine")), "/mine");
  client.send(kGet);
  expect_one_stall(running, "taken nothing of its response");
}

WEFT_MATRIX_TEST(Stall, LeavesAHijackedConnectionAlone) {
  const auto done = make_chan<IoResult>(1);
  Running running({.handler =
                       [done](ResponseWriter& w, Request&) {
                         auto hijacked = w.hijack();
                         ASSERT_TRUE(hijacked.has_value());
                         go([conn = hijacked->conn, done] {
                           done.send(conn.write(std::string(kLarge, 'x')));
                           static_cast<void>(conn.close());
                         });
                       },
                   .stall_timeout = kStall});
  Client client(running.address);
  client.send(kGet);
  sleep(2 * kStall);
  EXPECT_EQ(client.rest().size(), kLarge);
  EXPECT_EQ(done.recv()->n, kLarge);
}

}  // namespace
}  // namespace weft::http
