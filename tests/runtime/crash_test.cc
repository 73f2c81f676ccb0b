// Deaths in child processes, tested by status and stderr.
#include "runtime/src/crash/crash.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/src/base/fatal.h"
#include "runtime/src/symbols/debug_info.h"
#include "support/parked.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/sync.h"
#include "weft/time.h"

// Each function so marked is a frame to look for in a report.
#define WEFT_FRAME [[gnu::noinline]]

namespace crash_test {

using namespace std::chrono_literals;

// Keeps a call from being the last thing that its function does. Such a call would become a jump and take the function
// off the stack.
inline void stay() { asm volatile(""); }

WEFT_FRAME void throws_far_below(int depth) {
  if (depth == 0) throw std::runtime_error("boom");
  throws_far_below(depth - 1);
  stay();
}

WEFT_FRAME void parks_in_receive(weft::Chan<int> ch) {
  ch.recv();
  stay();
}

WEFT_FRAME void writes_to_nowhere() {
  *reinterpret_cast<volatile int*>(0x10) = 1;
  stay();
}

std::atomic<int> spinning{0};
WEFT_FRAME void spins() {
  spinning.fetch_add(1, std::memory_order_release);
  for (;;) stay();
}

// Checks a report, and holds what the test says when the report is not right.
class Says : public ::testing::MatcherInterface<const std::string&> {
 public:
  using Check = std::function<bool(const std::string&)>;
  Says(std::string what, Check check) : what_(std::move(what)), check_(std::move(check)) {}
  bool MatchAndExplain(const std::string& text, ::testing::MatchResultListener*) const override { return check_(text); }
  void DescribeTo(std::ostream* out) const override { *out << what_; }

 private:
  const std::string what_;
  const Check check_;
};

::testing::Matcher<const std::string&> says(std::string what, Says::Check check) {
  return ::testing::Matcher<const std::string&>(new Says(std::move(what), std::move(check)));
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

class CrashDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ::unsetenv("WEFT_TRACEBACK");
  }
};

using weft::testing::ignore;

void run_until_dead(void (*body)(), int procs = 2, const char* traceback = nullptr) {
  if (traceback != nullptr) ::setenv("WEFT_TRACEBACK", traceback, 1);
  weft::run(
      [body] {
        body();
        weft::sleep(2min);
      },
      {.procs = procs, .log = ignore});
}

// --- panics ----------------------------------------------------------------------------------------------------------

TEST_F(CrashDeathTest, ExceptionThatLeavesAGoroutineShowsTheThrowingFunction) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_until_dead([] { weft::go([] { throws_far_below(3); }); }, procs), ::testing::ExitedWithCode(2),
                "^panic: std::runtime_error: boom\n\ngoroutine [0-9]+ \\[running\\]:\n"
                "crash_test::throws_far_below\\(\\.\\.\\.\\)\n\t.* \\+0x[0-9a-f]+\n");
  }
}

// A text from outside can't pass for a part of the report: its further lines begin with a tab, as Go has it.
TEST_F(CrashDeathTest, LinesOfAnExceptionAreIndented) {
  EXPECT_EXIT(run_until_dead([] { throw std::runtime_error("a\ngoroutine 7 [running]:\n\x1b[2Jb\r\n"); }),
              ::testing::ExitedWithCode(2),
              "^panic: std::runtime_error: a\n\tgoroutine 7 \\[running\\]:\n\t\\\\x1b\\[2Jb\\\\r\n\t\n\n"
              "goroutine 1 \\[running\\]:\n");
}

// The report is made before anything is unwound.
TEST_F(CrashDeathTest, NoDestructorRunsBeforeAPanicIsReported) {
  struct Speaks {
    ~Speaks() { std::fputs("destroyed\n", stderr); }
  };
  EXPECT_EXIT(run_until_dead([] {
                weft::go([] {
                  const Speaks speaks;
                  throws_far_below(0);
                });
              }),
              ::testing::ExitedWithCode(2), says("no destructor ran", [](const std::string& text) {
                return has(text, "throws_far_below(...)") && !has(text, "destroyed");
              }));
}

TEST_F(CrashDeathTest, ExceptionThatLeavesMain) {
  EXPECT_EXIT(run_until_dead([] { throws_far_below(0); }), ::testing::ExitedWithCode(2),
              "^panic: std::runtime_error: boom\n\ngoroutine 1 \\[running\\]:\ncrash_test::throws_far_below");
}

TEST_F(CrashDeathTest, ExceptionOnAPlainThread) {
  EXPECT_EXIT(run_until_dead([] { std::thread([] { throws_far_below(0); }).join(); }), ::testing::ExitedWithCode(2),
              "^panic: std::runtime_error: boom\n\nthread [0-9]+ \\[running, no goroutine\\]:\n"
              "crash_test::throws_far_below");
}

TEST_F(CrashDeathTest, PanicWithoutSignalsTaken) {
  EXPECT_EXIT(weft::run(
                  [] {
                    weft::go([] { throws_far_below(0); });
                    weft::sleep(1h);
                  },
                  {.procs = 2, .log = ignore, .crash_reports = false}),
              ::testing::ExitedWithCode(2),
              "^panic: std::runtime_error: boom\n\ngoroutine [0-9]+ \\[running\\]:\ncrash_test::throws_far_below");
}

TEST_F(CrashDeathTest, OneOfManyPanicsIsReported) {
  EXPECT_EXIT(run_until_dead(
                  [] {
                    static std::atomic<int> ready{0};
                    for (int i = 0; i < 4; ++i) {
                      weft::go([] {
                        ready.fetch_add(1, std::memory_order_acq_rel);
                        while (ready.load(std::memory_order_acquire) < 4) weft::yield();
                        throws_far_below(0);
                      });
                    }
                  },
                  4),
              ::testing::ExitedWithCode(2), says("one report", [](const std::string& text) {
                return count(text, "panic: ") == 1 && count(text, "[running]") == 1;
              }));
}

// --- fatal errors ----------------------------------------------------------------------------------------------------

TEST_F(CrashDeathTest, FatalErrorShowsTheCallersStack) {
  EXPECT_EXIT(run_until_dead([] {
                weft::Mutex mutex;
                mutex.unlock();
              }),
              ::testing::ExitedWithCode(2),
              "^fatal error: sync: unlock of unlocked mutex\n\ngoroutine 1 \\[running\\]:\nweft::Mutex::unlock");
}

TEST_F(CrashDeathTest, FatalErrorWithoutARuntime) {
  EXPECT_EXIT(weft::rt::fatal("on its own"), ::testing::ExitedWithCode(2),
              "^fatal error: on its own\n\nthread [0-9]+ \\[running, no goroutine\\]:\n");
}

// The report is made as a deadlock report is: by a thread that is no goroutine, and on all goroutines.
TEST_F(CrashDeathTest, FatalForAllShowsEveryWaitReason) {
  EXPECT_EXIT(run_until_dead([] {
                const auto ch = weft::make_chan<int>();
                for (int i = 0; i < 3; ++i) weft::go([ch] { parks_in_receive(ch); });
                weft::testing::wait_until_parked(3, "chan receive");
                std::thread([] { weft::rt::fatal_all("all goroutines are asleep - deadlock!"); }).join();
              }),
              ::testing::ExitedWithCode(2), says("all goroutines", [](const std::string& text) {
                return text.starts_with("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [") &&
                       count(text, "[chan receive]:\n") == 3 && count(text, "crash_test::parks_in_receive(...)") == 3;
              }));
}

TEST_F(CrashDeathTest, FailedCheckShowsTheStackAndAborts) {
  EXPECT_EXIT(run_until_dead([] { WEFT_CHECK(std::getenv("PATH") == nullptr, "the world is upside down"); }),
              ::testing::KilledBySignal(SIGABRT),
              "check failed: .*: the world is upside down\n\ngoroutine 1 \\[running\\]:\nweft::rt::");
}

// Another thread holds libdw and never lets go, like a thread that crashed inside it. The crashing thread prints what
// it can without libdw.
TEST_F(CrashDeathTest, ReportThatCantBeMadeShowsReturnAddresses) {
  EXPECT_EXIT(run_until_dead([] {
                static std::atomic<bool> held{false};
                std::thread([] {
                  const weft::rt::DebugInfo::Use held_for_ever;
                  held.store(true, std::memory_order_release);
                  for (;;) ::pause();
                }).detach();
                while (!held.load(std::memory_order_acquire)) weft::yield();
                throws_far_below(0);
              }),
              ::testing::ExitedWithCode(2),
              "^panic: std::runtime_error: boom\nweft: the report above is incomplete; return addresses:\n"
              "\t0x[0-9a-f]+\n\t0x[0-9a-f]+\n");
}

// --- WEFT_TRACEBACK --------------------------------------------------------------------------------------------------

void park_two_and_throw() {
  const auto ch = weft::make_chan<int>();
  for (int i = 0; i < 2; ++i) weft::go([ch] { parks_in_receive(ch); });
  weft::testing::wait_until_parked(2, "chan receive");
  throws_far_below(0);
}

TEST_F(CrashDeathTest, TracebackNoneShowsNoGoroutine) {
  for (const char* const level : {"none", "0"}) {
    EXPECT_EXIT(run_until_dead(park_two_and_throw, 2, level), ::testing::ExitedWithCode(2),
                "^panic: std::runtime_error: boom\n$");
  }
}

TEST_F(CrashDeathTest, TracebackSingleShowsOne) {
  for (const char* const level : {"single", ""}) {
    EXPECT_EXIT(run_until_dead(park_two_and_throw, 2, level), ::testing::ExitedWithCode(2),
                says("one goroutine", [](const std::string& text) {
                  return has(text, "\n\ngoroutine 1 [running]:\n") && !has(text, "[chan receive]");
                }));
  }
}

TEST_F(CrashDeathTest, TracebackAllShowsAllTheCrashedOneFirst) {
  for (const char* const level : {"all", "1"}) {
    EXPECT_EXIT(run_until_dead(park_two_and_throw, 2, level), ::testing::ExitedWithCode(2),
                says("three goroutines", [](const std::string& text) {
                  return count(text, "[chan receive]:\n") == 2 && count(text, "goroutine 1 [") == 1 &&
                         text.find("goroutine 1 [running]") < text.find("[chan receive]") && !has(text, "weft::rt::");
                }));
  }
}

TEST_F(CrashDeathTest, TracebackSystemShowsTheRuntimesFrames) {
  for (const char* const level : {"system", "2"}) {
    EXPECT_EXIT(run_until_dead(park_two_and_throw, 2, level), ::testing::ExitedWithCode(2),
                says("internal frames", [](const std::string& text) {
                  return count(text, "[chan receive]:\n") == 2 && has(text, "weft::rt::");
                }));
  }
}

TEST_F(CrashDeathTest, TracebackCrashAborts) {
  EXPECT_EXIT(run_until_dead(park_two_and_throw, 2, "crash"), ::testing::KilledBySignal(SIGABRT),
              "^panic: std::runtime_error: boom\n");
}

TEST_F(CrashDeathTest, BadTracebackLevelIsNamed) {
  EXPECT_EXIT(run_until_dead(park_two_and_throw, 2, "loud"), ::testing::ExitedWithCode(2),
              "^weft: WEFT_TRACEBACK is \"loud\"; it must be none, single, all, system or crash");
}

// --- SIGQUIT ---------------------------------------------------------------------------------------------------------

// TSan holds a signal back until its thread calls into TSan, so a thread that spins does not answer.
#if defined(WEFT_TSAN)
constexpr bool kRunningThreadsAnswer = false;
#else
constexpr bool kRunningThreadsAnswer = true;
#endif

::testing::Matcher<const std::string&> dumps_100_parked(bool with_spinners) {
  return says("a dump of 100 parked goroutines", [with_spinners](const std::string& text) {
    return text.starts_with("SIGQUIT: quit\n\ngoroutine ") && count(text, " [chan receive]:\n") == 100 &&
           count(text, "crash_test::parks_in_receive(...)\n") == 100 &&
           (!with_spinners || (count(text, " [running]:\n") == 2 &&
                               count(text, "crash_test::spins(...)\n") == (kRunningThreadsAnswer ? 2 : 0)));
  });
}

void park_100() {
  const auto ch = weft::make_chan<int>();
  for (int i = 0; i < 100; ++i) weft::go([ch] { parks_in_receive(ch); });
  ASSERT_TRUE(weft::testing::wait_until_parked(100, "chan receive"));
}

TEST_F(CrashDeathTest, QuitDumpsEveryGoroutine) {
  EXPECT_EXIT(run_until_dead([] {
                park_100();
                ::kill(::getpid(), SIGQUIT);
              }),
              ::testing::ExitedWithCode(2), dumps_100_parked(false));
}

// Every processor is held by a goroutine that does not come back: the scheduler is wedged.
TEST_F(CrashDeathTest, QuitDumpsAWedgedScheduler) {
  EXPECT_EXIT(run_until_dead([] {
                park_100();
                std::thread([] {
                  while (spinning.load(std::memory_order_acquire) < 2) std::this_thread::yield();
                  ::kill(::getpid(), SIGQUIT);
                }).detach();
                weft::go([] { spins(); });
                spins();
              }),
              ::testing::ExitedWithCode(2), dumps_100_parked(true));
}

TEST_F(CrashDeathTest, QuitThatIsTakenAlreadyIsLeftAlone) {
  EXPECT_EXIT(
      {
        std::signal(SIGQUIT, [](int) { ::_exit(17); });
        run_until_dead([] { ::kill(::getpid(), SIGQUIT); });
      },
      ::testing::ExitedWithCode(17), "^$");
}

// A script's `&` starts a process with SIGQUIT ignored.
TEST_F(CrashDeathTest, QuitThatWasIgnoredDumps) {
  EXPECT_EXIT(
      {
        std::signal(SIGQUIT, SIG_IGN);
        run_until_dead([] {
          park_100();
          ::kill(::getpid(), SIGQUIT);
        });
      },
      ::testing::ExitedWithCode(2), dumps_100_parked(false));
}

TEST_F(CrashDeathTest, QuitThatMainIgnoresStaysIgnored) {
  EXPECT_EXIT(::_exit(weft::run(
                  [] {
                    std::signal(SIGQUIT, SIG_IGN);
                    ::kill(::getpid(), SIGQUIT);
                    weft::sleep(20ms);
                    return 7;
                  },
                  {.log = ignore})),
              ::testing::ExitedWithCode(7), "^$");
}

TEST_F(CrashDeathTest, QuitWithoutCrashReportsHasItsDefaultAction) {
  EXPECT_EXIT(weft::run(
                  [] {
                    ::kill(::getpid(), SIGQUIT);
                    weft::sleep(1h);
                  },
                  {.log = ignore, .crash_reports = false}),
              ::testing::KilledBySignal(SIGQUIT), "^$");
}

TEST(Crash, SignalsAreGivenBackAtTheEndOfRun) {
  const auto actions = [] {
    std::vector<void*> all;
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT, SIGURG}) {
      struct sigaction action;
      ::sigaction(signal, nullptr, &action);
      all.push_back(reinterpret_cast<void*>(action.sa_handler));
    }
    return all;
  };
  for (const auto ignored : {0, SIGQUIT, SIGURG}) {
    const auto was = ignored == 0 ? SIG_DFL : std::signal(ignored, SIG_IGN);
    const auto before = actions();
    for (int i = 0; i < 3; ++i) {
      weft::run([&] {
        const auto during = actions();
        EXPECT_NE(during, before);
        EXPECT_EQ(std::ranges::count(during, reinterpret_cast<void*>(SIG_IGN)), 0);
      });
      EXPECT_EQ(actions(), before);
    }
    if (ignored != 0) std::signal(ignored, was);
  }
}

// --- faults: the sanitizers have their own reports -------------------------------------------------------------------

#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN)

TEST_F(CrashDeathTest, SegmentationFault) {
  EXPECT_EXIT(run_until_dead([] { weft::go([] { writes_to_nowhere(); }); }), ::testing::KilledBySignal(SIGSEGV),
              "^\\[signal SIGSEGV: segmentation violation code=0x1 addr=0x10 pc=0x[0-9a-f]+\\]\n\n"
              "goroutine [0-9]+ \\[running\\]:\ncrash_test::writes_to_nowhere\\(\\.\\.\\.\\)\n");
}

TEST_F(CrashDeathTest, SegmentationFaultOnAPlainThread) {
  EXPECT_EXIT(run_until_dead([] { std::thread([] { writes_to_nowhere(); }).join(); }),
              ::testing::KilledBySignal(SIGSEGV),
              "^\\[signal SIGSEGV.*\nthread [0-9]+ \\[running, no goroutine\\]:\ncrash_test::writes_to_nowhere");
}

TEST_F(CrashDeathTest, CallThroughAWildPointerShowsTheCaller) {
  struct Calls {
    WEFT_FRAME static void nowhere() {
      reinterpret_cast<void (*)()>(std::uintptr_t{0x1000})();
      stay();
    }
  };
  EXPECT_EXIT(run_until_dead([] { Calls::nowhere(); }), ::testing::KilledBySignal(SIGSEGV),
              "addr=0x1000 pc=0x1000\\]\n\ngoroutine 1 \\[running\\]:\n0x1000\\(.*Calls::nowhere\\(");
}

TEST_F(CrashDeathTest, DivisionByZero) {
#if defined(__x86_64__)
  EXPECT_EXIT(run_until_dead([] {
                volatile int zero = 0;
                volatile int result = 7 / zero;
                static_cast<void>(result);
              }),
              ::testing::KilledBySignal(SIGFPE), "^\\[signal SIGFPE: floating-point exception.*goroutine 1 \\[running");
#endif
}

TEST_F(CrashDeathTest, BusError) {
  EXPECT_EXIT(run_until_dead([] {
                std::FILE* const empty = std::tmpfile();
                void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, ::fileno(empty), 0);
                static_cast<void>(*static_cast<volatile char*>(page));
              }),
              ::testing::KilledBySignal(SIGBUS), "^\\[signal SIGBUS: bus error.*goroutine 1 \\[running\\]");
}

TEST_F(CrashDeathTest, Abort) {
  EXPECT_EXIT(run_until_dead([] { std::abort(); }), ::testing::KilledBySignal(SIGABRT),
              "^\\[signal SIGABRT: abort .*goroutine 1 \\[running\\]:\n.*abort\\(\\.\\.\\.\\)");
}

// The signal is sent, so the fault does not happen again by itself when the handler returns.
TEST_F(CrashDeathTest, FaultThatWasSent) {
  EXPECT_EXIT(run_until_dead([] { std::raise(SIGSEGV); }), ::testing::KilledBySignal(SIGSEGV), "^\\[signal SIGSEGV");
}

WEFT_FRAME std::size_t recurses(std::size_t depth) {
  volatile char frame[64];
  std::memset(const_cast<char*>(frame), static_cast<int>(depth), sizeof(frame));
  const std::size_t deeper = depth == std::size_t(-1) ? 0 : recurses(depth + 1);
  return deeper + static_cast<std::size_t>(frame[depth % sizeof(frame)]);
}

TEST_F(CrashDeathTest, StackOverflow) {
  const auto report = [](const char* size) {
    return says("an overflow's report", [size](const std::string& text) {
      return text.starts_with("runtime: goroutine stack exceeds " + std::string(size) +
                              "-byte limit\nfatal error: stack overflow\n\ngoroutine ") &&
             count(text, "crash_test::recurses(...)\n") > 90 && has(text, " frames elided...\n") &&
             count(text, "created by") == 1 && !has(text, "damaged");
    });
  };
  EXPECT_EXIT(run_until_dead([] { weft::go([] { recurses(0); }); }), ::testing::ExitedWithCode(2), report("262144"));
  EXPECT_EXIT(weft::run(
                  [] {
                    weft::go([] { recurses(0); });
                    weft::sleep(1h);
                  },
                  {.procs = 1, .stack_size = 64 * 1024, .log = ignore}),
              ::testing::ExitedWithCode(2), report("65536"));
}

// The stacks on both sides of the overflowing one keep what is on them, before the report and while it is made.
TEST_F(CrashDeathTest, StackOverflowLeavesTheNeighboursAlone) {
  struct Neighbour {
    WEFT_FRAME static void watches_its_stack() {
      constexpr std::size_t kSize = 200 * 1024;  // of 256
      volatile unsigned char mine[kSize];
      for (std::size_t i = 0; i < kSize; ++i) mine[i] = static_cast<unsigned char>(i * 7);
      spinning.fetch_add(1, std::memory_order_release);
      for (;;) {
        for (std::size_t i = 0; i < kSize; ++i) {
          if (mine[i] == static_cast<unsigned char>(i * 7)) continue;
          std::fputs("damaged\n", stderr);
          return;
        }
        weft::yield();
      }
    }
  };
  EXPECT_EXIT(run_until_dead(
                  [] {
                    for (int i = 0; i < 8; ++i) weft::go([] { Neighbour::watches_its_stack(); });
                    weft::go([] {
                      while (spinning.load(std::memory_order_acquire) < 16) weft::yield();
                      recurses(0);
                    });
                    for (int i = 0; i < 8; ++i) weft::go([] { Neighbour::watches_its_stack(); });
                  },
                  4),
              ::testing::ExitedWithCode(2), says("undamaged neighbours", [](const std::string& text) {
                return has(text, "fatal error: stack overflow") && !has(text, "damaged");
              }));
}

// The allocator's lock is held, so the crashing thread must not allocate.
TEST_F(CrashDeathTest, CrashInsideTheAllocator) {
  struct Breaks {
    WEFT_FRAME static void the_heap() {
      void* const allocated = std::malloc(5000);
      volatile std::uintptr_t* freed = static_cast<volatile std::uintptr_t*>(allocated);
      asm volatile("" : "+r"(freed));  // the compiler forgets that both pointers are the same
      keep(std::malloc(64));           // so that `freed` does not merge with the rest of the heap
      std::free(allocated);
      freed[0] = 0x10;
      freed[1] = 0x10;
      for (std::size_t i = 1; i < 64; ++i) keep(std::malloc(4000 + 100 * i));
      stay();
    }
    // The optimiser can't leave out an allocation that is used here.
    static void keep(void* allocated) { asm volatile("" : : "r"(allocated) : "memory"); }
  };
  EXPECT_EXIT(
      run_until_dead([] { weft::go([] { Breaks::the_heap(); }); }),
      [](int status) {
        return ::testing::KilledBySignal(SIGSEGV)(status) || ::testing::KilledBySignal(SIGABRT)(status);
      },
      "\\[signal SIG(SEGV|ABRT): .*goroutine [0-9]+ \\[running\\]:\n.*malloc.*Breaks::the_heap\\(");
}

TEST_F(CrashDeathTest, OneOfManyFaultsIsReported) {
  EXPECT_EXIT(run_until_dead(
                  [] {
                    static std::atomic<int> ready{0};
                    for (int i = 0; i < 4; ++i) {
                      weft::go([] {
                        ready.fetch_add(1, std::memory_order_acq_rel);
                        while (ready.load(std::memory_order_acquire) < 4) weft::yield();
                        writes_to_nowhere();
                      });
                    }
                  },
                  4),
              ::testing::KilledBySignal(SIGSEGV), says("one report", [](const std::string& text) {
                return count(text, "[signal ") == 1 && count(text, "[running]") == 1;
              }));
}

#endif

}  // namespace crash_test
