// Clients that go away while a handler works, whatever they have sent before, and clients that only seem to.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "http/running_server.h"
#include "net/peer.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "support/scale.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/http/hijacked.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using namespace test;
using weft::testing::eventually;
using weft::testing::Peer;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

std::string post(std::size_t size, std::string_view path = "/") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

std::size_t open_files() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator()));
}

// What a client has sent before it goes away.
struct Sent {
  std::string bytes;
  bool fills = false;  // and as much as the server's window holds
};

std::vector<Sent> all_that_may_be_sent() {
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
  return {
      {std::string(kGet)},
      {std::string(kGet) + "G"},
      {std::string(kGet) + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"},
      {post(5) + "hello"},
      {post(100'000, "/read") + "only this"},
      {post(100'000) + "only this"},
      {chunked},
      {chunked + "0\r\n\r\nGET"},
      {post(1 << 25, "/read"), true},
      {post(1 << 25), true},
  };
}

// Handlers that are parked on their contexts. With "/read" the handler has read a part of the body before.
class Parked {
 public:
  Parked() : running({.handler = [this](ResponseWriter&, Request& r) { serve(r); }}) {}

  std::atomic<int> parked{0};
  std::atomic<int> cancelled{0};
  Running running;  // the last, because it uses the others

 private:
  void serve(Request& r) {
    if (r.path() == "/next") return;
    const Context before = r.path() == "/read" ? Context() : r.context();
    char some[5];
    if (r.path() == "/read") {
      EXPECT_GT(r.body().read(some).n, 0U);
    }
    const Context ctx = r.context();
    parked.fetch_add(1, std::memory_order_relaxed);
    ctx.done().recv();
    EXPECT_TRUE(ctx.err() == Condition::canceled);
    cancelled.fetch_add(1, std::memory_order_relaxed);
  }
};

WEFT_MATRIX_TEST(Disconnect, CancelsEveryHandlerWhateverLiesUnread) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  const std::vector<Sent> kinds = all_that_may_be_sent();
  constexpr int kClients = 100 * weft::testing::kScale;
  Parked handlers;
  const auto address = net::Address::parse(handlers.running.address).value();
  const std::size_t files_before = open_files();
  const std::size_t goroutines_before = runtime_stats().goroutines;
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < kClients; ++i) {
    const Sent& sent = kinds[static_cast<std::size_t>(i) % kinds.size()];
    peers.push_back(std::make_unique<Peer>(address, 0, sent.fills ? 4096 : 0));
    peers.back()->send(sent.bytes);
    if (sent.fills) peers.back()->fill();
    if (i % 50 == 0) sleep(1ms);  // the server's backlog isn't endless
  }
  ASSERT_TRUE(eventually([&] { return handlers.parked.load(std::memory_order_relaxed) == kClients; }));
  sleep(20ms);
  ASSERT_EQ(handlers.cancelled.load(std::memory_order_relaxed), 0);
  const auto start = std::chrono::steady_clock::now();
  for (const auto& peer : peers) peer->reset();
  EXPECT_TRUE(eventually([&] { return handlers.cancelled.load(std::memory_order_relaxed) == kClients; }))
      << handlers.cancelled.load(std::memory_order_relaxed);
  EXPECT_LE(std::chrono::steady_clock::now() - start, 10s) << "a tenth of a second is usual";
  EXPECT_TRUE(eventually([&] { return runtime_stats().goroutines <= goroutines_before; }));
  EXPECT_TRUE(eventually([&] { return open_files() <= files_before; })) << open_files();
  EXPECT_EQ(handlers.running.server.stats().open, 0U);
}

WEFT_MATRIX_TEST(Disconnect, AnEndedStreamIsADisconnect) {
  for (const Sent& sent : all_that_may_be_sent()) {
    if (sent.fills) continue;  // the end of the stream comes behind what the window doesn't hold
    Parked handlers;
    Peer peer(net::Address::parse(handlers.running.address).value());
    peer.send(sent.bytes);
    ASSERT_TRUE(eventually([&] { return handlers.parked.load(std::memory_order_relaxed) == 1; }));
    peer.finish();
    EXPECT_TRUE(eventually([&] { return handlers.cancelled.load(std::memory_order_relaxed) == 1; })) << sent.bytes;
  }
}

// The handler is told, and what it writes still arrives. So does what it reads.
WEFT_MATRIX_TEST(Disconnect, AHalfClosedClientKeepsItsAnswer) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() != "/plain") r.context().done().recv();
    auto body = r.read_body(100'000);
    static_cast<void>(w.write(std::to_string(body ? body->size() : 0)));
  }});
  for (const std::string path : {"/plain", "/context"}) {
    Client client(running.address);
    client.send(post(50'000, path) + std::string(50'000, 'x'));
    static_cast<void>(client.conn.close_write());
    EXPECT_EQ(body_of(client.rest()), "50000");
  }
}

// The watch comes and goes with the requests of a connection, and takes nothing from it.
WEFT_MATRIX_TEST(Disconnect, TheWatchLosesNothing) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/none") return echo_path(w, r);
    const Context ctx = r.context();
    if (r.path() == "/slow") sleep(2ms);
    char some[3];
    std::size_t n = 0;
    if (r.path() == "/some") n = r.body().read(some).n;
    if (r.path() == "/all") n = r.read_body(100).value().size();
    EXPECT_FALSE(ctx.err());
    static_cast<void>(w.write(std::string(r.path()) + " " + (n > 0 ? "body" : "")));
  }});
  Client client(running.address);
  for (int round = 0; round < 10; ++round) {
    std::string burst;
    for (const std::string path : {"/slow", "/none", "/some", "/all"}) burst += post(6, path) + "abcdef";
    const std::size_t cut = burst.size() * static_cast<std::size_t>(round) / 10;
    client.send(burst.substr(0, cut));
    sleep(1ms);
    client.send(burst.substr(cut));
    EXPECT_EQ(body_of(client.response()), "/slow ");
    EXPECT_EQ(body_of(client.response()), "/none");
    EXPECT_EQ(body_of(client.response()), "/some body");
    EXPECT_EQ(body_of(client.response()), "/all body");
  }
  EXPECT_EQ(running.server.stats().connections, 1U);
}

// Who takes the connection over takes the watch off it.
WEFT_MATRIX_TEST(Disconnect, AHijackedConnectionIsNotWatched) {
  const auto taken = make_chan<int>(1);
  const auto go_on = make_chan<int>(1);
  const auto cancelled = make_chan<bool>(1);
  Running running({.handler = [=](ResponseWriter& w, Request& r) {
    const Context ctx = r.context();
    auto hijacked = w.hijack();
    ASSERT_TRUE(hijacked.has_value());
    EXPECT_EQ(hijacked->buffered, "rest");
    taken.send(1);
    go_on.recv();
    char byte = 0;
    EXPECT_TRUE(hijacked->conn.read({&byte, 1}).ec);
    cancelled.send(static_cast<bool>(ctx.err()));
    static_cast<void>(hijacked->conn.close());
  }});
  Peer peer(net::Address::parse(running.address).value());
  peer.send(std::string(kGet) + "rest");
  taken.recv();
  peer.reset();
  sleep(20ms);
  go_on.send(1);
  EXPECT_FALSE(*cancelled.recv());
}

// --- the response before the rest of the body ------------------------------------------------------------------------

void refuse_to_read(ResponseWriter& w, Request& r) {
  if (r.path() == "/flush") static_cast<void>(w.flush());
  if (r.method() == "POST") w.write_header(401);
  static_cast<void>(w.write("who are you?"));
}

WEFT_MATRIX_TEST(UnreadBody, DoesntHoldUpTheResponse) {
  Running running({.handler = refuse_to_read});
  const std::string chunked_head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body(100'000, 'x');
  const std::string chunked_body = "186a0\r\n" + body + "\r\n0\r\n\r\n";
  const struct {
    std::string head;
    std::string body;
  } rows[] = {{post(100'000), body}, {chunked_head, chunked_body}, {post(5), "hello"}};
  for (const auto& row : rows) {
    Client client(running.address);
    client.send(row.head);
    const auto start = std::chrono::steady_clock::now();
    const std::string response = client.response();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 401 Unauthorized\r\n")) << response;
    EXPECT_FALSE(says_close(response));
    // Where the machine was too slow for the server's patience, there is no second answer.
    static_cast<void>(client.conn.write(row.body));
    static_cast<void>(client.conn.write(kGet));
    const std::string next = client.response();
    if (next.empty() && std::chrono::steady_clock::now() - start > 1s) continue;
    EXPECT_EQ(body_of(next), "who are you?");
  }
}

WEFT_MATRIX_TEST(UnreadBody, IsNotWaitedForForEver) {
  Running running({.handler = refuse_to_read});
  const std::string expects = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  WaitGroup group;
  for (const std::string& head : {post(100'000), post(1 << 20), expects}) {
    group.go([&running, head] {
      Client client(running.address);
      client.send(head);
      const std::string response = client.response();
      EXPECT_TRUE(response.starts_with("HTTP/1.1 401 Unauthorized\r\n")) << response;
      EXPECT_EQ(says_close(response), !head.starts_with(post(100'000)));
      EXPECT_EQ(client.rest(), "");
      EXPECT_TRUE(client.error == Condition::eof) << client.error.message();
    });
  }
  group.wait();
}

// A client that sends all of a long body before it reads finds the response, and no reset.
WEFT_MATRIX_TEST(UnreadBody, DoesntDestroyTheResponse) {
  Running running({.handler = refuse_to_read});
  for (const std::size_t size : {100'000U, 300'000U, 3'000'000U}) {
    Client client(running.address);
    const std::string body(size, 'x');
    client.send(post(size));
    EXPECT_FALSE(client.conn.write(body).ec);
    EXPECT_TRUE(client.response().starts_with("HTTP/1.1 401 Unauthorized\r\n")) << client.error.message();
  }
}

// Handler and client take turns: neither goes on before it has heard of the other.
WEFT_MATRIX_TEST(UnreadBody, StaysReadableWhileTheResponseIsUnderWay) {
  Running running({.handler = [](ResponseWriter& w, Request& r) {
    if (r.path() == "/duplex") {
      EXPECT_FALSE(w.enable_full_duplex());
    }
    w.header().set("Content-Length", std::to_string(r.content_length()));
    char piece[1024];
    std::size_t n = 0;
    do {
      n = 0;
      while (n < sizeof(piece)) {
        const IoResult got = r.body().read({piece + n, sizeof(piece) - n});
        if (got.n == 0) break;
        n += got.n;
      }
      EXPECT_EQ(w.write({piece, n}).n, n);
      EXPECT_FALSE(w.flush());
    } while (n == sizeof(piece));
  }});
  for (const std::string path : {"/plain", "/duplex"}) {
    for (const std::size_t size : {1U << 10, 1U << 12, 1U << 17, 1U << 18, (1U << 18) + 1024, 1U << 20}) {
      Client client(running.address);
      client.send(post(size, path));
      std::string answer;
      for (std::size_t sent = 0; sent < size; sent += 1024) {
        std::string piece(1024, static_cast<char>('a' + sent / 1024 % 26));
        client.send(piece);
        if (sent == 0) answer = body_of(client.response_head());
        std::string back = std::exchange(answer, "");
        const std::size_t had = back.size();
        back.resize(1024);
        ASSERT_EQ(client.conn.read_full({back.data() + had, 1024 - had}).n, 1024 - had) << size << " " << sent;
        ASSERT_EQ(back, piece);
      }
    }
  }
}

}  // namespace
}  // namespace weft::http
