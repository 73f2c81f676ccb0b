#include "runtime/src/symbols/traceback.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/src/crash/thread_signals.h"
#include "runtime/src/symbols/names.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/chan.h"
#include "weft/debug.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/sync.h"
#include "weft/time.h"

// Each function so marked is a frame to look for.
#define WEFT_FRAME [[gnu::noinline]]

namespace traceback_test {

using namespace std::chrono_literals;

// Keeps a call from being the last thing that its function does. Such a call would become a jump and take the function
// off the stack.
inline void stay() { asm volatile(""); }

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

WEFT_FRAME void parks_in_receive(weft::Chan<int> ch) {
  ch.recv();
  stay();
}

WEFT_FRAME std::string asks_for_its_stack() {
  std::string text = weft::stack();
  stay();
  return text;
}

TEST(FunctionName, DropsReturnTypeParametersAndQualifiers) {
  struct Row {
    std::string_view demangled, name;
  };
  for (const Row& row : std::vector<Row>{
           {"f(int)", "f"},
           {"main", "main"},
           {"ns::T::f(std::pair<int, (anonymous namespace)::X>) const", "ns::T::f"},
           {"int ns::g<int, 3>(int (*)(char))", "ns::g<int, 3>"},
           {"T::operator()(int) const", "T::operator()"},
           {"T::operator()", "T::operator()"},
           {"T::operator bool() const", "T::operator bool"},
           {"bool ns::operator< <int>(T const&, T const&)", "ns::operator< <int>"},
           {"T::operator->() const", "T::operator->"},
           {"(anonymous namespace)::f()", "(anonymous namespace)::f"},
           {"main::{lambda()#1}::operator()() const", "main::{lambda()#1}::operator()"},
           {"main::{lambda()#1}::operator()() const::{lambda(int)#2}::operator()(int) const",
            "main::{lambda()#1}::operator()() const::{lambda(int)#2}::operator()"},
           {"f(int) [clone .cold]", "f"},
           {"f[abi:cxx11](int)", "f"},
           {"T::f() &&", "T::f"},
           {"void weft::go<main::{lambda()#1}>(main::{lambda()#1}&&)::{lambda(void*)#1}::_FUN(void*)",
            "weft::go<main::{lambda()#1}>(main::{lambda()#1}&&)::{lambda(void*)#1}::_FUN"},
           {"decltype(auto) ns::f<int>(int)", "ns::f<int>"},
           {"decltype ({parm#1}()) ns::f<int (*)()>(int (*)())", "ns::f<int (*)()>"},
           {"operator new(unsigned long)", "operator new"},
           {"", ""},
       }) {
    EXPECT_EQ(weft::rt::without_signature(row.demangled), row.name) << row.demangled;
  }
  EXPECT_EQ(weft::rt::function_name("_ZN2ns1fEi"), "ns::f");
  EXPECT_EQ(weft::rt::function_name("f"), "f");
  EXPECT_EQ(weft::rt::function_name("_Znonsense"), "_Znonsense");
}

WEFT_PROCS_TEST(Stack, OfTheCallerNamesItsFunctions) {
  const std::string text = asks_for_its_stack();
  EXPECT_TRUE(text.starts_with("goroutine 1 [running]:\n")) << text;
  EXPECT_TRUE(has(text, "traceback_test::asks_for_its_stack(...)\n\t")) << text;
  EXPECT_FALSE(has(text, "weft::rt::")) << text;
  EXPECT_TRUE(has(weft::stack({.system = true}), "goroutine_main(...)"));
}

WEFT_PROCS_TEST(Stack, OfAParkedGoroutineNamesTheFunctionThatParks) {
  const auto ch = weft::make_chan<int>();
  weft::WaitGroup done;
  for (int i = 0; i < 3; ++i) done.go([ch] { parks_in_receive(ch); });
  ASSERT_TRUE(weft::testing::wait_until_parked(3, "chan receive"));
  const std::string text = weft::stack({.all = true});
  EXPECT_TRUE(text.starts_with("goroutine 1 [running]:\n")) << text;
  EXPECT_EQ(count(text, " [chan receive]:\n"), 3u) << text;
  EXPECT_EQ(count(text, "\ntraceback_test::parks_in_receive(...)\n\t"), 3u) << text;
  EXPECT_EQ(count(text, "\n\ngoroutine "), 3u) << text;
  ch.close();
  done.wait();
}

TEST(Stack, OfAPlainThreadOutsideTheRuntime) {
  const std::string text = asks_for_its_stack();
  EXPECT_TRUE(text.starts_with("thread ")) << text;
  EXPECT_TRUE(has(text, " [running, no goroutine]:\n")) << text;
  EXPECT_TRUE(has(text, "traceback_test::asks_for_its_stack(...)\n")) << text;
}

WEFT_FRAME std::string asks_at_depth(int depth) {
  std::string text = depth == 0 ? weft::stack() : asks_at_depth(depth - 1);
  stay();
  return text;
}

WEFT_PROCS_TEST(Stack, DeepOnesAreElidedInTheMiddle) {
  const std::string text = asks_at_depth(300);
  EXPECT_TRUE(has(text, " frames elided...\n")) << text;
  EXPECT_EQ(count(text, "(...)\n\t"), 100u) << text;
  EXPECT_TRUE(has(text, "asks_at_depth(...)")) << text;
}

WEFT_PROCS_TEST(Stack, OfAGoroutineThatNeverRanNamesItsEntry) {
  weft::WaitGroup done;
  std::string text;
  // With one processor the new goroutine can't run before the caller yields.
  if (weft::testing::variant().procs != 1) return;
  done.go([] {});
  text = weft::stack({.all = true});
  EXPECT_TRUE(has(text, " [runnable]:\nweft::")) << text;
  done.wait();
}

// The work is done on another stack than the goroutine's.
TEST(Stack, OfAGoroutineWithTheSmallestStack) {
  weft::run([] { EXPECT_TRUE(has(asks_for_its_stack(), "asks_for_its_stack(...)")); }, {.procs = 1, .stack_size = 1});
}

WEFT_PROCS_TEST(Goroutines, TellStacksAndHighWaterMarksWhenAsked) {
  const auto ch = weft::make_chan<int>();
  weft::WaitGroup done;
  done.go([ch] { parks_in_receive(ch); });
  done.go([ch] {
    volatile char deep[100 * 1024];
    for (std::size_t i = 0; i < sizeof(deep); i += 1024) deep[i] = 1;
    parks_in_receive(ch);
  });
  ASSERT_TRUE(weft::testing::wait_until_parked(2, "chan receive"));
  for (const weft::GoroutineInfo& g : weft::goroutines()) {
    EXPECT_TRUE(g.stack.empty());
    EXPECT_EQ(g.stack_high_water, 0u);
  }
  const auto all = weft::goroutines({.stacks = true, .high_water = true});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(has(all[0].stack, "weft::goroutines(")) << all[0].stack;
  std::set<std::size_t> marks;
  for (const weft::GoroutineInfo& g : all) {
    EXPECT_GT(g.stack_high_water, 0u);
    EXPECT_LE(g.stack_high_water, 256u * 1024);
    EXPECT_EQ(g.stack_high_water % static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), 0u);
    if (g.wait_reason != "chan receive") continue;
    EXPECT_TRUE(has(g.stack, "traceback_test::parks_in_receive(...)")) << g.stack;
    marks.insert(g.stack_high_water);
  }
  EXPECT_GT(*marks.rbegin(), 100u * 1024);
  ch.close();
  done.wait();
}

// Goroutines park, yield and end all the time while they are dumped. There is no crash and no data race, and nothing
// torn is shown as parked.
WEFT_PROCS_TEST(Stack, OfGoroutinesThatNeverStandStill) {
  std::atomic<bool> stop{false};
  auto a = weft::make_chan<int>();
  auto b = weft::make_chan<int>(3);
  weft::WaitGroup done;
  for (int i = 0; i < 4; ++i) {
    done.go([&, a, b]() mutable {
      while (!stop.load(std::memory_order_acquire)) {
        a.try_send(1);
        b.try_send(1);
        b.try_recv();
        weft::yield();
        weft::sleep(10us);
        weft::WaitGroup inner;
        inner.go([] { weft::yield(); });
        inner.wait();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    const std::string text = weft::stack({.all = true});
    EXPECT_TRUE(text.starts_with("goroutine 1 [running]:\n"));
    weft::yield();
  }
  stop.store(true, std::memory_order_release);
  done.wait();
}

// TSan holds a signal back until its thread calls into TSan.
#if !defined(WEFT_TSAN)

WEFT_FRAME void spins_until(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_acquire)) stay();
  stay();
}

WEFT_PROCS_TEST(CaptureRunning, AsksAThreadWhereItIs) {
  if (weft::testing::variant().procs == 1) return;  // the goroutine that asks needs a processor of its own
  std::atomic<bool> stop{false};
  std::atomic<pid_t> thread{0};
  weft::WaitGroup done;
  done.go([&] {
    thread.store(static_cast<pid_t>(::syscall(SYS_gettid)), std::memory_order_release);
    spins_until(stop);
  });
  while (thread.load(std::memory_order_acquire) == 0) weft::yield();
  std::string text;
  std::thread([&] {
    weft::rt::DebugInfo::Use info;
    for (int i = 0; i < 50; ++i) {
      weft::rt::Snapshot snapshot;
      ASSERT_TRUE(weft::rt::capture_running(thread.load(std::memory_order_relaxed), snapshot, 60s));
      text.clear();
      weft::rt::append_frames(text, *info, snapshot, weft::rt::Frames::user);
      // The thread may have been caught before it came to that function.
      if (has(text, "traceback_test::spins_until(...)")) break;
    }
  }).join();
  EXPECT_TRUE(has(text, "traceback_test::spins_until(...)")) << text;
  const std::vector<pid_t> threads = weft::rt::signalled_threads();
  EXPECT_NE(std::ranges::find(threads, thread.load(std::memory_order_relaxed)), threads.end());
  stop.store(true, std::memory_order_release);
  done.wait();
}

#endif

// A thread that does not answer costs the time limit and nothing else.
WEFT_PROCS_TEST(CaptureRunning, GivesUp) {
  std::atomic<pid_t> thread{0};
  std::atomic<bool> stop{false};
  std::thread deaf([&] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    thread.store(static_cast<pid_t>(::syscall(SYS_gettid)), std::memory_order_release);
    while (!stop.load(std::memory_order_acquire)) std::this_thread::sleep_for(1ms);
  });
  while (thread.load(std::memory_order_acquire) == 0) std::this_thread::yield();
  weft::rt::Snapshot snapshot;
  EXPECT_FALSE(weft::rt::capture_running(thread.load(std::memory_order_relaxed), snapshot, 20ms));
  stop.store(true, std::memory_order_release);
  deaf.join();
  EXPECT_FALSE(weft::rt::capture_running(thread.load(std::memory_order_relaxed), snapshot, 20ms));
}

TEST(Symbols, AddressesOfNothing) {
  weft::rt::DebugInfo::Use info;
  EXPECT_EQ(info->symbolise(0x10).back().function, "0x10");
  weft::rt::Snapshot nothing;
  EXPECT_TRUE(info->unwind(nothing).empty());
}

}  // namespace traceback_test
