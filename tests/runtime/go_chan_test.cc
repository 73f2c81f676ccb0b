// Go's own tests of channels and select (test/chan and runtime/chan_test.go), written anew from what they check.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include "support/matrix.h"
#include "support/parked.h"
#include "support/scale.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/panic.h"
#include "weft/select.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::kScale;
using testing::wait_until_parked;

// --- test/chan -------------------------------------------------------------------------------------------------------

// doubleselect: a send that is offered on four channels arrives once.
WEFT_PROCS_TEST(GoChan, DoubleSelect) {
  const int iterations = 2000 * kScale;
  std::array<Chan<int>, 4> c;
  for (auto& chan : c) chan = make_chan<int>();
  const auto all = make_chan<int>();
  go([=] {
    for (int i = 0; i < iterations; ++i) select(on_send(c[0], i), on_send(c[1], i), on_send(c[2], i), on_send(c[3], i));
    for (const auto& chan : c) chan.close();
  });
  WaitGroup receivers;
  for (const auto& chan : c) {
    receivers.go([=] {
      for (const int i : chan) all.send(i);
    });
  }
  go([&receivers, all] {
    receivers.wait();
    all.close();
  });
  std::vector<int> seen(static_cast<std::size_t>(iterations));
  for (const int i : all) ASSERT_EQ(++seen[static_cast<std::size_t>(i)], 1) << i;
  EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), iterations);
}

// fifo: a buffer keeps the order, and so do goroutines that wait for one channel.
WEFT_PROCS_TEST(GoChan, Fifo) {
  constexpr int kN = 10;
  const auto buffered = make_chan<int>(kN);
  for (int i = 0; i < kN; ++i) buffered.send(i);
  for (int i = 0; i < kN; ++i) ASSERT_EQ(buffered.recv(), i);

  const auto c = make_chan<int>();
  auto in = make_chan<int>();
  const auto start = in;
  for (int i = 0; i < kN; ++i) {
    const auto out = make_chan<int>();
    go([=] {
      in.recv();
      EXPECT_EQ(c.recv(), i);
      out.send(1);
    });
    in = out;
  }
  start.send(0);
  for (int i = 0; i < kN; ++i) c.send(i);
  in.recv();
}

// nonblock: the try forms fail on channels that are not ready, and succeed as soon as somebody waits.
template <typename T>
void nonblock(const T& value) {
  for (const std::size_t capacity : {0u, 1u}) {
    const auto c = make_chan<T>(capacity);
    EXPECT_EQ(select(on_recv(c), on_default()), 1u);
    EXPECT_FALSE(c.try_recv().has_value());
    const auto got = make_chan<T>();
    go([=] { got.send(*c.recv()); });
    ASSERT_TRUE(wait_until_parked(1, "chan receive"));
    EXPECT_EQ(select(on_send(c, value), on_default()), 0u);
    EXPECT_EQ(got.recv(), value);
    if (capacity == 0) {
      EXPECT_FALSE(c.try_send(value));
      EXPECT_EQ(select(on_send(c, value), on_default()), 1u);
      const auto sent = make_chan<int>();
      go([=] {
        c.send(value);
        sent.send(1);
      });
      ASSERT_TRUE(wait_until_parked(1, "chan send"));
      EXPECT_EQ(*c.try_recv(), value);
      sent.recv();
    } else {
      EXPECT_TRUE(c.try_send(value));
      EXPECT_FALSE(c.try_send(value));
      EXPECT_EQ(select(on_send(c, value), on_default()), 1u);
      EXPECT_EQ(*c.try_recv(), value);
    }
  }
}

WEFT_PROCS_TEST(GoChan, Nonblock) {
  nonblock<int>(1);
  nonblock<bool>(true);
  nonblock<std::string>("hello");
  nonblock<std::array<std::int64_t, 20>>({1, 2, 3});
}

// select: sends on two channels, each of which may be nil at the moment.
WEFT_PROCS_TEST(GoChan, Select) {
  const auto c1 = make_chan<std::uint64_t>();
  const auto c2 = make_chan<std::uint64_t>();
  std::uint64_t counter = 0;
  int shifted = 0;
  go([=, &counter, &shifted] {
    auto a = c1;
    auto b = c2;
    std::uint64_t value = ++counter;
    while (shifted < 100) {
      ++shifted;
      select(on_send(a, value, [&] { a = {}; }), on_send(b, value, [&] { b = {}; }));
      if (!a && !b) {
        value = ++counter;
        a = c1;
        b = c2;
      }
    }
    c1.close();
    c2.close();
  });
  std::uint64_t sum1 = 0;
  std::uint64_t sum2 = 0;
  for (Chan<std::uint64_t> a = c1, b = c2; a || b;) {
    select(on_recv(a, [&](std::optional<std::uint64_t> v) { v ? void(sum1 += *v) : void(a = {}); }),
           on_recv(b, [&](std::optional<std::uint64_t> v) { v ? void(sum2 += *v) : void(b = {}); }));
  }
  EXPECT_EQ(sum1, 50u * 51 / 2);
  EXPECT_EQ(sum2, 50u * 51 / 2);
}

// select2: a case that never wins leaves nothing behind, however often it waits.
WEFT_PROCS_TEST(GoChan, Select2) {
  const auto c = make_chan<int>();
  const auto dummy = make_chan<int>();
  const int rounds = 10'000 * kScale;
  go([=] {
    for (int i = 0; i < rounds; ++i) select(on_send(c, i), on_recv(dummy));
    c.close();
  });
  int got = 0;
  for (bool open = true; open;) {
    select(on_recv(dummy), on_recv(c, [&](std::optional<int> v) { v ? void(++got) : void(open = false); }));
  }
  EXPECT_EQ(got, rounds);
  EXPECT_FALSE(dummy.try_send(1));
}

// select3: which operations block, alone and in a select.
template <typename F>
void expect_blocks(std::string_view reason, const char* what, F body, const std::vector<Chan<int>>& ends) {
  const auto passed = make_chan<bool>(1);
  go([=] {
    try {
      body();
    } catch (const Panic&) {
    }
    passed.send(true);
  });
  ASSERT_TRUE(wait_until_parked(1, reason)) << what;
  EXPECT_FALSE(passed.try_recv().has_value()) << what;
  for (const auto& c : ends) c.close();
  passed.recv();
}

WEFT_PROCS_TEST(GoChan, Select3) {
  const Chan<int> nil;
  const auto closed = make_chan<int>();
  closed.close();
  const auto fresh = [] { return std::vector{make_chan<int>()}; };

  // Empty and full channels block. Nil channels beside them change nothing.
  auto c = fresh();
  expect_blocks(
      "chan receive", "receive, unbuffered", [c] { c[0].recv(); }, c);
  c = fresh();
  expect_blocks(
      "chan send", "send, unbuffered", [c] { c[0].send(7); }, c);
  c = {make_chan<int>(10)};
  expect_blocks(
      "chan receive", "receive, empty buffer", [c] { c[0].recv(); }, c);
  c = {make_chan<int>(1)};
  c[0].send(1);
  expect_blocks(
      "chan send", "send, full buffer", [c] { c[0].send(7); }, c);
  c = {make_chan<int>(1)};
  c[0].send(1);
  expect_blocks(
      "select", "select of a send, full buffer", [c] { select(on_send(c[0], 7)); }, c);
  c = fresh();
  expect_blocks(
      "select", "select of a receive and nil", [c, nil] { select(on_recv(c[0]), on_send(nil, 7), on_recv(nil)); }, c);

  // A default never blocks.
  EXPECT_EQ(select(on_default()), 0u);
  EXPECT_EQ(select(on_default(), on_recv(nil)), 0u);
  EXPECT_EQ(select(on_default(), on_send(nil, 7)), 0u);
  EXPECT_EQ(select(on_recv(make_chan<int>()), on_default()), 1u);

  // What is ready is carried out.
  const auto one = make_chan<int>(1);
  EXPECT_EQ(select(on_send(one, 7), on_send(nil, 7)), 0u);
  EXPECT_EQ(select(on_recv(nil), on_recv(one)), 1u);
  EXPECT_EQ(closed.recv(), std::nullopt);
  EXPECT_EQ(select(on_recv(closed), on_recv(nil)), 0u);
  EXPECT_THROW(closed.send(7), Panic);
  EXPECT_THROW(select(on_send(closed, 7)), Panic);
}

// select4: goes on with the value that is there, although another operand is a nil channel.
WEFT_PROCS_TEST(GoChan, Select4) {
  const auto c = make_chan<int>(1);
  const auto c1 = make_chan<int>();
  c.send(42);
  int got = 0;
  EXPECT_EQ(select(on_recv(c1), on_recv(c, [&](int v) { got = v; })), 1u);
  EXPECT_EQ(got, 42);
}

// select6: a case that lost, queued after other waiters of its channel, does not break that queue.
WEFT_PROCS_TEST(GoChan, Select6) {
  const auto c1 = make_chan<bool>();
  const auto c2 = make_chan<bool>();
  const auto c3 = make_chan<bool>();
  const auto c4 = make_chan<bool>();
  go([=] { c1.recv(); });
  ASSERT_TRUE(wait_until_parked(1, "chan receive"));
  go([=] {
    EXPECT_EQ(select(on_recv(c1), on_recv(c2)), 1u);
    c3.send(true);
    c1.recv();
    c4.send(true);
  });
  ASSERT_TRUE(wait_until_parked(1, "select"));
  c2.send(true);
  c3.recv();
  c1.send(true);
  c1.send(true);
  c4.recv();
}

// select7: every way to receive meets every way to send, on channels with and without a buffer. The value is dropped.
WEFT_PROCS_TEST(GoChan, Select7) {
  using Op = void (*)(const Chan<int>&);
  constexpr std::array<Op, 3> kReceives{
      [](const Chan<int>& c) { c.recv(); },
      [](const Chan<int>& c) { select(on_recv(c)); },
      [](const Chan<int>& c) { select(on_recv(c), on_recv(Chan<int>())); },
  };
  constexpr std::array<Op, 3> kSends{
      [](const Chan<int>& c) { c.send(1); },
      [](const Chan<int>& c) { select(on_send(c, 1)); },
      [](const Chan<int>& c) { select(on_send(c, 1), on_recv(Chan<int>())); },
  };
  for (const std::size_t capacity : {0u, 1u, 10u, 100u}) {
    for (const Op recv : kReceives) {
      for (const Op send : kSends) {
        const auto c = make_chan<int>(capacity);
        WaitGroup group;
        group.go([=] {
          for (int i = 0; i < 100; ++i) recv(c);
        });
        for (int i = 0; i < 100; ++i) send(c);
        group.wait();
        ASSERT_EQ(c.size(), 0u);
      }
    }
  }
}

// select8: a case's function ends the case, and the index tells the loop around it.
WEFT_PROCS_TEST(GoChan, Select8) {
  const auto c = make_chan<int>(1);
  c.send(42);
  bool after_return = false;
  int rounds = 0;
  while (true) {
    ++rounds;
    const std::size_t chosen = select(on_recv(c,
                                              [&](int v) {
                                                if (v == 42) return;
                                                after_return = true;
                                              }),
                                      on_default());
    if (chosen == 1) break;
  }
  EXPECT_EQ(rounds, 2);
  EXPECT_FALSE(after_return);
}

// sieve1: a chain of filters gives the primes.
WEFT_PROCS_TEST(GoChan, Sieve1) {
  const auto stop = make_chan<int>();
  WaitGroup group;
  auto numbers = make_chan<int>();
  group.go([=, c = numbers] {
    for (int i = 2; select(on_send(c, i), on_recv(stop)) == 0; ++i) {
    }
  });
  for (const int expected :
       {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97}) {
    const int prime = *numbers.recv();
    ASSERT_EQ(prime, expected);
    const auto filtered = make_chan<int>();
    group.go([=, in = numbers] {
      for (std::optional<int> i; select(on_recv(in, i), on_recv(stop)) == 0;) {
        if (*i % prime != 0 && select(on_send(filtered, *i), on_recv(stop)) != 0) return;
      }
    });
    numbers = filtered;
  }
  stop.close();
  group.wait();
}

// --- runtime/chan_test.go --------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(GoChan, Chan) {
  const int n = 50;
  for (int capacity = 0; capacity<n; capacity += procs()> 1 ? 7 : 1) {
    const auto cap = static_cast<std::size_t>(capacity);
    {
      // Receiving from an empty channel blocks.
      const auto c = make_chan<int>(cap);
      std::atomic<bool> received{false};
      WaitGroup group;
      group.go([&, c] {
        c.recv();
        received = true;
      });
      group.go([&, c] {
        c.recv();
        received = true;
      });
      ASSERT_TRUE(wait_until_parked(2, "chan receive"));
      ASSERT_FALSE(received);
      EXPECT_EQ(select(on_recv(Chan<int>()), on_default()), 1u);
      c.send(0);
      c.send(0);
      group.wait();
    }
    {
      // Sending to a full channel blocks.
      const auto c = make_chan<int>(cap);
      for (int i = 0; i < capacity; ++i) c.send(i);
      std::atomic<bool> sent{false};
      WaitGroup group;
      group.go([&, c] {
        c.send(0);
        sent = true;
      });
      ASSERT_TRUE(wait_until_parked(1, "chan send"));
      ASSERT_FALSE(sent);
      EXPECT_EQ(select(on_recv(c), on_default()), 0u) << "although a sender waits";
      group.wait();
      while (c.try_recv()) {
      }
    }
    {
      // What was sent is received after the close, and then nothing.
      const auto c = make_chan<int>(cap);
      for (int i = 0; i < capacity; ++i) c.send(i);
      c.close();
      for (int i = 0; i < capacity; ++i) ASSERT_EQ(c.recv(), i);
      ASSERT_EQ(c.recv(), std::nullopt);
      ASSERT_TRUE(c.try_recv().closed);
    }
    {
      // A close unblocks a receiver.
      const auto c = make_chan<int>(cap);
      const auto done = make_chan<bool>();
      go([=] { done.send(!c.recv()); });
      ASSERT_TRUE(wait_until_parked(1, "chan receive"));
      c.close();
      ASSERT_EQ(done.recv(), true);
    }
    {
      // First in, first out, with one goroutine at each end.
      const auto c = make_chan<int>(cap);
      go([c] {
        for (int i = 0; i < 100; ++i) c.send(i);
      });
      for (int i = 0; i < 100; ++i) ASSERT_EQ(c.recv(), i);
    }
    {
      // With four goroutines at each end, everything arrives as often as it was sent.
      constexpr int kPeers = 4;
      constexpr int kEach = 100;
      const auto c = make_chan<int>(cap);
      std::array<std::atomic<int>, kEach> seen{};
      WaitGroup group;
      for (int p = 0; p < kPeers; ++p) {
        group.go([c] {
          for (int i = 0; i < kEach; ++i) c.send(i);
        });
        group.go([&, c] {
          for (int i = 0; i < kEach; ++i) ++seen[static_cast<std::size_t>(*c.recv())];
        });
      }
      group.wait();
      for (const auto& times : seen) ASSERT_EQ(times.load(), kPeers);
      ASSERT_EQ(c.size(), 0u);
    }
  }
}

WEFT_PROCS_TEST(GoChan, SelfSelect) {
  for (const std::size_t capacity : {0u, 1u, 10u}) {
    const auto c = make_chan<int>(capacity);
    WaitGroup group;
    for (int p = 0; p < 2; ++p) {
      group.go([=] {
        auto meets_another = [=](int v) {
          if (capacity == 0) {
            EXPECT_NE(v, p) << "a select met itself";
          }
        };
        for (int i = 0; i < 100 * kScale; ++i) {
          if (p == 0 || i % 2 == 0) {
            select(on_send(c, p), on_recv(c, meets_another));
          } else {
            select(on_recv(c, meets_another), on_send(c, p));
          }
        }
      });
    }
    group.wait();
  }
}

WEFT_PROCS_TEST(GoChan, SelectStress) {
  const std::array<Chan<int>, 4> c{make_chan<int>(), make_chan<int>(), make_chan<int>(2), make_chan<int>(3)};
  const int n = 1000 * kScale;
  std::atomic<long> received{0};
  WaitGroup group;
  for (std::size_t k = 0; k < c.size(); ++k) {
    group.go([=] {
      for (int i = 0; i < n; ++i) c[k].send(1);
    });
    group.go([=, &received] {
      for (int i = 0; i < n; ++i) received += *c[k].recv();
    });
  }
  group.go([=] {
    auto c1 = c;
    std::array<int, 4> count{};
    const auto sent = [&](std::size_t k) {
      return [&, k] {
        if (++count[k] == n) c1[k] = {};
      };
    };
    for (int i = 0; i < 4 * n; ++i)
      select(on_send(c1[3], 1, sent(3)), on_send(c1[2], 1, sent(2)), on_send(c1[0], 1, sent(0)),
             on_send(c1[1], 1, sent(1)));
  });
  group.go([=, &received] {
    auto c1 = c;
    std::array<int, 4> count{};
    const auto got = [&](std::size_t k) {
      return [&, k](int v) {
        received += v;
        if (++count[k] == n) c1[k] = {};
      };
    };
    for (int i = 0; i < 4 * n; ++i)
      select(on_recv(c1[0], got(0)), on_recv(c1[1], got(1)), on_recv(c1[2], got(2)), on_recv(c1[3], got(3)));
  });
  group.wait();
  EXPECT_EQ(received.load(), 8L * n);
}

// Two cases that are always ready are chosen equally often. 4.8917 standard deviations reject one run in a million.
WEFT_PROCS_TEST(GoChan, SelectFairness) {
  constexpr int kTrials = 10'000;
  const auto c1 = make_chan<char>(kTrials + 1);
  const auto c2 = make_chan<char>(kTrials + 1);
  for (int i = 0; i < kTrials + 1; ++i) {
    c1.send(1);
    c2.send(2);
  }
  const auto c3 = make_chan<char>();
  const auto c4 = make_chan<char>();
  const auto out = make_chan<char>();
  const auto done = make_chan<char>();
  WaitGroup group;
  group.go([=] {
    for (;;) {
      char b = 0;
      auto set = [&](char v) { b = v; };
      select(on_recv(c3, set), on_recv(c4, set), on_recv(c1, set), on_recv(c2, set));
      if (select(on_send(out, b), on_recv(done)) == 1) return;
    }
  });
  int first = 0;
  for (int i = 0; i < kTrials; ++i) first += *out.recv() == 1;
  done.close();
  group.wait();
  const double r = static_cast<double>(first) / kTrials;
  EXPECT_LE(std::abs(r - 0.5), 4.8917 / (2 * std::sqrt(static_cast<double>(kTrials))));
}

// There are two groups of senders or receivers, and one case is always ready. So the default is never taken.
WEFT_PROCS_TEST(GoChan, NonblockSelectRace) {
  const int n = 10'000 * kScale;
  const auto done = make_chan<bool>(1);
  for (int i = 0; i < n; ++i) {
    const auto c1 = make_chan<int>(1);
    const auto c2 = make_chan<int>(1);
    c1.send(1);
    go([=] { done.send(select(on_recv(c1), on_recv(c2), on_default()) != 2); });
    c2.send(1);
    select(on_recv(c1), on_default());
    ASSERT_EQ(done.recv(), true) << "no case was ready, in round " << i;
  }
}

WEFT_PROCS_TEST(GoChan, NonblockSelectRace2) {
  const int n = 10'000 * kScale;
  const auto done = make_chan<bool>(1);
  for (int i = 0; i < n; ++i) {
    const auto c1 = make_chan<int>(1);
    const auto c2 = make_chan<int>();
    c1.send(1);
    go([=] { done.send(select(on_recv(c1), on_recv(c2), on_default()) != 2); });
    c2.close();
    select(on_recv(c1), on_default());
    ASSERT_EQ(done.recv(), true) << "no case was ready, in round " << i;
  }
}

WEFT_PROCS_TEST(GoChan, MultiConsumer) {
  constexpr int kWorkers = 23;
  const int n = 5000 * kScale;
  constexpr std::array kPrimes{2, 3, 7, 11, 13, 17, 19, 23, 27, 31};
  const auto q = make_chan<int>(kWorkers * 3);
  const auto r = make_chan<int>(kWorkers * 3);
  WaitGroup workers;
  for (int w = 0; w < kWorkers; ++w) {
    workers.go([=] {
      for (const int v : q) {
        if (kPrimes[static_cast<std::size_t>(w) % kPrimes.size()] == v) yield();
        r.send(v);
      }
    });
  }
  std::atomic<long> expected{0};
  go([=, &expected, &workers] {
    long sum = 0;
    for (int i = 0; i < n; ++i) {
      const int v = kPrimes[static_cast<std::size_t>(i) % kPrimes.size()];
      sum += v;
      q.send(v);
    }
    q.close();
    workers.wait();
    expected = sum;
    r.close();
  });
  int count = 0;
  long sum = 0;
  for (const int v : r) {
    ++count;
    sum += v;
  }
  EXPECT_EQ(count, n);
  EXPECT_EQ(sum, expected.load());
}

// A select that waits twice on one channel leaves the channel whole for the next one who waits there.
WEFT_PROCS_TEST(GoChan, SelectDuplicateChannel) {
  const auto c = make_chan<int>();
  const auto d = make_chan<int>();
  const auto e = make_chan<int>();
  WaitGroup group;
  group.go([=] {
    select(on_recv(c), on_recv(c), on_recv(d));
    e.send(9);
  });
  ASSERT_TRUE(wait_until_parked(1, "select"));
  group.go([=] { c.recv(); });
  ASSERT_TRUE(wait_until_parked(1, "chan receive"));
  d.send(7);
  e.recv();
  c.send(8);
  group.wait();
}

// Of two sends on one channel, both are chosen often.
WEFT_PROCS_TEST(GoChan, PseudoRandomSend) {
  constexpr int kN = 100;
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{kN}}) {
    const auto c = make_chan<int>(capacity);
    std::array<int, kN> got{};
    WaitGroup group;
    group.go([&, c] {
      for (int& value : got) {
        yield();
        value = *c.recv();
      }
    });
    for (int i = 0; i < kN; ++i) select(on_send(c, 1), on_send(c, 0));
    group.wait();
    const int ones = std::accumulate(got.begin(), got.end(), 0);
    EXPECT_GT(ones, kN / 10);
    EXPECT_LT(ones, kN - kN / 10);
  }
}

}  // namespace
}  // namespace weft
