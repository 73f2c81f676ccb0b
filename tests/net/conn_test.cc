#include "weft/net/conn.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "net/pair.h"
#include "support/eventually.h"
#include "support/files.h"
#include "support/matrix.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/sync.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;
using weft::net::Conn;

std::chrono::steady_clock::time_point in(std::chrono::nanoseconds d) { return std::chrono::steady_clock::now() + d; }

struct IoResultOf {
  weft::IoResult result;
  char byte = 0;
};

void spin_for(std::chrono::nanoseconds d) {
  for (const auto end = in(d); std::chrono::steady_clock::now() < end;) {
  }
}

using weft::testing::connect_pair;
using weft::testing::Pair;

std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>('a' + (i * 7 + i / 253) % 26);
  return s;
}

const std::string& more_than_buffers_hold() {
  static const std::string data = pattern(30'000'000);
  return data;
}

std::string read_all(Conn conn, std::size_t chunk = 1000) {
  std::string all;
  std::string buffer(chunk, '\0');
  for (;;) {
    const auto [n, ec] = conn.read(buffer);
    all.append(buffer, 0, n);
    if (ec == Condition::eof) return all;
    if (ec) {
      ADD_FAILURE() << ec.message();
      return all;
    }
  }
}

WEFT_MATRIX_TEST(Conn, EchoesBothWays) {
  const Pair p = connect_pair();
  Conn client = p.client;
  Conn server = p.server;
  std::string buffer(16, '\0');
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(client.write("ping").n, 4u);
    ASSERT_EQ(server.read_full({buffer.data(), 4}).n, 4u);
    ASSERT_EQ(buffer.substr(0, 4), "ping");
    ASSERT_EQ(server.write("pong!").n, 5u);
    ASSERT_EQ(client.read_full({buffer.data(), 5}).n, 5u);
    ASSERT_EQ(buffer.substr(0, 5), "pong!");
  }
  EXPECT_EQ(client.local_address(), server.remote_address());
  EXPECT_EQ(client.remote_address(), server.local_address());
}

// It is more than the receive buffers and the socket buffers hold. The writer must wait, and nothing is lost or
// reordered.
WEFT_MATRIX_TEST(Conn, CarriesMoreThanFitsInBuffers) {
  const Pair p = connect_pair();
  const std::string sent = pattern(6'000'000);
  weft::WaitGroup wg;
  wg.go([&] {
    Conn client = p.client;
    const auto [n, ec] = client.write(sent);
    EXPECT_EQ(n, sent.size());
    EXPECT_FALSE(ec) << ec.message();
    EXPECT_FALSE(client.close_write());
  });
  weft::sleep(20ms);  // so that the writer blocks
  EXPECT_TRUE(read_all(p.server, 70'000) == sent);
  wg.wait();
}

WEFT_MATRIX_TEST(Conn, WritevKeepsOrder) {
  const Pair p = connect_pair();
  std::vector<std::string> parts;
  std::string all;
  for (int i = 0; i < 50; ++i) {
    parts.push_back(pattern(static_cast<std::size_t>(i * 1000)));
    all += parts.back();
  }
  const std::vector<std::string_view> views(parts.begin(), parts.end());
  weft::WaitGroup wg;
  wg.go([&] {
    Conn client = p.client;
    EXPECT_EQ(client.writev(views).n, all.size());
    EXPECT_FALSE(client.close());
  });
  EXPECT_TRUE(read_all(p.server) == all);
  wg.wait();
}

WEFT_MATRIX_TEST(Conn, HalfCloseLetsTheOtherSideAnswer) {
  const Pair p = connect_pair();
  Conn client = p.client;
  Conn server = p.server;
  ASSERT_FALSE(client.write("question").ec);
  ASSERT_FALSE(client.close_write());
  EXPECT_EQ(read_all(server), "question");
  EXPECT_EQ(server.read(std::span<char>()).ec, std::error_code());  // an empty buffer asks for nothing
  ASSERT_FALSE(server.write("answer").ec);
  ASSERT_FALSE(server.close());
  EXPECT_EQ(read_all(client), "answer");
}

WEFT_MATRIX_TEST(Conn, EofStaysEof) {
  Pair p = connect_pair();
  ASSERT_FALSE(p.client.close());
  char byte = 0;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::eof);
}

WEFT_MATRIX_TEST(Conn, WaitReadableNeedsNoBuffer) {
  Pair p = connect_pair();
  weft::WaitGroup wg;
  wg.go([&] {
    for (int i = 0; i < 20; ++i) {
      ASSERT_FALSE(p.server.wait_readable());
      char buffer[8];
      ASSERT_EQ(p.server.read(buffer).n, 1u);
      ASSERT_FALSE(p.server.write("k").ec);
    }
    EXPECT_FALSE(p.server.wait_readable());  // the end of stream is readable
    char byte = 0;
    EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::eof);
  });
  char byte = 0;
  for (int i = 0; i < 20; ++i) {
    if (i % 3 == 0) weft::sleep(1ms);
    ASSERT_FALSE(p.client.write("x").ec);
    ASSERT_EQ(p.client.read({&byte, 1}).n, 1u);
  }
  ASSERT_FALSE(p.client.close());
  wg.wait();
}

WEFT_MATRIX_TEST(Conn, TryReadNeverWaits) {
  const Pair p = connect_pair();
  char buffer[8];
  EXPECT_EQ(p.server.try_read(buffer).ec, std::errc::operation_would_block);
  EXPECT_FALSE(p.client.write("one").ec);
  EXPECT_FALSE(p.server.wait_readable());  // after a look in vain, too
  EXPECT_EQ(p.server.read_full({buffer, 1}).n, 1U);
  EXPECT_EQ(p.server.try_read(buffer).n, 2U);
  EXPECT_EQ(std::string(buffer, 2), "ne");
  EXPECT_EQ(p.server.try_read(buffer).ec, std::errc::operation_would_block);
  weft::WaitGroup reader;
  reader.go([&] { EXPECT_EQ(p.server.read(buffer).n, 3U); });
  weft::sleep(1ms);
  EXPECT_FALSE(p.client.write("two").ec);
  reader.wait();
  p.server.set_read_deadline(in(-1s));
  EXPECT_EQ(p.server.try_read(buffer).ec, Condition::deadline_exceeded);
  p.server.set_read_deadline(weft::kNoDeadline);
  EXPECT_FALSE(p.client.close());
  EXPECT_FALSE(p.server.wait_readable());
  EXPECT_EQ(p.server.try_read(buffer).ec, Condition::eof);
  EXPECT_FALSE(p.server.close());
  EXPECT_EQ(p.server.try_read(buffer).ec, Condition::closed);
}

// Data that came before the first look is found by it.
WEFT_MATRIX_TEST(Conn, TryReadTakesWhatHasCome) {
  const Pair p = connect_pair();
  EXPECT_FALSE(p.client.write("early").ec);
  char buffer[8];
  weft::IoResult got;
  EXPECT_TRUE(weft::testing::eventually([&] { return (got = p.server.try_read(buffer)).n > 0; }));
  EXPECT_EQ(std::string(buffer, got.n), "early");
}

// The number that the socket of `local` has in this process.
int fd_of(const Conn& conn) {
  const std::string name = weft::net::to_string(conn.local_address());
  for (int fd = 3; fd < 1000; ++fd) {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sin_family != AF_INET) continue;
    if (name == "127.0.0.1:" + std::to_string(ntohs(address.sin_port)) &&
        ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
      return fd;
  }
  ADD_FAILURE() << "no socket of this process has the address " << name;
  return -1;
}

WEFT_MATRIX_TEST(Conn, TheEndLeavesWithTheLastBytes) {
  const Pair p = connect_pair();
  p.server.expect_end();
  EXPECT_EQ(p.server.write("the ").n, 4U);
  EXPECT_EQ(p.server.write("last").n, 4U);
  EXPECT_FALSE(p.server.close_write());
  pollfd both{fd_of(p.client), POLLIN | POLLRDHUP, 0};
  EXPECT_EQ(::poll(&both, 1, 10'000), 1);
  EXPECT_EQ(both.revents, POLLIN | POLLRDHUP);
  tcp_info info{};
  socklen_t size = sizeof(info);
  EXPECT_EQ(::getsockopt(both.fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(info.tcpi_data_segs_in, 1U);
  EXPECT_EQ(read_all(p.client), "the last");
}

// The server closes over bytes that it has not read, which resets the connection.
WEFT_MATRIX_TEST(Conn, TheLastBytesArriveBeforeAReset) {
  const Pair p = connect_pair();
  EXPECT_FALSE(p.client.write("never read").ec);
  p.server.expect_end();
  EXPECT_EQ(p.server.write("last").n, 4U);
  EXPECT_FALSE(p.server.close_write());
  EXPECT_FALSE(p.server.close());
  std::string last(4, '\0');
  EXPECT_EQ(p.client.read_full(last).n, 4U);
  EXPECT_EQ(last, "last");
}

WEFT_MATRIX_TEST(Conn, WithoutAnEndTheBytesLeaveSoon) {
  const Pair p = connect_pair();
  p.server.expect_end();
  EXPECT_EQ(p.server.write("late").n, 4U);
  std::string late(4, '\0');
  p.client.set_read_deadline(in(30s));
  EXPECT_EQ(p.client.read_full(late).n, 4U);
}

WEFT_MATRIX_TEST(Conn, ReadDeadlineFailsPendingAndFutureReadsAndCanBeMoved) {
  Pair p = connect_pair();
  char byte = 0;
  const auto begin = std::chrono::steady_clock::now();
  p.server.set_read_deadline(in(30ms));
  EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::deadline_exceeded);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
  EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::deadline_exceeded);
  EXPECT_EQ(p.server.wait_readable(), Condition::deadline_exceeded);

  p.server.set_read_deadline(in(30s));
  ASSERT_FALSE(p.client.write("x").ec);
  EXPECT_EQ(p.server.read({&byte, 1}).n, 1u);

  p.server.set_read_deadline(in(20ms));
  p.server.set_read_deadline(weft::kNoDeadline);
  weft::sleep(40ms);
  ASSERT_FALSE(p.client.write("y").ec);
  EXPECT_EQ(p.server.read({&byte, 1}).n, 1u);
  EXPECT_EQ(byte, 'y');
}

WEFT_MATRIX_TEST(Conn, PastDeadlineFromAnotherGoroutineWakesARead) {
  Pair p = connect_pair();
  for (int i = 0; i < 20; ++i) {
    weft::WaitGroup wg;
    wg.go([&] {
      char byte = 0;
      EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::deadline_exceeded);
    });
    if (i % 2 == 0) weft::sleep(2ms);
    const auto begin = std::chrono::steady_clock::now();
    p.server.set_read_deadline(in(-1s));
    wg.wait();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
    p.server.set_read_deadline(weft::kNoDeadline);
    char byte = 0;
    ASSERT_FALSE(p.client.write("x").ec);
    ASSERT_EQ(p.server.read({&byte, 1}).n, 1u);
  }
}

WEFT_MATRIX_TEST(Conn, WriteDeadlineReportsWhatWasWritten) {
  Pair p = connect_pair();
  p.client.set_write_deadline(in(50ms));
  const std::string& data = more_than_buffers_hold();
  const auto [n, ec] = p.client.write(data);
  EXPECT_EQ(ec, Condition::deadline_exceeded);
  EXPECT_LT(n, data.size());
  ASSERT_FALSE(p.client.close());
  EXPECT_EQ(read_all(p.server, 100'000).size(), n);
}

WEFT_MATRIX_TEST(Conn, CloseWakesReadersAndWriters) {
  for (int i = 0; i < 30; ++i) {
    Pair p = connect_pair();
    weft::WaitGroup wg;
    for (int r = 0; r < 3; ++r) {
      wg.go([&] {
        char byte = 0;
        EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::closed);
      });
    }
    wg.go([&] {
      const std::string& data = more_than_buffers_hold();
      EXPECT_EQ(p.server.write(data).ec, Condition::closed);
    });
    if (i % 2 == 0) weft::sleep(3ms);
    EXPECT_FALSE(p.server.close());
    wg.wait();
    EXPECT_EQ(p.server.close(), make_error_code(weft::Errc::closed));
    char byte = 0;
    EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::closed);
    EXPECT_EQ(p.server.write("x").ec, Condition::closed);
  }
}

WEFT_MATRIX_TEST(Conn, CloseReachesThePeerAtOnce) {
  Pair p = connect_pair();
  weft::WaitGroup wg;
  wg.go([&] {
    char byte = 0;
    EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::closed);
  });
  weft::sleep(5ms);
  EXPECT_FALSE(p.server.close());
  char byte = 0;
  p.client.set_read_deadline(in(30s));
  EXPECT_EQ(p.client.read({&byte, 1}).ec, Condition::eof);
  wg.wait();
}

WEFT_MATRIX_TEST(Conn, WriteToAClosedPeerFailsWithoutSignal) {
  Pair p = connect_pair();
  ASSERT_FALSE(p.server.close());
  std::error_code ec;
  for (const auto end = in(30s); !ec && std::chrono::steady_clock::now() < end;) {
    ec = p.client.write("x").ec;
    weft::sleep(1ms);
  }
  EXPECT_TRUE(ec == std::errc::broken_pipe || ec == std::errc::connection_reset) << ec.message();
}

WEFT_MATRIX_TEST(Conn, ConcurrentWritesAreWhole) {
  Pair p = connect_pair();
  constexpr int kWriters = 8;
  constexpr int kMessages = 40;
  constexpr std::size_t kSize = 5000;
  weft::WaitGroup writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.go([&, w] {
      const std::string message(kSize, static_cast<char>('a' + w));
      for (int i = 0; i < kMessages; ++i) EXPECT_EQ(p.client.write(message).n, kSize);
    });
  }
  std::vector<int> seen(kWriters);
  std::string message(kSize, '\0');
  for (int i = 0; i < kWriters * kMessages; ++i) {
    ASSERT_EQ(p.server.read_full(message).n, kSize);
    ASSERT_EQ(message.find_first_not_of(message[0]), std::string::npos);
    ++seen[static_cast<std::size_t>(message[0] - 'a')];
  }
  for (const int n : seen) EXPECT_EQ(n, kMessages);
  writers.wait();
}

// There are many connections at once, whose goroutines move between processors.
WEFT_MATRIX_TEST(Conn, ManyConnectionsEcho) {
  constexpr int kConns = 60;
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = "127.0.0.1:" + std::to_string(listener.address().port());
  weft::WaitGroup wg;
  wg.go([&] {
    for (;;) {
      auto conn = listener.accept();
      if (!conn) {
        EXPECT_EQ(conn.error(), Condition::closed);
        return;
      }
      wg.go([c = *conn]() mutable {
        std::string buffer(4096, '\0');
        for (;;) {
          const auto [n, ec] = c.read(buffer);
          if (ec) break;
          if (c.write({buffer.data(), n}).ec) break;
        }
      });
    }
  });
  weft::WaitGroup clients;
  for (int i = 0; i < kConns; ++i) {
    clients.go([&, i] {
      Conn c = weft::net::dial(weft::background(), "tcp", address).value();
      for (int round = 0; round < 20; ++round) {
        const std::string message = std::to_string(i) + pattern(static_cast<std::size_t>(round * 150));
        ASSERT_EQ(c.write(message).n, message.size());
        std::string back(message.size(), '\0');
        ASSERT_EQ(c.read_full(back).n, message.size());
        ASSERT_EQ(back, message);
        if (round % 7 == i % 7) weft::yield();
      }
    });
  }
  clients.wait();
  EXPECT_FALSE(listener.close());
  wg.wait();
}

WEFT_MATRIX_TEST(Conn, ErrorTextNamesTheAddresses) {
  Pair p = connect_pair();
  p.server.set_read_deadline(in(-1s));
  char byte = 0;
  const auto [n, ec] = p.server.read({&byte, 1});
  const std::string text = p.server.error("read", ec).message();
  EXPECT_EQ(text, "read tcp 127.0.0.1:" + std::to_string(p.server.local_address().port()) +
                      "->127.0.0.1:" + std::to_string(p.client.local_address().port()) + ": i/o timeout");
}

// A deadline and data come at the same moment. Whoever wins, the data is still there when the deadline has been moved.
WEFT_MATRIX_TEST(Conn, DeadlineAndDataTogetherLoseNothing) {
  for (int i = 0; i < 40; ++i) {
    Pair p = connect_pair();
    char byte = 0;
    ASSERT_FALSE(p.client.write("a").ec);
    ASSERT_EQ(p.server.read({&byte, 1}).n, 1u);
    weft::WaitGroup wg;
    IoResultOf first;
    wg.go([&] { first.result = p.server.read({&first.byte, 1}); });
    if (i % 2 == 0) weft::sleep(1ms);
    ASSERT_FALSE(p.client.write("b").ec);
    spin_for(200us);  // The event has come, and nobody has looked.
    p.server.set_read_deadline(in(-1s));
    wg.wait();
    if (first.result.n == 1) continue;
    ASSERT_EQ(first.result.ec, Condition::deadline_exceeded);
    p.server.set_read_deadline(in(30s));
    ASSERT_EQ(p.server.read({&byte, 1}).n, 1u) << "round " << i;
    ASSERT_EQ(byte, 'b');
  }
}

WEFT_MATRIX_TEST(Conn, DeadlineOfThisMomentHasPassed) {
  Pair p = connect_pair();
  ASSERT_FALSE(p.client.write("x").ec);
  for (int i = 0; i < 20; ++i) {
    weft::sleep(1ms);  // The processor looks at its clock,
    spin_for(50us);    // and for so long it does not look again.
    p.server.set_read_deadline(std::chrono::steady_clock::now());
    char byte = 0;
    ASSERT_EQ(p.server.read({&byte, 1}).ec, Condition::deadline_exceeded);
  }
}

// A goroutine that yields for ever leaves room for another's I/O.
WEFT_MATRIX_TEST(Conn, YieldingGoroutineDoesNotStarveIo) {
  Pair p = connect_pair();
  std::atomic<bool> done{false};
  weft::WaitGroup wg;
  wg.go([&] {
    char byte = 0;
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(p.server.read({&byte, 1}).n, 1u);
      EXPECT_EQ(p.server.write("k").n, 1u);
    }
    done.store(true, std::memory_order_release);
  });
  wg.go([&] {
    char byte = 0;
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(p.client.write("x").n, 1u);
      EXPECT_EQ(p.client.read({&byte, 1}).n, 1u);
    }
  });
  for (const auto end = weft::testing::patience_end();
       !done.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < end;)
    weft::yield();
  EXPECT_TRUE(done.load(std::memory_order_acquire));
  wg.wait();
}

// Short messages and the end of stream come together, to a goroutine that moves between processors. The last bytes
// arrive.
WEFT_MATRIX_TEST(Conn, DataBeforeTheEndOfStreamArrives) {
  weft::WaitGroup wg;
  for (int g = 0; g < 4; ++g) {
    wg.go([] {
      for (int i = 0; i < 15; ++i) {
        Pair p = connect_pair();
        weft::WaitGroup reader;
        std::string got;
        reader.go([&] { got = read_all(p.server, 3); });
        ASSERT_FALSE(p.client.write("hello ").ec);
        if (i % 2 == 0) weft::yield();
        ASSERT_FALSE(p.client.write("world").ec);
        ASSERT_FALSE(p.client.close());
        reader.wait();
        ASSERT_EQ(got, "hello world");
      }
    });
  }
  wg.wait();
}

// TCP's urgent byte splits what the kernel hands out. What comes after it must not wait for more to come.
WEFT_MATRIX_TEST(Conn, UrgentDataDoesNotStallTheStream) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const int raw = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(listener.address().port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(raw, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  Conn server = listener.accept().value();
  ASSERT_EQ(::send(raw, "abc", 3, 0), 3);
  ASSERT_EQ(::send(raw, "!", 1, MSG_OOB), 1);
  ASSERT_EQ(::send(raw, "def", 3, 0), 3);
  server.set_read_deadline(in(30s));
  std::string got(6, '\0');
  EXPECT_EQ(server.read_full(got).n, 6u);
  EXPECT_EQ(got, "abcdef");
  ::close(raw);
}

// Handles may outlive the runtime, and even meet the next one, which may have another poller. A round leaves no file
// open, unless its runtime was abandoned because its threads were too slow to stop. That does not happen in every
// round.
TEST(Conn, OutlivesItsRuntime) {
  const auto use = [](const char* poller, const std::function<void()>& body) {
    ::setenv("WEFT_POLLER", poller, 1);
    EXPECT_EQ(weft::run(body, {.procs = 2}), 0);
  };
  std::size_t files = 0;
  bool clean_round = false;
  for (int i = 0; i < 4; ++i) {
    for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
      Pair p;
      use(poller, [&] {
        p = connect_pair();
        char byte = 0;
        p.server.set_read_deadline(in(1ms));
        EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::deadline_exceeded);
        p.server.set_read_deadline(in(1h));
      });
      use(poller == std::string("epoll") ? "io_uring" : "epoll", [&] {
        char byte = 0;
        p.server.set_read_deadline(in(30s));
        EXPECT_EQ(p.server.read({&byte, 1}).ec, Condition::closed);
      });
      use(poller, [&] {
        char byte = 0;
        p.server.set_read_deadline(in(20ms));
        EXPECT_TRUE(p.server.read({&byte, 1}).ec);
      });
    }
    const std::size_t now = weft::testing::open_files();
    clean_round |= i > 0 && now <= files;
    files = now;
  }
  EXPECT_TRUE(clean_round);
  ::unsetenv("WEFT_POLLER");
}

}  // namespace
