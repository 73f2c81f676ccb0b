// A goroutine that computes for long without a scheduling point loses its processor, and nothing else.
#include "runtime/src/control/hogs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::eventually;
using weft::testing::spin_until;

// Returns whether the goroutine has been noticed since then. Earlier runtimes had other goroutines of the same id.
bool is_listed(std::uint64_t goroutine, std::chrono::system_clock::time_point since) {
  return std::ranges::any_of(weft::recent_hogs(), [&](const weft::HogInfo& hog) {
    return hog.goroutine == goroutine && hog.when >= since && hog.kept >= 10ms;
  });
}

// Computes until sysmon has noticed. Then the caller has no processor. The only call of the runtime is a look at a
// list.
bool become_a_hog() {
  const std::uint64_t me = weft::this_goroutine::id();
  const auto begin = std::chrono::system_clock::now();
  return spin_until([me, begin] {
    for (const auto end = std::chrono::steady_clock::now() + 1ms; std::chrono::steady_clock::now() < end;) {
    }
    return is_listed(me, begin);
  });
}

// It comes back to the scheduler every 3 ms, whether anybody waits or not.
WEFT_PROCS_TEST(Hog, OneThatYieldsIsNone) {
  EXPECT_TRUE(eventually([] {
    const std::uint64_t before = weft::runtime_stats().hogs;
    for (int i = 0; i < 30; ++i) {
      for (const auto end = std::chrono::steady_clock::now() + 3ms; std::chrono::steady_clock::now() < end;) {
      }
      weft::yield();
    }
    return weft::runtime_stats().hogs == before;  // unless the machine stood still for a moment
  }));
}

WEFT_PROCS_TEST(Hog, OthersRunAndTimersFireMeanwhile) {
  std::atomic<bool> spinning{false};
  std::atomic<int> steps{0};
  weft::WaitGroup group;
  group.go([&] {
    EXPECT_TRUE(eventually([&] { return spinning.load(std::memory_order_acquire); }));
    auto ping = weft::make_chan<int>();
    auto pong = weft::make_chan<int>();
    weft::WaitGroup partner;
    partner.go([=] {
      for (const int i : ping) pong.send(i);
    });
    for (int i = 0; i < 20; ++i) {
      weft::sleep(5ms);
      ping.send(i);
      EXPECT_EQ(pong.recv(), i);
      weft::yield();
      steps.fetch_add(1, std::memory_order_release);
    }
    ping.close();
    partner.wait();
  });
  spinning.store(true, std::memory_order_release);
  EXPECT_TRUE(spin_until([&] { return steps.load(std::memory_order_acquire) == 20; }));
  group.wait();
}

WEFT_PROCS_TEST(Hog, IsNamedAndCounted) {
  const std::uint64_t before = weft::runtime_stats().hogs;
  weft::WaitGroup group;
  group.go([] { EXPECT_TRUE(become_a_hog()); });
  group.wait();
  EXPECT_GT(weft::runtime_stats().hogs, before);
  EXPECT_LE(weft::recent_hogs().size(), 32u);
}

// --- what it may do next ---------------------------------------------------------------------------------------------

// `next` is the first thing that a goroutine does without a processor.
void expect_fine_after_a_hog(const std::function<void()>& next) {
  weft::WaitGroup group;
  for (int i = 0; i < 2; ++i) {
    group.go([&] {
      EXPECT_TRUE(become_a_hog());
      next();
    });
  }
  group.wait();
}

WEFT_PROCS_TEST(Hog, ThatEnds) {
  expect_fine_after_a_hog([] {});
}

WEFT_PROCS_TEST(Hog, ThatYields) { expect_fine_after_a_hog(weft::yield); }

WEFT_PROCS_TEST(Hog, ThatSleeps) {
  expect_fine_after_a_hog([] {
    const auto begin = std::chrono::steady_clock::now();
    weft::sleep(3ms);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 3ms);
  });
}

WEFT_PROCS_TEST(Hog, ThatParksAndIsReadied) {
  auto ch = weft::make_chan<int>();
  weft::WaitGroup sender;
  sender.go([&] {
    ch.send(1);
    ch.send(2);
  });
  expect_fine_after_a_hog([&] { EXPECT_TRUE(ch.recv()); });
  sender.wait();
}

WEFT_PROCS_TEST(Hog, ThatReadiesOthers) {
  auto ch = weft::make_chan<int>();
  weft::WaitGroup receiver;
  receiver.go([&] {
    EXPECT_TRUE(ch.recv());
    EXPECT_TRUE(ch.recv());
  });
  expect_fine_after_a_hog([&] { ch.send(1); });
  receiver.wait();
}

WEFT_PROCS_TEST(Hog, ThatStartsGoroutines) {
  std::atomic<int> ran{0};
  expect_fine_after_a_hog([&] {
    for (int i = 0; i < 20; ++i) weft::go([&] { ran.fetch_add(1, std::memory_order_release); });
  });
  EXPECT_TRUE(eventually([&] { return ran.load(std::memory_order_acquire) == 40; }));
}

// The hog starts a goroutine without coming to a scheduling point itself.
WEFT_PROCS_TEST(Hog, ThatStartsAGoroutineAndGoesOn) {
  std::atomic<bool> ran{false};
  weft::WaitGroup group;
  group.go([&] {
    EXPECT_TRUE(become_a_hog());
    weft::go([&] { ran.store(true, std::memory_order_release); });
    EXPECT_TRUE(spin_until([&] { return ran.load(std::memory_order_acquire); }));
  });
  group.wait();
}

WEFT_PROCS_TEST(Hog, ThatBlocks) {
  expect_fine_after_a_hog([] {
    weft::blocking([] { std::this_thread::sleep_for(1ms); });
    EXPECT_GE(weft::processor_id(), 0);
  });
}

WEFT_PROCS_TEST(Hog, ThatLocksItsThread) {
  expect_fine_after_a_hog([] {
    weft::lock_os_thread();
    EXPECT_TRUE(become_a_hog());
    weft::yield();
    weft::unlock_os_thread();
  });
}

WEFT_PROCS_TEST(Hog, ThatThrowsAndCatches) {
  expect_fine_after_a_hog([] {
    try {
      throw std::runtime_error("boom");
    } catch (const std::runtime_error&) {
      weft::yield();
      EXPECT_TRUE(std::current_exception());
    }
  });
}

WEFT_PROCS_TEST(Hog, ThatCallsExitGoroutine) { expect_fine_after_a_hog(weft::exit_goroutine); }

WEFT_PROCS_TEST(Hog, WithAMutex) {
  weft::Mutex mutex;
  int guarded = 0;
  std::atomic<bool> held{false};
  weft::WaitGroup group;
  group.go([&] {
    const std::lock_guard lock(mutex);
    held.store(true, std::memory_order_release);
    EXPECT_TRUE(become_a_hog());
    ++guarded;
  });
  for (int i = 0; i < 10; ++i) {
    group.go([&] {
      EXPECT_TRUE(eventually([&] { return held.load(std::memory_order_acquire); }));
      const std::lock_guard lock(mutex);
      ++guarded;
    });
  }
  group.wait();
  EXPECT_EQ(guarded, 11);
}

// --- many ------------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Hog, ManyAtOnce) {
  constexpr int kHogs = 8;
  std::atomic<int> spinning{0};
  std::atomic<bool> over{false};
  weft::WaitGroup group;
  for (int i = 0; i < kHogs; ++i) {
    group.go([&] {
      spinning.fetch_add(1, std::memory_order_release);
      EXPECT_TRUE(spin_until([&] { return over.load(std::memory_order_acquire); }));
      weft::sleep(1ms);
    });
  }
  // Each of the hogs began although those before it did not stop.
  EXPECT_TRUE(eventually([&] { return spinning.load(std::memory_order_acquire) == kHogs; }));
  for (int i = 0; i < 10; ++i) weft::sleep(1ms);
  over.store(true, std::memory_order_release);
  group.wait();
}

// --- the log ---------------------------------------------------------------------------------------------------------

TEST(Hog, IsLoggedNowAndThen) {
  std::mutex log_mutex;
  std::vector<std::string> log_lines;
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> first{0};
  EXPECT_EQ(weft::run(
                [&] {
                  for (int i = 0; i < 10; ++i) {
                    weft::WaitGroup group;
                    group.go([&] {
                      std::uint64_t none = 0;
                      first.compare_exchange_strong(none, weft::this_goroutine::id(), std::memory_order_relaxed);
                      EXPECT_TRUE(become_a_hog());
                    });
                    group.wait();
                  }
                  // The log has at most one line a second, so the first of ten hogs may have come too soon after
                  // another one.
                  weft::sleep(1s);
                  weft::WaitGroup group;
                  group.go([] { EXPECT_TRUE(become_a_hog()); });
                  group.wait();
                },
                {.procs = 2,
                 .log =
                     [&](weft::LogLevel, std::string_view line) {
                       const std::lock_guard lock(log_mutex);
                       log_lines.emplace_back(line);
                     }}),
            0);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - begin).count();
  const std::lock_guard lock(log_mutex);
  ASSERT_FALSE(log_lines.empty());
  EXPECT_LE(log_lines.size(), static_cast<std::size_t>(seconds) + 1);
  for (const std::string& line : log_lines) {
    EXPECT_TRUE(line.starts_with("goroutine ")) << line;
    EXPECT_NE(line.find(" ms"), std::string::npos) << line;
    EXPECT_NE(line.find("weft::"), std::string::npos) << line;  // what to call, depending on what the thread did
  }
}

}  // namespace
