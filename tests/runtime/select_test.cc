#include "weft/select.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/panics.h"
#include "support/parked.h"
#include "support/scale.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/sync.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"

// Counts what the program allocates, on every thread. Not inlined, or GCC would compare malloc with delete.
static std::atomic<std::size_t> allocations{0};

[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::kScale;
using testing::panic_text;
using testing::wait_until_parked;

// --- what compiles ---

template <typename C>
concept CanRecv = requires(const C& c) {
  on_recv(c);
};
template <typename C>
concept CanSend = requires(const C& c) {
  on_send(c, 1);
};
static_assert(CanRecv<Chan<int>> && CanRecv<RecvChan<int>> && !CanRecv<SendChan<int>>);
static_assert(CanSend<Chan<int>> && CanSend<SendChan<int>> && !CanSend<RecvChan<int>>);

// --- cases and their functions ---

WEFT_PROCS_TEST(Select, EveryFormOfAFunctionGetsTheValue) {
  const auto c = make_chan<int>(8);
  for (int i = 1; i <= 6; ++i) c.send(i);
  std::optional<int> with_optional;
  int with_value = 0;
  bool without = false;
  std::optional<int> variable;
  EXPECT_EQ(select(on_recv(c, [&](std::optional<int> v) { with_optional = v; })), 0u);
  EXPECT_EQ(select(on_recv(c, [&](int v) { with_value = v; })), 0u);
  EXPECT_EQ(select(on_recv(c, [&] { without = true; })), 0u);
  EXPECT_EQ(select(on_recv(c, variable)), 0u);
  EXPECT_EQ(select(on_recv(c)), 0u);
  std::optional<int> generic;
  EXPECT_EQ(select(on_recv(RecvChan<int>(c), [&](auto v) { generic = v; })), 0u);
  EXPECT_EQ(with_optional, 1);
  EXPECT_EQ(with_value, 2);
  EXPECT_TRUE(without);
  EXPECT_EQ(variable, 4);
  EXPECT_EQ(generic, 6);
  EXPECT_EQ(c.size(), 0u);
}

WEFT_PROCS_TEST(Select, ReturnsTheIndexOfTheCase) {
  const auto a = make_chan<int>(1);
  const auto b = make_chan<std::string>(1);
  const Chan<int> nil;
  EXPECT_EQ(select(on_recv(a), on_recv(b), on_default()), 2u);
  EXPECT_EQ(select(on_default(), on_recv(a), on_recv(b)), 0u);
  EXPECT_EQ(select(on_recv(nil), on_send(nil, 1), on_send(b, "text")), 2u);
  bool sent = false;
  EXPECT_EQ(select(on_recv(nil), on_send(SendChan<int>(a), 1, [&] { sent = true; })), 1u);
  EXPECT_TRUE(sent);
  bool took_default = false;
  EXPECT_EQ(select(on_send(a, 2), on_send(b, "more"), on_default([&] { took_default = true; })), 2u);
  EXPECT_TRUE(took_default);
  EXPECT_EQ(a.recv(), 1);
  EXPECT_EQ(b.recv(), "text");
}

WEFT_PROCS_TEST(Select, AClosedChannelIsAlwaysReady) {
  const auto c = make_chan<int>(1);
  c.send(5);
  c.close();
  std::optional<int> got;
  select(on_recv(c, got));
  EXPECT_EQ(got, 5);
  got = 7;
  select(on_recv(c, got));
  EXPECT_EQ(got, std::nullopt);
  int value = 7;
  select(on_recv(c, [&](int v) { value = v; }));
  EXPECT_EQ(value, 0);
  EXPECT_EQ(panic_text([&] { select(on_send(c, 1)); }), "send on closed channel");
  EXPECT_EQ(panic_text([&] { select(on_send(c, 1), on_default()); }), "send on closed channel");
}

// A send on a closed channel counts as ready. Another ready case may be chosen instead.
WEFT_PROCS_TEST(Select, ASendOnAClosedChannelPanicsIfItIsChosen) {
  const auto closed = make_chan<int>();
  closed.close();
  int panics = 0;
  int received = 0;
  for (int i = 0; i < 1000; ++i) {
    panics += panic_text([&] { select(on_send(closed, 1), on_recv(closed, [&] { ++received; })); }) != "no panic";
  }
  EXPECT_EQ(panics + received, 1000);
  EXPECT_GT(panics, 300);
  EXPECT_GT(received, 300);
}

WEFT_PROCS_TEST(Select, ABlockedSendPanicsAtTheClose) {
  const auto c = make_chan<int>();
  const auto other = make_chan<int>();
  std::string text;
  WaitGroup group;
  group.go([&] { text = panic_text([&] { select(on_send(c, 1), on_recv(other)); }); });
  ASSERT_TRUE(wait_until_parked(1, "select"));
  c.close();
  group.wait();
  EXPECT_EQ(text, "send on closed channel");
  EXPECT_FALSE(other.try_send(1)) << "the case that lost still waits";
}

WEFT_PROCS_TEST(Select, WhatIsNotSentIsStillThere) {
  const auto full = make_chan<std::unique_ptr<int>>();
  const auto ready = make_chan<int>(1);
  ready.send(1);
  auto value = std::make_unique<int>(3);
  EXPECT_EQ(select(on_send(full, std::move(value)), on_recv(ready)), 1u);
  // NOLINTBEGIN(bugprone-use-after-move): that it is still there is the point
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, 3);
  // NOLINTEND(bugprone-use-after-move)

  WaitGroup group;
  std::unique_ptr<int> got;
  group.go([&] { got = *full.recv(); });
  EXPECT_EQ(select(on_send(full, std::move(value)), on_recv(ready)), 0u);
  group.wait();
  EXPECT_EQ(value, nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(*got, 3);
}

WEFT_PROCS_TEST(Select, OperandsAreCopiedFromLvalues) {
  const auto c = make_chan<std::string>(2);
  const std::string constant = "constant";
  std::string variable = "variable";
  select(on_send(c, constant));
  select(on_send(c, variable));
  EXPECT_EQ(variable, "variable");
  EXPECT_EQ(c.recv(), "constant");
  EXPECT_EQ(c.recv(), "variable");
}

// What the function of a case throws leaves the select when everything is done.
WEFT_PROCS_TEST(Select, AFunctionMayThrow) {
  const auto c = make_chan<int>(1);
  c.send(1);
  EXPECT_THROW(select(on_recv(c, [](int) { throw std::runtime_error("no"); })), std::runtime_error);
  EXPECT_EQ(c.size(), 0u);
}

// --- waiting ---

WEFT_PROCS_TEST(Select, WaitsForTheFirstOfSeveral) {
  const auto a = make_chan<int>();
  const auto b = make_chan<int>(3);
  const auto out = make_chan<int>(3);
  for (int i = 0; i < 3; ++i) out.send(0);
  for (int round = 0; round < 20 * kScale; ++round) {
    std::size_t chosen = 9;
    std::optional<int> got;
    WaitGroup group;
    group.go([&] { chosen = select(on_recv(a, got), on_recv(b, got), on_send(out, 1)); });
    ASSERT_TRUE(wait_until_parked(1, "select"));
    switch (round % 3) {
      case 0:
        a.send(round);
        break;
      case 1:
        b.send(round);
        break;
      default:
        EXPECT_EQ(out.recv(), round < 9 ? 0 : 1);
    }
    group.wait();
    ASSERT_EQ(chosen, static_cast<std::size_t>(round % 3));
    ASSERT_EQ(got, round % 3 == 2 ? std::nullopt : std::optional(round));
    // No waiter is left.
    ASSERT_FALSE(a.try_send(0));
    ASSERT_EQ(a.try_recv(), std::nullopt);
    ASSERT_EQ(b.size(), 0u);
    ASSERT_EQ(out.size(), 3u);
  }
}

WEFT_PROCS_TEST(Select, TwoSelectsMeet) {
  const auto a = make_chan<int>();
  const auto b = make_chan<int>();
  std::optional<int> got;
  std::size_t sent = 9;
  WaitGroup group;
  group.go([&] { sent = select(on_send(a, 1), on_send(b, 2)); });
  ASSERT_TRUE(wait_until_parked(1, "select"));
  const std::size_t chosen = select(on_recv(b, got), on_recv(a, got));
  group.wait();
  EXPECT_EQ(got, chosen == 0 ? 2 : 1);
  EXPECT_EQ(sent, chosen == 0 ? 1u : 0u);
}

// Each of the selects could satisfy the other in two ways. They exchange exactly one value for each pair.
WEFT_PROCS_TEST(Select, CrossedSelectsNeitherLoseNorDouble) {
  const auto a = make_chan<int>();
  const auto b = make_chan<int>();
  const int rounds = 2000 * kScale;
  std::atomic<long> sent{0};
  std::atomic<long> received{0};
  WaitGroup group;
  for (int g = 0; g < 2; ++g) {
    group.go([&, g] {
      for (int i = 1; i <= rounds; ++i) {
        auto send = [&] { sent.fetch_add(i, std::memory_order_relaxed); };
        auto recv = [&](int v) { received.fetch_add(v, std::memory_order_relaxed); };
        g == 0 ? select(on_send(a, i, send), on_recv(b, recv)) : select(on_recv(a, recv), on_send(b, i, send));
      }
    });
  }
  group.wait();
  EXPECT_EQ(sent.load(), received.load());
}

// Four goroutines send, four receive and four do either, in one select over both channels. Each value arrives once.
WEFT_PROCS_TEST(Select, TransfersAnExactMultiset) {
  for (const std::size_t capacity : {0u, 1u, 2u, 3u}) {
    constexpr int kPeers = 4;
    const int each = 200 * kScale;
    const auto a = make_chan<int>(capacity);
    const auto b = make_chan<int>(capacity);
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(3 * kPeers * each));
    std::atomic<int> left{2 * kPeers * each};  // values that are not received yet
    const auto got = [&](std::optional<int> v) {
      if (!v) return;
      ++seen[static_cast<std::size_t>(*v)];
      if (--left == 0) {
        a.close();
        b.close();
      }
    };
    WaitGroup group;
    for (int p = 0; p < kPeers; ++p) {
      group.go([&, p] {
        for (int i = 0; i < each; ++i) (i % 2 == 0 ? a : b).send(p * each + i);
      });
      group.go([&, p] {
        for (std::optional<int> v = 0; v;) {
          v = (p % 2 == 0 ? a : b).recv();
          got(v);
        }
      });
      group.go([&, p] {
        bool open = true;
        const auto until_closed = [&](std::optional<int> v) {
          open = v.has_value();
          got(v);
        };
        int next = (kPeers + p) * each;
        const int end = next + each;
        while (next < end)
          select(on_send(a, next, [&] { ++next; }), on_recv(b, until_closed), on_send(b, next, [&] { ++next; }));
        while (open) select(on_recv(a, until_closed), on_recv(b, until_closed));
      });
    }
    group.wait();
    for (int i = 0; i < 2 * kPeers * each; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)].load(), 1) << i;
  }
}

WEFT_PROCS_TEST(Select, CloseWakesAllSelects) {
  const auto done = make_chan<int>();
  const auto never = make_chan<int>();
  std::atomic<int> woken{0};
  WaitGroup group;
  for (int g = 0; g < 200; ++g) {
    group.go([&] {
      select(on_recv(never), on_recv(done, [&](std::optional<int> v) { woken += !v.has_value(); }), on_recv(never));
    });
  }
  ASSERT_TRUE(wait_until_parked(200, "select"));
  done.close();
  group.wait();
  EXPECT_EQ(woken.load(), 200);
  EXPECT_FALSE(never.try_send(1));
}

WEFT_PROCS_TEST(Select, CancelsByContext) {
  const auto [ctx, cancel] = with_cancel(background());
  const auto never = make_chan<int>();
  std::size_t chosen = 9;
  WaitGroup group;
  group.go([&, &context = ctx] { chosen = select(on_recv(never), on_recv(context.done())); });
  ASSERT_TRUE(wait_until_parked(1, "select"));
  cancel();
  group.wait();
  EXPECT_EQ(chosen, 1u);
}

WEFT_PROCS_TEST(Select, TimesOut) {
  testing::bubble([] {
    const auto c = make_chan<int>();
    const TimePoint start = now();
    std::optional<TimePoint> tick;
    EXPECT_EQ(select(on_recv(c), on_recv(after(50ms), tick)), 1u);
    EXPECT_EQ(now() - start, 50ms);
    EXPECT_EQ(tick, start + 50ms);
    go([c] { c.send(1); });
    EXPECT_EQ(select(on_recv(c), on_recv(after(50ms))), 0u);
    EXPECT_EQ(now() - start, 50ms);
    EXPECT_EQ(select(on_recv(c), on_recv(after(0s))), 1u);
    EXPECT_EQ(select(on_recv(c), on_recv(after(1h)), on_default()), 2u);
  });
}

WEFT_PROCS_TEST(Select, WorksFromPlainThreads) {
  const auto a = make_chan<int>();
  const auto b = make_chan<int>();
  constexpr int kRounds = 300;
  int sum = 0;
  std::thread receiver([&] {
    for (int i = 0; i < 2 * kRounds; ++i)
      select(on_recv(a, [&](int v) { sum += v; }), on_recv(b, [&](int v) { sum += v; }));
  });
  WaitGroup group;
  for (const auto& c : {a, b}) {
    group.go([c] {
      const Chan<int> never;
      for (int i = 0; i < kRounds; ++i) select(on_send(c, 1), on_recv(never));
    });
  }
  group.wait();
  blocking([&] { receiver.join(); });
  EXPECT_EQ(sum, 2 * kRounds);
}

TEST(Select, WorksWithoutARuntime) {
  const auto a = make_chan<int>();
  const auto stop = make_chan<int>();
  int sum = 0;
  std::thread consumer([&] {
    for (bool stopped = false; !stopped;)
      select(on_recv(a, [&](int v) { sum += v; }), on_recv(stop, [&] { stopped = true; }));
  });
  for (int i = 0; i < 1000; ++i) select(on_send(a, 1), on_recv(stop));
  stop.close();
  consumer.join();
  EXPECT_EQ(sum, 1000);
}

// --- lists ---

WEFT_PROCS_TEST(Select, ListOfCases) {
  for (const int n : {1, 2, 8, 9, 40}) {
    std::vector<Chan<int>> chans;
    std::vector<SelectCase> cases;
    std::optional<int> got;
    for (int i = 0; i < n; ++i) {
      chans.push_back(make_chan<int>());
      cases.emplace_back(on_recv(chans.back(), got));
    }
    for (int i = 0; i < n; ++i) {
      go([c = chans[static_cast<std::size_t>(i)], i] { c.send(i); });
      ASSERT_EQ(select(cases), static_cast<std::size_t>(i));
      ASSERT_EQ(got, i);
    }
    cases.emplace_back(on_default());
    EXPECT_EQ(select(cases), static_cast<std::size_t>(n));
    cases.emplace_back(on_default());
    EXPECT_THROW(select(cases), std::invalid_argument);
  }
}

WEFT_PROCS_TEST(Select, AListOwnsItsChannelsAndValues) {
  std::vector<SelectCase> cases;
  RecvChan<std::unique_ptr<int>> receiving;
  {
    const auto c = make_chan<std::unique_ptr<int>>(1);
    receiving = c;
    cases.emplace_back(on_send(c, std::make_unique<int>(4)));
    cases.emplace_back(on_recv(Chan<int>()));
  }
  EXPECT_EQ(select(cases), 0u);
  EXPECT_EQ(**receiving.recv(), 4);
}

WEFT_PROCS_TEST(Select, AListOfTypesAndFunctions) {
  const auto numbers = make_chan<int>(1);
  const auto words = make_chan<std::string>(1);
  std::string log;
  std::vector<SelectCase> cases;
  cases.emplace_back(on_recv(numbers, [&](int n) { log += std::to_string(n); }));
  cases.emplace_back(on_recv(words, [&](std::string w) { log += w; }));
  words.send("a");
  EXPECT_EQ(select(cases), 1u);
  numbers.send(1);
  EXPECT_EQ(select(cases), 0u);
  EXPECT_EQ(log, "a1");
}

// --- memory ---

WEFT_PROCS_TEST(Select, UpToEightCasesAllocateNothing) {
  std::array<Chan<int>, 8> c;
  for (auto& chan : c) chan = make_chan<int>();
  const auto back = make_chan<int>();
  WaitGroup group;
  group.go([&] {
    for (int i = 0; i < 100; ++i) {
      c[7].send(i);
      back.recv();
    }
  });
  const auto once = [&] {
    ASSERT_EQ(select(on_recv(c[0]), on_recv(c[1]), on_recv(c[2]), on_recv(c[3]), on_recv(c[4]), on_recv(c[5]),
                     on_recv(c[6]), on_recv(c[7])),
              7u);
    ASSERT_EQ(select(on_recv(c[0]), on_send(back, 1)), 1u);
  };
  once();
  const std::size_t before = allocations.load();
  for (int i = 1; i < 100; ++i) once();
  EXPECT_LT(allocations.load() - before, 50u) << "in 198 selects; the runtime may have started a thread meanwhile";
  group.wait();
}

}  // namespace
}  // namespace weft
