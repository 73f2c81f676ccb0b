// I/O goes on when its processor has other things to do: the processor's thread computes, blocks or ends, or the
// processor retires.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/net/conn.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::net::Conn;
using weft::testing::eventually;
using weft::testing::spin_until;

// A server that sends back what it gets, and clients that make round trips until the end of the scope.
class Echo {
 public:
  explicit Echo(int clients) {
    group_.go([this] {
      while (auto conn = listener_.accept()) {
        group_.go([conn = *conn]() mutable { answer(conn); });
      }
    });
    for (int i = 0; i < clients; ++i) group_.go([this] { ask(); });
  }
  ~Echo() {
    stop_.store(true, std::memory_order_release);
    clients_.wait();
    EXPECT_FALSE(listener_.close());
    group_.wait();
  }
  int trips() const { return trips_.load(std::memory_order_acquire); }
  // Connects, and makes one round trip.
  bool answers_a_new_client() {
    Conn conn = dial();
    const bool answered = round_trip(conn);
    return !conn.close() && answered;
  }

 private:
  static void answer(Conn conn) {
    char byte = 0;
    while (conn.read({&byte, 1}).n == 1 && !conn.write({&byte, 1}).ec) {
    }
    EXPECT_FALSE(conn.close());
  }
  Conn dial() {
    return weft::net::dial(weft::background(), "tcp", "127.0.0.1:" + std::to_string(listener_.address().port()))
        .value();
  }
  static bool round_trip(Conn conn) {
    char byte = 'a';
    return conn.write({&byte, 1}).n == 1 && conn.read({&byte, 1}).n == 1 && byte == 'a';
  }
  void ask() {
    clients_.add(1);
    Conn conn = dial();
    while (!stop_.load(std::memory_order_acquire)) {
      EXPECT_TRUE(round_trip(conn));
      trips_.fetch_add(1, std::memory_order_release);
    }
    EXPECT_FALSE(conn.close());
    clients_.done();
  }

  weft::net::Listener listener_ = weft::net::listen("tcp", "127.0.0.1:0").value();
  std::atomic<bool> stop_{false};
  std::atomic<int> trips_{0};
  weft::WaitGroup clients_;
  weft::WaitGroup group_;
};

// `busy(over)` keeps threads busy until over() is true, which it becomes only when round trips have gone on meanwhile.
void expect_round_trips_during(const std::function<void(const std::function<bool()>& over)>& busy) {
  Echo echo(4);
  EXPECT_TRUE(eventually([&] { return echo.trips() >= 20; }));
  for (int round = 0; round < 3; ++round) {
    const int before = echo.trips();
    busy([&] { return echo.trips() >= before + 100; });
    EXPECT_GE(echo.trips(), before + 100);
    EXPECT_TRUE(echo.answers_a_new_client());
  }
}

WEFT_MATRIX_TEST(BusyProcessor, RoundTripsGoOnWhileAGoroutineComputes) {
  expect_round_trips_during([](const auto& over) { EXPECT_TRUE(spin_until(over)); });
}

WEFT_MATRIX_TEST(BusyProcessor, RoundTripsGoOnWhileManyCompute) {
  expect_round_trips_during([](const auto& over) {
    weft::WaitGroup group;
    for (int i = 0; i < 4; ++i) group.go([&] { EXPECT_TRUE(spin_until(over)); });
    group.wait();
  });
}

WEFT_MATRIX_TEST(BusyProcessor, RoundTripsGoOnWhileManyBlock) {
  expect_round_trips_during([](const auto& over) {
    constexpr int kCalls = 20;
    std::latch all_in(kCalls);
    weft::WaitGroup group;
    for (int i = 0; i < kCalls; ++i) {
      group.go([&] {
        weft::blocking([&] {
          all_in.arrive_and_wait();
          EXPECT_TRUE(spin_until([&] {
            std::this_thread::sleep_for(1ms);
            return over();
          }));
        });
      });
    }
    group.wait();
  });
}

WEFT_MATRIX_TEST(BusyProcessor, RoundTripsGoOnWhileALockedGoroutineComputes) {
  expect_round_trips_during([](const auto& over) {
    weft::lock_os_thread();
    EXPECT_TRUE(spin_until(over));
    weft::unlock_os_thread();
  });
}

#ifndef WEFT_TSAN  // TSan takes the clone for a fork, and forgets what it knew of the threads.

// The thread sleeps as in a page fault on a slow disk: it comes back only when what it waits for has ended.
void sleep_uninterruptibly_until_readable(int fd) {
  constexpr std::size_t kStack = 64 * 1024;
  const auto stack = std::make_unique<char[]>(kStack);
  const auto child = [](void* arg) {
    pollfd ready{*static_cast<int*>(arg), POLLIN, 0};
    timespec limit{weft::testing::kPatience.count(), 0};
    ::syscall(SYS_ppoll, &ready, 1, &limit, nullptr, 0);
    ::syscall(SYS_exit, 0);
    return 0;
  };
  // Until the child ends, the kernel lets only a fatal signal through to the thread that made it.
  const pid_t pid = ::clone(child, stack.get() + kStack, CLONE_VM | CLONE_VFORK | SIGCHLD, &fd);
  ASSERT_GT(pid, 0);
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
}

WEFT_MATRIX_TEST(BusyProcessor, WakeUpsDoNotWaitForAThreadThatSleepsUninterruptibly) {
  weft::sleep(1ms);  // In the poller, the thread hands the kernel all requests that it has prepared.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  auto ping = weft::make_chan<int>();
  auto pong = weft::make_chan<int>();
  std::atomic<bool> over{false};
  weft::WaitGroup group;
  group.go([&] {
    for (const int i : ping) pong.send(i);
  });
  std::thread outside([&] {
    for (int i = 0; i < 20; ++i) {
      ping.send(i);
      EXPECT_EQ(pong.recv(), i);
      std::this_thread::sleep_for(1ms);  // until everybody is asleep again
    }
    over.store(true, std::memory_order_release);
    ping.close();
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
  });
  weft::blocking([&] { sleep_uninterruptibly_until_readable(ends[0]); });
  EXPECT_TRUE(over.load(std::memory_order_acquire));
  group.wait();
  outside.join();
  ::close(ends[0]);
  ::close(ends[1]);
}

#endif

// What a goroutine does by itself when it has no processor, or is on a thread of its own.
WEFT_MATRIX_TEST(BusyProcessor, HogsBlockersAndLockedGoroutinesDoIO) {
  Echo echo(2);
  weft::WaitGroup group;
  group.go([&] {
    const int before = echo.trips();
    EXPECT_TRUE(spin_until([&] { return echo.trips() >= before + 20; }));
    EXPECT_TRUE(echo.answers_a_new_client());
  });
  group.go([&] {
    weft::blocking([&] {
      std::this_thread::sleep_for(5ms);
      EXPECT_TRUE(echo.answers_a_new_client());
      std::this_thread::sleep_for(5ms);
      EXPECT_TRUE(echo.answers_a_new_client());
    });
  });
  group.go([&] {
    weft::lock_os_thread();
    EXPECT_TRUE(echo.answers_a_new_client());
    weft::blocking([&] { EXPECT_TRUE(echo.answers_a_new_client()); });
    weft::unlock_os_thread();
  });
  group.wait();
}

// The kernel cancels what a thread has asked of a ring when the thread ends.
WEFT_MATRIX_TEST(BusyProcessor, ConnectionsOutliveTheThreadThatMadeTheRequests) {
  Echo echo(4);
  for (int i = 0; i < 20; ++i) {
    weft::WaitGroup group;
    group.go([&] {
      weft::lock_os_thread();
      EXPECT_TRUE(i % 2 != 0 || echo.answers_a_new_client());
    });
    group.wait();
    const int before = echo.trips();
    EXPECT_TRUE(eventually([&] { return echo.trips() >= before + 20; }));
    EXPECT_TRUE(echo.answers_a_new_client());
  }
}

// The connections are idle: only the request that is armed would wake them.
WEFT_MATRIX_TEST(BusyProcessor, IdleReadersOutliveTheThreadThatMadeTheRequests) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = "127.0.0.1:" + std::to_string(listener.address().port());
  constexpr int kConns = 10;
  for (int round = 0; round < 5; ++round) {
    std::vector<Conn> clients;
    std::vector<Conn> servers;
    std::atomic<int> got{0};
    weft::WaitGroup readers;
    for (int i = 0; i < kConns; ++i) {
      clients.push_back(weft::net::dial(weft::background(), "tcp", address).value());
      servers.push_back(listener.accept().value());
      readers.go([conn = servers.back(), &got]() mutable {
        char byte = 0;
        for (int n = 0; n < 2; ++n) {
          EXPECT_EQ(conn.read({&byte, 1}).n, 1u);
          got.fetch_add(1, std::memory_order_release);
        }
      });
    }
    for (auto& client : clients) EXPECT_EQ(client.write("x").n, 1u);
    EXPECT_TRUE(eventually([&] { return got.load(std::memory_order_acquire) == kConns; }));
    // The readers wait in any processor's poller, so every thread ends.
    for (int i = 0; i < 12; ++i) {
      weft::WaitGroup group;
      group.go([] {
        weft::lock_os_thread();
        weft::sleep(500us);
      });
      group.wait();
    }
    for (auto& client : clients) EXPECT_EQ(client.write("y").n, 1u);
    readers.wait();
    for (auto& conn : clients) EXPECT_FALSE(conn.close());
    for (auto& conn : servers) EXPECT_FALSE(conn.close());
  }
  EXPECT_FALSE(listener.close());
}

// --- set_procs -------------------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(BusyProcessor, RoundTripsGoOnWhileTheNumberChanges) {
  Echo echo(8);
  for (const int n : {4, 1, 3, 1, 4, 2, 1, 4}) {
    weft::set_procs(n);
    const int before = echo.trips();
    EXPECT_TRUE(eventually([&] { return echo.trips() >= before + 50; }));
    EXPECT_TRUE(echo.answers_a_new_client());
  }
}

// The connections' poller belongs to a processor that is out of service, and they are idle for a while.
WEFT_MATRIX_TEST(BusyProcessor, ConnectionsOfARetiredProcessorGoOn) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = "127.0.0.1:" + std::to_string(listener.address().port());
  weft::set_procs(4);
  constexpr int kConns = 32;
  std::vector<Conn> clients;
  std::vector<Conn> servers;
  std::atomic<int> got{0};
  weft::WaitGroup readers;
  for (int i = 0; i < kConns; ++i) {
    clients.push_back(weft::net::dial(weft::background(), "tcp", address).value());
    servers.push_back(listener.accept().value());
    readers.go([conn = servers.back(), &got]() mutable {
      char byte = 0;
      while (conn.read({&byte, 1}).n == 1) got.fetch_add(1, std::memory_order_release);
    });
  }
  int expected = 0;
  for (const int n : {1, 4, 2, 1, 3}) {
    for (auto& client : clients) EXPECT_EQ(client.write("x").n, 1u);
    expected += kConns;
    EXPECT_TRUE(eventually([&] { return got.load(std::memory_order_acquire) == expected; }));
    weft::set_procs(n);
    for (auto& client : clients) EXPECT_EQ(client.write("y").n, 1u);
    expected += kConns;
    EXPECT_TRUE(eventually([&] { return got.load(std::memory_order_acquire) == expected; }));
  }
  for (auto& conn : clients) EXPECT_FALSE(conn.close());
  readers.wait();
  for (auto& conn : servers) EXPECT_FALSE(conn.close());
  EXPECT_FALSE(listener.close());
}

// The thread of the retired processor computes: another thread takes what has come for its connections.
WEFT_MATRIX_TEST(BusyProcessor, ConnectionsOfARetiredProcessorWithAHogGoOn) {
  Echo echo(8);
  for (int round = 0; round < 3; ++round) {
    weft::set_procs(4);
    std::atomic<int> spinning{0};
    std::atomic<bool> retired{false};
    const int start = echo.trips();
    EXPECT_TRUE(eventually([&] { return echo.trips() >= start + 20; }));
    std::atomic<int> base{0};
    weft::WaitGroup group;
    for (int i = 0; i < 4; ++i) {
      group.go([&] {
        spinning.fetch_add(1, std::memory_order_release);
        EXPECT_TRUE(spin_until([&] {
          return retired.load(std::memory_order_acquire) && echo.trips() >= base.load(std::memory_order_relaxed) + 200;
        }));
      });
    }
    EXPECT_TRUE(eventually([&] { return spinning.load(std::memory_order_acquire) == 4; }));
    weft::set_procs(1);
    base.store(echo.trips(), std::memory_order_relaxed);
    retired.store(true, std::memory_order_release);
    group.wait();
  }
}

}  // namespace
