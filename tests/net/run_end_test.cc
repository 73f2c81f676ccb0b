// What is left of sockets and pollers when run() returns before the goroutines that use them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "net/pair.h"
#include "support/files.h"
#include "support/parked.h"
#include "weft/chan.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/io/pollable.h"
#include "weft/net/conn.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;
using weft::io::Pollable;
using weft::net::Conn;
using weft::net::Listener;
using weft::testing::connect_pair;
using weft::testing::expect_runs_leave_no_files;
using weft::testing::kPollers;
using weft::testing::open_files;
using weft::testing::Pair;
using weft::testing::wait_until_parked;

Listener listen_on_loopback() { return weft::net::listen("tcp", "127.0.0.1:0").value(); }

TEST(RunEnd, LeavesNoFilesOfGoroutinesInAccept) {
  expect_runs_leave_no_files(
      [] {
        weft::go([listener = listen_on_loopback()] { static_cast<void>(listener.accept()); });
        EXPECT_TRUE(wait_until_parked(1, "IO wait"));
      },
      100);
}

// The listener has connections that nobody has accepted yet.
TEST(RunEnd, LeavesNoFilesOfConnectionsThatNobodyAccepted) {
  expect_runs_leave_no_files([] {
    const Listener listener = listen_on_loopback();
    const std::string address = weft::net::to_string(listener.address());
    auto accepted = weft::make_chan<Conn>();
    auto never = weft::make_chan<int>();
    weft::go([listener, accepted, never] {
      accepted.send(*listener.accept());
      never.recv();
    });
    std::vector<Conn> clients;
    clients.push_back(weft::net::dial(weft::background(), "tcp", address).value());
    accepted.recv();
    for (int i = 0; i < 3; ++i) clients.push_back(weft::net::dial(weft::background(), "tcp", address).value());
  });
}

TEST(RunEnd, LeavesNoFilesOfGoroutinesInRead) {
  expect_runs_leave_no_files([] {
    weft::go([pair = connect_pair()] {
      char byte = 0;
      static_cast<void>(pair.server.read({&byte, 1}));
    });
    EXPECT_TRUE(wait_until_parked(1, "IO wait"));
  });
}

// Bytes have arrived that nobody has read.
TEST(RunEnd, LeavesNoFilesOfUnreadConnections) {
  expect_runs_leave_no_files([] {
    auto read_once = weft::make_chan<int>();
    auto never = weft::make_chan<int>();
    const Pair pair = connect_pair();
    weft::go([pair, read_once, never] {
      char byte = 0;
      static_cast<void>(pair.server.read({&byte, 1}));
      read_once.send(1);
      never.recv();
    });
    EXPECT_FALSE(pair.client.write("abc").ec);
    read_once.recv();
  });
}

TEST(RunEnd, LeavesNoFilesOfGoroutinesInWrite) {
  expect_runs_leave_no_files([] {
    weft::go([pair = connect_pair()] {
      const std::string text(1 << 20, 'x');
      while (!pair.server.write(text).ec) {
      }
    });
    EXPECT_TRUE(wait_until_parked(1, "IO wait"));
  });
}

// Two goroutines wait on one connection, and two more for their turn.
TEST(RunEnd, LeavesNoFilesOfGoroutinesThatShareAConnection) {
  expect_runs_leave_no_files([] {
    const Pair pair = connect_pair();
    for (int i = 0; i < 2; ++i) {
      weft::go([pair] {
        char byte = 0;
        static_cast<void>(pair.server.read({&byte, 1}));
      });
      weft::go([pair] {
        const std::string text(1 << 20, 'x');
        while (!pair.server.write(text).ec) {
        }
      });
    }
    EXPECT_TRUE(wait_until_parked(4, "IO wait"));
  });
}

TEST(RunEnd, LeavesNoFilesOfGoroutinesInWaitReadable) {
  expect_runs_leave_no_files([] {
    weft::go([pair = connect_pair()] { static_cast<void>(pair.server.wait_readable()); });
    EXPECT_TRUE(wait_until_parked(1, "IO wait"));
  });
}

TEST(RunEnd, LeavesNoFilesOfGoroutinesWithDeadlines) {
  expect_runs_leave_no_files([] {
    weft::go([pair = connect_pair()] {
      pair.server.set_deadline(weft::now() + 1h);
      static_cast<void>(pair.server.wait_readable());
    });
    EXPECT_TRUE(wait_until_parked(1, "IO wait"));
  });
}

// A listening socket whose queue is full answers nobody, so whoever dials waits.
class FullListener {
 public:
  FullListener() {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    EXPECT_EQ(::bind(files_.front(), reinterpret_cast<sockaddr*>(&address_), size), 0);
    EXPECT_EQ(::listen(files_.front(), 0), 0);
    EXPECT_EQ(::getsockname(files_.front(), reinterpret_cast<sockaddr*>(&address_), &size), 0);
    for (int i = 0; i < 4; ++i) {
      files_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      static_cast<void>(::connect(files_.back(), reinterpret_cast<sockaddr*>(&address_), size));
    }
  }
  ~FullListener() {
    for (const int fd : files_) ::close(fd);
  }
  FullListener(const FullListener&) = delete;
  FullListener& operator=(const FullListener&) = delete;
  std::string address() const { return "127.0.0.1:" + std::to_string(::ntohs(address_.sin_port)); }

 private:
  std::vector<int> files_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address_{};
};

TEST(RunEnd, LeavesNoFilesOfGoroutinesInDial) {
  const FullListener full;
  expect_runs_leave_no_files([&] {
    weft::go([&] { static_cast<void>(weft::net::dial(weft::background(), "tcp", full.address())); });
    weft::go([&] {
      const auto limited = weft::with_timeout(weft::background(), 1h);
      static_cast<void>(weft::net::dial(limited.first, "tcp", full.address()));
    });
    EXPECT_TRUE(wait_until_parked(2, "IO wait"));
  });
}

// These goroutines wait for something else than their connections.
TEST(RunEnd, LeavesNoFilesOfGoroutinesThatSleep) {
  expect_runs_leave_no_files([] {
    weft::go([pair = connect_pair(), listener = listen_on_loopback()] { weft::sleep(1h); });
    weft::go([pair = connect_pair()] { weft::make_chan<int>().recv(); });
    EXPECT_TRUE(wait_until_parked(1, "sleep"));
    EXPECT_TRUE(wait_until_parked(1, "chan receive"));
  });
}

TEST(RunEnd, LeavesNoFilesOfGoroutinesThatWaitForFilesOfTheirOwn) {
  expect_runs_leave_no_files([] {
    weft::go([] {
      const Pollable event = Pollable::make(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), {.owns_fd = true}).value();
      static_cast<void>(event.wait_readable());
    });
    EXPECT_TRUE(wait_until_parked(1, "IO wait"));
  });
}

// The file is somebody else's and stays open.
TEST(RunEnd, LeavesNoFilesOfGoroutinesThatWaitForFilesOfOthers) {
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  expect_runs_leave_no_files([&] {
    weft::go([&] { static_cast<void>(Pollable::make(event).value().wait_readable()); });
    EXPECT_TRUE(wait_until_parked(1, "IO wait"));
  });
  EXPECT_GE(::fcntl(event, F_GETFD), 0);
  ::close(event);
}

// A goroutine is in close(), and waits for one that is stuck in a write: then main returns.
TEST(RunEnd, LeavesNoFilesWhenMainReturnsBesideAClose) {
  expect_runs_leave_no_files([] {
    for (int i = 0; i < 8; ++i) {
      const Pair pair = connect_pair();
      weft::go([pair] {
        char byte = 0;
        static_cast<void>(pair.server.read({&byte, 1}));
      });
      weft::go([pair] { static_cast<void>(pair.server.close()); });
    }
    weft::yield();
  });
}

// The peer of a connection that was left behind sees its end.
TEST(RunEnd, EndsConnectionsThatWereLeftBehind) {
  for (const char* const poller : kPollers) {
    ::setenv("WEFT_POLLER", poller, 1);
    int peer = -1;
    EXPECT_EQ(weft::run([&] {
                const Listener listener = listen_on_loopback();
                peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                sockaddr_in address{};
                address.sin_family = AF_INET;
                address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
                address.sin_port = ::htons(listener.address().port());
                EXPECT_EQ(::connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
                weft::go([conn = listener.accept().value()] {
                  char byte = 0;
                  static_cast<void>(conn.read({&byte, 1}));
                });
                EXPECT_TRUE(wait_until_parked(1, "IO wait"));
              }),
              0);
    const timeval patience{60, 0};
    ::setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    char byte = 0;
    EXPECT_EQ(::recv(peer, &byte, 1, 0), 0) << poller;
    ::close(peer);
  }
  ::unsetenv("WEFT_POLLER");
}

// Handles that outlive run(), while goroutines were parked in their operations, can be used, closed and destroyed.
TEST(RunEnd, HandlesThatOutliveItAreClosed) {
  for (const char* const poller : kPollers) {
    for (const char* const next : kPollers) {
      ::setenv("WEFT_POLLER", poller, 1);
      const std::size_t before = open_files();
      {
        Listener listener;
        Pair busy;
        Pair idle;
        EXPECT_EQ(weft::run(
                      [&] {
                        listener = listen_on_loopback();
                        busy = connect_pair();
                        idle = connect_pair();
                        weft::go([listener] { static_cast<void>(listener.accept()); });
                        weft::go([conn = busy.server] {
                          char byte = 0;
                          static_cast<void>(conn.read({&byte, 1}));
                        });
                        EXPECT_TRUE(wait_until_parked(2, "IO wait"));
                      },
                      {.procs = 2}),
                  0);
        EXPECT_EQ(listener.close(), Condition::closed);  // on a plain thread
        ::setenv("WEFT_POLLER", next, 1);
        EXPECT_EQ(weft::run(
                      [&] {
                        char byte = 0;
                        EXPECT_EQ(listener.accept().error(), Condition::closed);
                        EXPECT_EQ(busy.server.read({&byte, 1}).ec, Condition::closed);
                        EXPECT_EQ(busy.client.write("x").ec, Condition::closed);
                        idle.server.set_deadline(weft::now() + 1h);
                        EXPECT_EQ(idle.server.read({&byte, 1}).ec, Condition::closed);
                        EXPECT_EQ(idle.server.close(), Condition::closed);
                        idle = {};
                      },
                      {.procs = 2}),
                  0);
      }
      EXPECT_LE(open_files(), before + 8) << poller << " and " << next;
    }
  }
  ::unsetenv("WEFT_POLLER");
}

}  // namespace
