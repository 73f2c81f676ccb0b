// Waiting for files of somebody else.
#include "weft/io/pollable.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/eventually.h"
#include "support/failing_new.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;
using weft::io::Pollable;

std::chrono::steady_clock::time_point in(std::chrono::nanoseconds d) { return std::chrono::steady_clock::now() + d; }

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) { EXPECT_GE(fd, 0); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void write(std::string_view text) const {
    EXPECT_EQ(::write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string read(std::size_t size = 64) const {
    std::string text(size, '\0');
    const ssize_t n = ::read(fd_, text.data(), size);
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return text;
  }
  bool is_open() const { return ::fcntl(fd_, F_GETFD) >= 0; }

 private:
  int fd_;
};

using Ends = std::pair<Fd, Fd>;

Ends socket_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

// The two ends of a TCP connection.
Ends tcp_pair() {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(listener.get(), name, size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), name, &size), 0);
  Fd near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(near.get(), name, size), 0);
  Fd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return {std::move(near), std::move(far)};
}

// The end to read from comes first.
Ends pipe_ends() {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

void fill(const Fd& fd) {
  ASSERT_EQ(::fcntl(fd.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string piece(4096, 'x');
  while (::write(fd.get(), piece.data(), piece.size()) > 0) {
  }
}

// Waits in a goroutine, lets it sleep, makes it ready, and expects that the wait ends then and not earlier.
template <typename MakeReady>
void expect_wait(const Pollable& pollable, MakeReady make_ready) {
  std::atomic<bool> ready{false};
  weft::WaitGroup wg;
  wg.go([&] {
    const std::error_code ec = pollable.wait_readable();
    EXPECT_FALSE(ec) << ec.message();
    EXPECT_TRUE(ready.load(std::memory_order_acquire));
  });
  weft::sleep(3ms);
  ready.store(true, std::memory_order_release);
  make_ready();
  wg.wait();
}

WEFT_MATRIX_TEST(Pollable, WaitsForSockets) {
  Ends ends = socket_pair();
  Fd& near = ends.first;
  Fd& far = ends.second;
  const Pollable pollable = Pollable::make(near.get()).value();
  for (int i = 0; i < 20; ++i) {
    expect_wait(pollable, [&] { far.write("hello"); });
    EXPECT_FALSE(pollable.wait_readable());  // it is still so
    EXPECT_EQ(near.read(), "hello");
  }
  expect_wait(pollable, [&] { far.close(); });
  EXPECT_EQ(near.read(), "");
  EXPECT_FALSE(pollable.close());
  EXPECT_TRUE(near.is_open());
}

WEFT_MATRIX_TEST(Pollable, WaitsForPipes) {
  Ends ends = pipe_ends();
  Fd& reader = ends.first;
  Fd& writer = ends.second;
  const Pollable readable = Pollable::make(reader.get()).value();
  const Pollable writable = Pollable::make(writer.get()).value();
  EXPECT_FALSE(writable.wait_writable());
  expect_wait(readable, [&] { writer.write("x"); });
  fill(writer);
  weft::WaitGroup wg;
  wg.go([&] { EXPECT_FALSE(writable.wait_writable()); });
  weft::sleep(2ms);
  EXPECT_EQ(::fcntl(reader.get(), F_SETFL, O_NONBLOCK), 0);
  while (!reader.read(100'000).empty()) {
  }
  wg.wait();
  expect_wait(readable, [&] { writer.close(); });
}

WEFT_MATRIX_TEST(Pollable, WaitsForEventTimerAndInotify) {
  const Fd event(::eventfd(0, EFD_CLOEXEC));
  const Pollable on_event = Pollable::make(event.get()).value();
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t one = 1;
    expect_wait(on_event, [&] { event.write({reinterpret_cast<const char*>(&one), sizeof(one)}); });
    EXPECT_EQ(event.read().size(), sizeof(one));
  }

  const Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const Pollable on_timer = Pollable::make(timer.get()).value();
  for (int i = 0; i < 3; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const itimerspec in_10ms{{0, 0}, {0, 10'000'000}};
    ASSERT_EQ(::timerfd_settime(timer.get(), 0, &in_10ms, nullptr), 0);
    EXPECT_FALSE(on_timer.wait_readable());
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
    EXPECT_EQ(timer.read().size(), sizeof(std::uint64_t));
  }

  char folder[] = "/tmp/weft_pollable_test_XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string file = std::string(folder) + "/file";
  const Fd notify(::inotify_init1(IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(notify.get(), folder, IN_CREATE), 0);
  const Pollable on_notify = Pollable::make(notify.get()).value();
  expect_wait(on_notify, [&] { const Fd made(::open(file.c_str(), O_CREAT | O_CLOEXEC, 0600)); });
  EXPECT_GT(notify.read(4096).size(), sizeof(inotify_event));
  ::unlink(file.c_str());
  ::rmdir(folder);
}

WEFT_MATRIX_TEST(Pollable, DeadlinesEndWaitsAndCanBeMoved) {
  for (const bool owns : {false, true}) {
    Ends ends = socket_pair();
    Fd& near = ends.first;
    Fd& far = ends.second;
    const int fd = owns ? ::fcntl(near.get(), F_DUPFD_CLOEXEC, 0) : near.get();
    const Pollable pollable = Pollable::make(fd, {.owns_fd = owns}).value();
    const auto begin = std::chrono::steady_clock::now();
    pollable.set_read_deadline(in(20ms));
    EXPECT_EQ(pollable.wait_readable(), Condition::deadline_exceeded);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    EXPECT_EQ(pollable.wait_readable(), Condition::deadline_exceeded);
    EXPECT_FALSE(pollable.wait_writable());  // the other side has no deadline

    pollable.set_deadline(in(-1s));
    far.write("x");
    EXPECT_EQ(pollable.wait_readable(), Condition::deadline_exceeded);  // also when it is ready
    EXPECT_EQ(pollable.wait_writable(), Condition::deadline_exceeded);
    pollable.set_deadline(in(30s));
    EXPECT_FALSE(pollable.wait_readable());
    EXPECT_EQ(near.read(), "x");

    pollable.set_read_deadline(weft::kNoDeadline);
    weft::WaitGroup wg;
    wg.go([&] { EXPECT_EQ(pollable.wait_readable(), Condition::deadline_exceeded); });
    weft::sleep(2ms);
    pollable.set_read_deadline(in(-1s));
    wg.wait();
  }
}

WEFT_MATRIX_TEST(Pollable, CloseWakesTheWaitsAndLeavesTheFile) {
  for (int i = 0; i < 20; ++i) {
    Ends ends = socket_pair();
    Fd& near = ends.first;
    Fd& far = ends.second;
    fill(near);
    const Pollable pollable = Pollable::make(near.get()).value();
    weft::WaitGroup wg;
    for (int w = 0; w < 2; ++w) {
      wg.go([&] { EXPECT_EQ(pollable.wait_readable(), Condition::closed); });
      wg.go([&] { EXPECT_EQ(pollable.wait_writable(), Condition::closed); });
    }
    if (i % 2 == 0) weft::sleep(2ms);
    EXPECT_FALSE(pollable.close());
    wg.wait();
    EXPECT_EQ(pollable.close(), make_error_code(weft::Errc::closed));
    EXPECT_EQ(pollable.wait_readable(), Condition::closed);
    EXPECT_TRUE(near.is_open());
    far.write("alive");
    EXPECT_EQ(near.read(), "alive");
  }
}

WEFT_MATRIX_TEST(Pollable, ClosesTheFileThatItOwns) {
  Ends ends = socket_pair();
  Fd& near = ends.first;
  Fd& far = ends.second;
  const int fd = ::fcntl(near.get(), F_DUPFD_CLOEXEC, 0);
  near.close();
  {
    Pollable pollable = Pollable::make(fd, {.owns_fd = true}).value();
    expect_wait(pollable, [&] { far.write("x"); });
    char byte = 0;
    EXPECT_EQ(::read(fd, &byte, 1), 1);
    expect_wait(pollable, [&] { far.write("y"); });
    weft::WaitGroup wg;
    EXPECT_EQ(::read(fd, &byte, 1), 1);
    wg.go([&] { EXPECT_EQ(pollable.wait_readable(), Condition::closed); });
    weft::sleep(2ms);
    EXPECT_FALSE(pollable.close());
    wg.wait();
    EXPECT_EQ(far.read(), "");  // nobody else has the other end open
  }
  // The last handle closes, too.
  Ends other_ends = socket_pair();
  Fd& a = other_ends.first;
  Fd& b = other_ends.second;
  const int other = ::fcntl(a.get(), F_DUPFD_CLOEXEC, 0);
  a.close();
  { const Pollable pollable = Pollable::make(other, {.owns_fd = true}).value(); }
  EXPECT_EQ(b.read(), "");
}

// One goroutine waits for reading and another one for writing, on one Pollable.
WEFT_MATRIX_TEST(Pollable, BothSidesAtOnce) {
  for (const bool owns : {false, true}) {
    Ends ends = socket_pair();
    Fd& near = ends.first;
    Fd& far = ends.second;
    const int fd = owns ? ::fcntl(near.get(), F_DUPFD_CLOEXEC, 0) : near.get();
    const Pollable pollable = Pollable::make(fd, {.owns_fd = owns}).value();
    for (int i = 0; i < 5; ++i) {
      fill(near);
      std::atomic<int> done{0};
      weft::WaitGroup wg;
      wg.go([&] {
        EXPECT_FALSE(pollable.wait_readable());
        done.fetch_add(1, std::memory_order_relaxed);
      });
      wg.go([&] {
        EXPECT_FALSE(pollable.wait_writable());
        done.fetch_add(10, std::memory_order_relaxed);
      });
      weft::sleep(2ms);
      EXPECT_EQ(done.load(std::memory_order_relaxed), 0);
      const bool read_first = i % 2 == 0;
      const auto make_readable = [&] { far.write("x"); };
      const auto make_writable = [&] {
        EXPECT_EQ(::fcntl(far.get(), F_SETFL, O_NONBLOCK), 0);
        while (!far.read(100'000).empty()) {
        }
        EXPECT_EQ(::fcntl(far.get(), F_SETFL, 0), 0);
      };
      read_first ? make_readable() : make_writable();
      EXPECT_TRUE(
          weft::testing::eventually([&] { return done.load(std::memory_order_relaxed) == (read_first ? 1 : 10); }));
      read_first ? make_writable() : make_readable();
      wg.wait();
      EXPECT_EQ(near.read(1), "x");
    }
  }
}

// Several Pollables of one file, as two libraries may make them.
WEFT_MATRIX_TEST(Pollable, SeveralOfOneFile) {
  Ends ends = socket_pair();
  Fd& near = ends.first;
  Fd& far = ends.second;
  std::vector<Pollable> pollables;
  for (int i = 0; i < 4; ++i) pollables.push_back(Pollable::make(near.get()).value());
  weft::WaitGroup wg;
  for (const Pollable& pollable : pollables) wg.go([&] { EXPECT_FALSE(pollable.wait_readable()); });
  weft::sleep(3ms);
  far.write("x");
  wg.wait();
}

// When no wait is in flight, the owner may close the file at once, and its number may become another file's.
WEFT_MATRIX_TEST(Pollable, OwnerClosesAfterTheWait) {
  Ends ends = socket_pair();
  Fd& near = ends.first;
  Fd& far = ends.second;
  const int number = near.get();
  const Pollable old = Pollable::make(number).value();
  expect_wait(old, [&] { far.write("x"); });
  EXPECT_EQ(near.read(), "x");
  near.close();
  EXPECT_EQ(far.read(), "");  // the file is closed, not only its number
  EXPECT_EQ(old.wait_readable(), std::errc::bad_file_descriptor);
  EXPECT_EQ(old.wait_writable(), std::errc::bad_file_descriptor);

  // The number goes to a file that somebody else waits for. The old Pollable must leave that one alone.
  Ends other_ends = socket_pair();
  Fd& a = other_ends.first;
  Fd& b = other_ends.second;
  const Fd reused(::fcntl(a.get(), F_DUPFD_CLOEXEC, number));
  ASSERT_TRUE(reused.get() == number || a.get() == number || b.get() == number);
  const Pollable fresh = Pollable::make(a.get()).value();
  weft::WaitGroup wg;
  wg.go([&] { EXPECT_FALSE(fresh.wait_readable()); });
  weft::sleep(2ms);
  EXPECT_FALSE(old.close());
  b.write("y");
  wg.wait();
  EXPECT_EQ(a.read(), "y");
}

TEST(Pollable, RefusesWhatNobodyCanWaitFor) {
  EXPECT_EQ(weft::run([] {
              char path[] = "/tmp/weft_pollable_test_XXXXXX";
              const Fd file(::mkostemp(path, O_CLOEXEC));
              ::unlink(path);
              const auto regular = Pollable::make(file.get());
              ASSERT_FALSE(regular);
              EXPECT_EQ(regular.error(), std::errc::operation_not_permitted);
              EXPECT_EQ(regular.error().message(),
                        "pollable: fd " + std::to_string(file.get()) +
                            " is a regular file, which is always ready: operation not permitted");
              EXPECT_TRUE(file.is_open());
              const Fd folder(::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
              EXPECT_EQ(Pollable::make(folder.get(), {.owns_fd = true}).error(), std::errc::operation_not_permitted);
              EXPECT_TRUE(folder.is_open());
              const auto none = Pollable::make(-1);
              ASSERT_FALSE(none);
              EXPECT_EQ(none.error().message(), "pollable: fd -1: bad file descriptor");
              EXPECT_FALSE(Pollable());
            }),
            0);
}

// TCP's urgent byte is nothing that a read returns. While nobody takes it, it must not wake the wait again and again.
WEFT_MATRIX_TEST(Pollable, SleepsOverAnUrgentByte) {
  for (const bool owns : {false, true}) {
    Ends ends = tcp_pair();
    Fd& near = ends.first;
    Fd& far = ends.second;
    const int fd = owns ? ::fcntl(near.get(), F_DUPFD_CLOEXEC, 0) : near.get();
    const Pollable pollable = Pollable::make(fd, {.owns_fd = owns}).value();
    ASSERT_EQ(::send(far.get(), "!", 1, MSG_OOB), 1);
    expect_wait(pollable, [&] {
      const std::uint64_t before = weft::runtime_stats().parks;
      weft::sleep(50ms);
      EXPECT_LT(weft::runtime_stats().parks - before, 100u);
      far.write("x");
    });
  }
}

// A Pollable that can't be made leaves the descriptor open, and a wait without memory says so.
WEFT_MATRIX_TEST(Pollable, RunsOutOfMemory) {
  using weft::testing::AllocationsFailAfter;
  for (const bool owns : {false, true}) {
    Ends ends = socket_pair();
    const int fd = ::fcntl(ends.first.get(), F_DUPFD_CLOEXEC, 0);
    Pollable pollable;
    int failures = 0;
    for (int n = 0; !pollable; ++n) {
      try {
        const AllocationsFailAfter after(n);
        pollable = Pollable::make(fd, {.owns_fd = owns}).value();
      } catch (const std::bad_alloc&) {
        ++failures;
      }
      ASSERT_GE(::fcntl(fd, F_GETFD), 0) << n;
    }
    EXPECT_GE(failures, 2);  // the handle and the descriptor

    pollable.set_read_deadline(in(2ms));
    const bool needs_memory = !owns && weft::testing::variant().poller == "epoll";
    std::error_code ec;
    {
      const AllocationsFailAfter none(0);
      ec = pollable.wait_readable();
    }
    if (needs_memory) {
      EXPECT_EQ(ec, std::errc::not_enough_memory);
    } else {
      EXPECT_EQ(ec, Condition::deadline_exceeded);
    }
    EXPECT_FALSE(pollable.close());
    if (!owns) ::close(fd);
  }
}

// A close needs no memory, also when other processors hold the waits.
WEFT_MATRIX_TEST(Pollable, ClosesWithoutMemory) {
  for (int round = 0; round < 20; ++round) {
    Ends ends = socket_pair();
    std::vector<Pollable> pollables;
    for (int i = 0; i < 8; ++i) pollables.push_back(Pollable::make(ends.first.get()).value());
    weft::WaitGroup wg;
    for (const Pollable& pollable : pollables) wg.go([&] { EXPECT_EQ(pollable.wait_readable(), Condition::closed); });
    weft::sleep(1ms);
    {
      const weft::testing::AllocationsFailAfter none(0);
      for (const Pollable& pollable : pollables) EXPECT_FALSE(pollable.close());
    }
    wg.wait();
  }
}

// A wait that needs one more descriptor, and gets none, says so. The Pollable is as before.
WEFT_MATRIX_TEST(Pollable, RunsOutOfDescriptors) {
  Ends ends = socket_pair();
  Fd& near = ends.first;
  Fd& far = ends.second;
  const Pollable borrowed = Pollable::make(near.get()).value();
  const Pollable owned = Pollable::make(::fcntl(near.get(), F_DUPFD_CLOEXEC, 0), {.owns_fd = true}).value();
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  rlimit limit = old_limit;
  limit.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  {
    std::vector<Fd> all;
    for (int fd = 0; (fd = ::fcntl(near.get(), F_DUPFD_CLOEXEC, 0)) >= 0;) all.emplace_back(fd);
    borrowed.set_read_deadline(in(2ms));
    owned.set_read_deadline(in(2ms));
    if (weft::testing::variant().poller == "epoll") {
      EXPECT_EQ(borrowed.wait_readable(), std::errc::too_many_files_open);
    } else {
      EXPECT_EQ(borrowed.wait_readable(), Condition::deadline_exceeded);
    }
    EXPECT_EQ(owned.wait_readable(), Condition::deadline_exceeded);
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old_limit), 0);
  borrowed.set_read_deadline(weft::kNoDeadline);
  expect_wait(borrowed, [&] { far.write("x"); });
}

// A wait holds the bubble's clock, and a deadline is an instant of that clock.
WEFT_MATRIX_TEST(Pollable, WaitsInABubble) {
  weft::testing::bubble([] {
    Ends ends = socket_pair();
    Fd& near = ends.first;
    Fd& far = ends.second;
    const Pollable pollable = Pollable::make(near.get()).value();
    pollable.set_deadline(weft::now() + 1h);
    weft::WaitGroup wg;
    wg.go([&] {
      EXPECT_FALSE(pollable.wait_readable());
      EXPECT_EQ(weft::now(), weft::testing::kBubbleStart);
    });
    for (int i = 0; i < 20; ++i) weft::yield();
    far.write("x");
    wg.wait();
    weft::sleep(1h);
    weft::testing::wait();
    EXPECT_EQ(pollable.wait_readable(), Condition::deadline_exceeded);
    pollable.set_deadline(weft::now() + 1h);
    EXPECT_FALSE(pollable.wait_readable());
    EXPECT_FALSE(pollable.close());
  });
}

// A Pollable may outlive its runtime, and meet the next one, which may have another poller. Nothing blocks then: a wait
// ends with an error, or at its deadline.
TEST(Pollable, OutlivesItsRuntime) {
  const auto use = [](const char* poller, const std::function<void()>& body) {
    ::setenv("WEFT_POLLER", poller, 1);
    EXPECT_EQ(weft::run(body, {.procs = 2}), 0);
  };
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    const char* const other = poller == std::string("epoll") ? "io_uring" : "epoll";
    for (const bool owns : {false, true}) {
      Ends ends = socket_pair();
      Fd& near = ends.first;
      Fd& far = ends.second;
      const int fd = owns ? ::fcntl(near.get(), F_DUPFD_CLOEXEC, 0) : near.get();
      {
        Pollable pollable;
        const auto wait_for = [&](std::chrono::nanoseconds time) {
          pollable.set_read_deadline(in(time));
          return pollable.wait_readable();
        };
        use(poller, [&] {
          pollable = Pollable::make(fd, {.owns_fd = owns}).value();
          EXPECT_EQ(wait_for(1ms), Condition::deadline_exceeded);
          pollable.set_read_deadline(in(1h));
        });
        use(other, [&] { EXPECT_EQ(wait_for(30s), Condition::closed); });
        use(poller, [&] {
          const std::error_code ec = wait_for(20ms);
          EXPECT_TRUE(ec == Condition::deadline_exceeded || ec == Condition::closed) << ec.message();
        });
        far.write("x");
        use(other, [&] { EXPECT_FALSE(wait_for(30s)); });  // this needs no poller
      }
      EXPECT_EQ(::fcntl(fd, F_GETFD) >= 0, !owns);
    }
  }
  ::unsetenv("WEFT_POLLER");
}

// Many goroutines on many files, which move between processors.
WEFT_MATRIX_TEST(Pollable, ManyWaitsAtOnce) {
  constexpr int kPairs = 40;
  constexpr int kRounds = 30;
  weft::WaitGroup wg;
  for (int i = 0; i < kPairs; ++i) {
    wg.go([&, i] {
      Ends ends = socket_pair();
      Fd& near = ends.first;
      Fd& far = ends.second;
      const Pollable pollable = Pollable::make(near.get()).value();
      const Pollable other = Pollable::make(far.get()).value();
      weft::WaitGroup echo;
      echo.go([&] {
        for (int round = 0; round < kRounds; ++round) {
          EXPECT_FALSE(other.wait_readable());
          far.write(far.read(1));
        }
      });
      for (int round = 0; round < kRounds; ++round) {
        near.write("x");
        EXPECT_FALSE(pollable.wait_readable());
        EXPECT_EQ(near.read(1), "x");
        if (round % 7 == i % 7) weft::yield();
      }
      echo.wait();
    });
  }
  wg.wait();
}

// A deadline, a close and an event that come together: the wait ends, and the next one finds what is left.
WEFT_MATRIX_TEST(Pollable, EndsTogether) {
  for (int i = 0; i < 60; ++i) {
    Ends ends = socket_pair();
    Fd& near = ends.first;
    Fd& far = ends.second;
    const Pollable pollable = Pollable::make(near.get()).value();
    weft::WaitGroup wg;
    wg.go([&] {
      const std::error_code ec = pollable.wait_readable();
      EXPECT_TRUE(!ec || ec == Condition::closed || ec == Condition::deadline_exceeded) << ec.message();
    });
    if (i % 3 == 0) weft::sleep(500us);
    wg.go([&] { far.write("x"); });
    wg.go([&] { pollable.set_read_deadline(in(-1s)); });
    if (i % 2 == 0) wg.go([&] { EXPECT_FALSE(pollable.close()); });
    wg.wait();
    EXPECT_EQ(near.read(), "x");
  }
}

}  // namespace
