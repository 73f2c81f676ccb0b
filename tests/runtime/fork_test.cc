// fork() while a runtime runs: the child may exec or _exit, everything else is refused with one line, and the parent
// goes on unharmed.
#include "runtime/src/base/fork.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "runtime/src/io/descriptor.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

extern "C" char** environ;

#ifdef WEFT_ASAN
// A forked child that calls exit() lacks the threads whose stacks hold the test's objects, so LeakSanitizer would
// report these objects as leaks.
extern "C" int __lsan_is_turned_off() { return weft::rt::in_forked_child() ? 1 : 0; }
#endif

namespace {

using namespace std::chrono_literals;
using weft::testing::wait_until_parked;

// --- children --------------------------------------------------------------------------------------------------------

struct End {
  int status = -1;   // exit status; -SIGNAL when a signal ended it
  std::string text;  // its stderr
};

// SIGALRM ends a child that hangs.
constexpr unsigned kChildSeconds = 60;

struct Child {
  pid_t pid = -1;
  int text = -1;
};

// Forks. In the child it returns with pid 0, and stderr is a pipe.
Child start_child() {
  std::fflush(nullptr);
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Child child;
  child.pid = ::fork();
  if (child.pid == 0) {
    ::alarm(kChildSeconds);
    ::dup2(ends[1], STDERR_FILENO);
    return child;
  }
  ::close(ends[1]);
  child.text = ends[0];
  return child;
}

End wait_for(const Child& child) {
  End end;
  char chunk[512];
  for (;;) {
    const ssize_t n = ::read(child.text, chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    end.text.append(chunk, static_cast<std::size_t>(n));
  }
  ::close(child.text);
  int status = 0;
  EXPECT_EQ(::waitpid(child.pid, &status, 0), child.pid);
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return end;
}

// Returns the end of a child that calls `body`, and _exit(99) if `body` returns.
template <typename F>
End in_child(F body) {
  const Child child = start_child();
  if (child.pid == 0) {
    body();
    ::_exit(99);
  }
  return wait_for(child);
}

void expect_refused(const End& end, const std::string& what) {
  EXPECT_EQ(end.status, 2) << end.text;
  EXPECT_EQ(end.text, "weft: fatal error: " + what +
                          " in a forked child: only exec is allowed; use posix_spawn, or fork before weft::run "
                          "(docs/fork.md)\n");
}

constexpr const char* kWait = "a wait (channel, lock, sleep or I/O)";

void exec_exit_7() { ::execl("/bin/sh", "sh", "-c", "echo ran >&2; exit 7", nullptr); }

// --- what is allowed -------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Fork, ChildMayExec) {
  const End end = in_child(exec_exit_7);
  EXPECT_EQ(end.status, 7);
  EXPECT_EQ(end.text, "ran\n");
}

WEFT_PROCS_TEST(Fork, ChildMayExit) {
  EXPECT_EQ(in_child([] { ::_exit(5); }).status, 5);
}

WEFT_PROCS_TEST(Fork, ChildKnowsItself) {
  EXPECT_FALSE(weft::rt::in_forked_child());
  const End end = in_child([] {
    ::_exit(weft::rt::in_forked_child() && weft::this_goroutine::id() == 0 && weft::processor_id() == -1 ? 0 : 1);
  });
  EXPECT_EQ(end.status, 0);
  EXPECT_FALSE(weft::rt::in_forked_child());
  EXPECT_EQ(weft::this_goroutine::id(), 1u);
}

// These calls hand work to another process without a forked child of their own.
WEFT_PROCS_TEST(Fork, SpawnSystemAndPopen) {
  pid_t pid = -1;
  std::string shell = "sh";
  std::string option = "-c";
  std::string script = "exit 4";
  char* const arguments[] = {shell.data(), option.data(), script.data(), nullptr};
  ASSERT_EQ(::posix_spawn(&pid, "/bin/sh", nullptr, nullptr, arguments, environ), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 4);

  status = std::system("exit 3");
  EXPECT_EQ(WEXITSTATUS(status), 3);

  std::FILE* const pipe = ::popen("echo hello", "r");
  ASSERT_NE(pipe, nullptr);
  char line[16] = {};
  EXPECT_NE(std::fgets(line, sizeof(line), pipe), nullptr);
  EXPECT_EQ(std::string(line), "hello\n");
  EXPECT_EQ(::pclose(pipe), 0);
}

// Other threads may hold locks of the runtime at the fork. The way to exec needs none of these locks.
WEFT_PROCS_TEST(Fork, ExecWhileOthersAreBusy) {
  std::atomic<bool> stop{false};
  weft::WaitGroup others;
  for (int i = 0; i < 4; ++i) {
    others.add(1);
    weft::go([&] {
      auto ch = weft::make_chan<int>(1);
      while (!stop.load(std::memory_order_acquire)) {
        weft::go([ch]() mutable { ch.send(1); });
        ch.recv();
      }
      others.done();
    });
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(in_child(exec_exit_7).status, 7);
    weft::yield();
  }
  stop.store(true, std::memory_order_release);
  others.wait();
}

// --- what is refused -------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Fork, ChildMayNotGo) {
  expect_refused(in_child([] { weft::go([] {}); }), "go()");
}

WEFT_PROCS_TEST(Fork, ChildMayNotRun) {
  expect_refused(in_child([] { weft::run([] {}); }), "run()");
}

WEFT_PROCS_TEST(Fork, ChildMayNotYieldOrSleep) {
  expect_refused(in_child([] { weft::yield(); }), "yield()");
  expect_refused(in_child([] { weft::sleep(1ms); }), kWait);
}

WEFT_PROCS_TEST(Fork, ChildMayNotWait) {
  expect_refused(in_child([] { weft::make_chan<int>().recv(); }), kWait);
  expect_refused(in_child([] { weft::make_chan<int>().send(1); }), kWait);
  expect_refused(in_child([] { weft::Chan<int>().recv(); }), kWait);
  weft::WaitGroup never;
  never.add(1);
  expect_refused(in_child([&] { never.wait(); }), kWait);
  never.done();
}

WEFT_PROCS_TEST(Fork, ChildMayNotLockWhatIsLocked) {
  weft::Mutex mutex;
  mutex.lock();
  expect_refused(in_child([&] { mutex.lock(); }), "a call of the runtime");
  mutex.unlock();
}

WEFT_PROCS_TEST(Fork, ChildMayNotWake) {
  auto ch = weft::make_chan<int>();
  weft::WaitGroup receiver;
  receiver.add(1);
  weft::go([&] {
    EXPECT_EQ(ch.recv(), 1);
    receiver.done();
  });
  ASSERT_TRUE(wait_until_parked(1, "chan receive"));
  expect_refused(in_child([&] { ch.send(1); }), "a call of the runtime");
  ch.send(1);
  receiver.wait();
}

WEFT_PROCS_TEST(Fork, ChildMayNotAskTheRuntime) {
  expect_refused(in_child([] { static_cast<void>(weft::goroutine_count()); }), "a call of the runtime");
  expect_refused(in_child([] { static_cast<void>(weft::procs()); }), "a call of the runtime");
}

WEFT_PROCS_TEST(Fork, ChildMayNotReturnFromAGoroutine) {
  Child child;
  weft::WaitGroup forked;
  forked.add(1);
  weft::go([&] {
    child = start_child();
    if (child.pid != 0) forked.done();
  });
  forked.wait();
  expect_refused(wait_for(child), "the end of a goroutine");
}

TEST(Fork, ChildMayNotReturnFromMain) {
  Child child;
  EXPECT_EQ(weft::run([&] { child = start_child(); }, {.procs = 2}), 0);
  expect_refused(wait_for(child), "the end of main");
}

// The child of the child may not do more.
WEFT_PROCS_TEST(Fork, GrandchildMayNotGo) {
  const End end = in_child([] {
    const pid_t grandchild = ::fork();
    if (grandchild == 0) weft::go([] {});
    int status = 0;
    ::waitpid(grandchild, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
  });
  expect_refused(end, "go()");
}

// --- who forks, and when ---------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Fork, PlainThreadForks) {
  std::atomic<bool> done{false};
  std::thread thread([&] {
    expect_refused(in_child([] { weft::go([] {}); }), "go()");
    expect_refused(in_child([] { weft::make_chan<int>().recv(); }), kWait);
    EXPECT_EQ(in_child(exec_exit_7).status, 7);
    done.store(true, std::memory_order_release);
  });
  while (!done.load(std::memory_order_acquire)) weft::sleep(1ms);
  thread.join();
}

TEST(Fork, BeforeAndAfterARuntimeTheChildMayRun) {
  const auto run_in_child = [] { return in_child([] { ::_exit(weft::run([] { return 4; }, {.procs = 2})); }); };
  EXPECT_EQ(run_in_child().status, 4);
  EXPECT_EQ(weft::run([] {}), 0);
  const End end = run_in_child();
  EXPECT_EQ(end.status, 4) << end.text;
}

// This runs in a process of its own, because the process never gets rid of that thread.
TEST(ForkDeathTest, ARuntimeThatLeavesAThreadBehindStillCounts) {
  EXPECT_EXIT(
      {
        static std::atomic<bool> spinning{false};
        weft::run(
            [] {
              weft::go([] {
                spinning.store(true, std::memory_order_release);
                for (;;) std::this_thread::sleep_for(1ms);
              });
              while (!spinning.load(std::memory_order_acquire)) weft::yield();
            },
            {.procs = 2});
        const End end = in_child([] { weft::run([] {}); });
        ::_exit(end.text.find("run() in a forked child") != std::string::npos ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

// --- the parent's I/O ------------------------------------------------------------------------------------------------

// An owner that is destroyed with the process's statics.
struct Owned {
  weft::rt::Descriptor* descriptor = nullptr;
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { drop(); }
  void drop() {
    if (descriptor == nullptr) return;
    descriptor->close();
    descriptor->drop_owner();
    descriptor = nullptr;
  }
};
Owned near_end;
Owned far_end;

void open_ends() {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  near_end.descriptor = weft::rt::make_descriptor(ends[0], weft::rt::FdKind::stream);
  far_end.descriptor = weft::rt::make_descriptor(ends[1], weft::rt::FdKind::stream);
}

void echo() {
  char buffer[64];
  for (;;) {
    const weft::IoResult got = far_end.descriptor->read(buffer);
    if (got.n == 0) return;
    const std::string_view part(buffer, got.n);
    far_end.descriptor->writev({&part, 1});
  }
}

void round_trip(int number) {
  const std::string text = "message " + std::to_string(number);
  const std::string_view part = text;
  ASSERT_FALSE(near_end.descriptor->writev({&part, 1}).ec);
  std::string back;
  char buffer[64];
  while (back.size() < text.size()) {
    const weft::IoResult got = near_end.descriptor->read(buffer);
    ASSERT_FALSE(got.ec) << got.ec.message();
    back.append(buffer, got.n);
  }
  EXPECT_EQ(back, text);
}

WEFT_MATRIX_TEST(Fork, ParentsIoGoesOn) {
  open_ends();
  weft::WaitGroup echoing;
  echoing.add(1);
  weft::go([&] {
    echo();
    echoing.done();
  });
  int number = 0;
  const auto check = [&] {
    for (int i = 0; i < 20; ++i) round_trip(number++);
  };
  check();
  EXPECT_EQ(in_child(exec_exit_7).status, 7);
  check();
  // Static destructors run in the child, and leave the registrations of the sockets to the parent.
  const End exited = in_child([] { std::exit(3); });
  EXPECT_EQ(exited.status, 3) << exited.text;
  check();
  EXPECT_EQ(in_child([] {
              near_end.drop();
              far_end.drop();
              ::_exit(6);
            }).status,
            6);
  check();
  char byte = 0;
  expect_refused(in_child([&] { near_end.descriptor->read({&byte, 1}); }), kWait);
  check();
  expect_refused(in_child([] { weft::go([] {}); }), "go()");
  check();
  expect_refused(in_child([] { weft::rt::make_descriptor(0, weft::rt::FdKind::file); }), "network I/O");
  check();

  near_end.drop();
  echoing.wait();
  far_end.drop();
}

std::set<int> open_numbers() {
  std::set<int> numbers;
  for (int fd = 0; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) numbers.insert(fd);
  }
  return numbers;
}

TEST(Fork, NothingOfTheRuntimeSurvivesExec) {
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    ::setenv("WEFT_POLLER", poller, 1);
    const std::set<int> before = open_numbers();
    EXPECT_EQ(weft::run(
                  [&] {
                    int opened = 0;
                    for (const int fd : open_numbers()) {
                      if (before.contains(fd)) continue;
                      EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << "fd " << fd << " with " << poller;
                      ++opened;
                    }
                    EXPECT_GT(opened, 0);
                  },
                  {.procs = 2}),
              0);
  }
  ::unsetenv("WEFT_POLLER");
}

int mapped_rings() {
  std::ifstream maps("/proc/self/maps");
  int n = 0;
  for (std::string line; std::getline(maps, line);) n += line.find("io_uring") != std::string::npos ? 1 : 0;
  return n;
}

WEFT_MATRIX_TEST(Fork, ChildHasNoRings) {
  EXPECT_EQ(mapped_rings() > 0, weft::testing::variant().poller != "epoll");
  EXPECT_EQ(in_child([] { ::_exit(mapped_rings() == 0 ? 0 : 1); }).status, 0);
}

// A goroutine that waits for I/O while others fork gets its event.
WEFT_MATRIX_TEST(Fork, ForkWhileAnotherWaitsForIo) {
  open_ends();
  weft::WaitGroup echoing;
  echoing.add(1);
  weft::go([&] {
    echo();
    echoing.done();
  });
  ASSERT_TRUE(wait_until_parked(1, "IO wait"));
  for (int i = 0; i < 5; ++i) {
    const Child child = start_child();
    if (child.pid == 0) ::_exit(0);
    round_trip(i);  // while the child is there
    EXPECT_EQ(wait_for(child).status, 0);
  }
  near_end.drop();
  echoing.wait();
  far_end.drop();
}

}  // namespace
