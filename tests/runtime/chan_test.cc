#include "weft/chan.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/matrix.h"
#include "support/panics.h"
#include "support/parked.h"
#include "support/scale.h"
#include "weft/go.h"
#include "weft/panic.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::kScale;
using testing::panic_text;
using testing::wait_until_parked;

// --- what compiles ---

template <typename C>
concept Closable = requires(const C& c) {
  c.close();
};
template <typename C>
concept Sendable = requires(const C& c) {
  c.send(1);
};
template <typename C>
concept Receivable = requires(const C& c) {
  c.recv();
};

static_assert(Closable<Chan<int>> && Sendable<Chan<int>> && Receivable<Chan<int>>);
static_assert(Closable<SendChan<int>> && Sendable<SendChan<int>> && !Receivable<SendChan<int>>);
static_assert(!Closable<RecvChan<int>> && !Sendable<RecvChan<int>> && Receivable<RecvChan<int>>);
static_assert(std::is_convertible_v<Chan<int>, SendChan<int>> && std::is_convertible_v<Chan<int>, RecvChan<int>>);
static_assert(!std::is_convertible_v<RecvChan<int>, Chan<int>> && !std::is_convertible_v<SendChan<int>, Chan<int>>);
static_assert(!std::is_convertible_v<RecvChan<int>, SendChan<int>> && !std::is_convertible_v<Chan<int>, Chan<long>>);

// --- panics ---

WEFT_PROCS_TEST(Chan, SendOnClosedPanics) {
  for (const std::size_t capacity : {0u, 1u}) {
    const auto c = make_chan<int>(capacity);
    c.close();
    EXPECT_EQ(panic_text([&] { c.send(1); }), "send on closed channel");
    EXPECT_EQ(panic_text([&] { c.try_send(1); }), "send on closed channel");
  }
}

WEFT_PROCS_TEST(Chan, CloseTwiceAndCloseOfNilPanic) {
  const auto c = make_chan<int>();
  c.close();
  EXPECT_EQ(panic_text([&] { c.close(); }), "close of closed channel");
  EXPECT_EQ(panic_text([] { Chan<int>().close(); }), "close of nil channel");
  EXPECT_EQ(panic_text([] { SendChan<int>().close(); }), "close of nil channel");
}

WEFT_PROCS_TEST(Chan, BlockedSendersPanicAtClose) {
  for (const std::size_t capacity : {0u, 2u}) {
    const auto c = make_chan<int>(capacity);
    for (std::size_t i = 0; i < capacity; ++i) c.send(7);
    std::atomic<int> panics{0};
    WaitGroup senders;
    for (int i = 0; i < 50; ++i) {
      senders.go([&, c] { panics += panic_text([&] { c.send(1); }) == "send on closed channel"; });
    }
    ASSERT_TRUE(wait_until_parked(50, "chan send"));
    c.close();
    senders.wait();
    EXPECT_EQ(panics, 50);
    for (std::size_t i = 0; i < capacity; ++i) EXPECT_EQ(c.recv(), 7);  // what was in the buffer stays
    EXPECT_EQ(c.recv(), std::nullopt);
  }
}

TEST(Chan, SizeOutOfRangePanics) {
  EXPECT_EQ(panic_text([] { static_cast<void>(make_chan<int>(static_cast<std::size_t>(-1))); }),
            "makechan: size out of range");
  EXPECT_EQ(panic_text([] { static_cast<void>(make_chan<std::array<char, 4096>>(std::size_t{1} << 52)); }),
            "makechan: size out of range");
}

// --- closing ---

WEFT_PROCS_TEST(Chan, ClosedChannelDrainsThenEndsForEver) {
  const auto c = make_chan<int>(3);
  for (int i = 1; i <= 3; ++i) c.send(i);
  c.close();
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(c.recv(), i);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(c.recv(), std::nullopt);
    EXPECT_TRUE(c.try_recv().closed);
  }
}

WEFT_PROCS_TEST(Chan, CloseWakesAllReceivers) {
  const auto c = make_chan<int>();
  std::atomic<int> ends{0};
  WaitGroup receivers;
  for (int i = 0; i < 1000; ++i) receivers.go([&, c] { ends += !c.recv(); });
  ASSERT_TRUE(wait_until_parked(1000, "chan receive"));
  c.close();
  receivers.wait();
  EXPECT_EQ(ends, 1000);
}

WEFT_PROCS_TEST(Chan, RangeEndsWhenClosedAndDrained) {
  const auto c = make_chan<int>(2);
  go([c] {
    for (int i = 0; i < 100; ++i) c.send(i);
    c.close();
  });
  int next = 0;
  for (const int value : c) EXPECT_EQ(value, next++);
  EXPECT_EQ(next, 100);
  for ([[maybe_unused]] const int value : RecvChan<int>(c)) ADD_FAILURE();
}

// --- rendezvous and order ---

WEFT_PROCS_TEST(Chan, UnbufferedSendWaitsForTheReceiver) {
  const auto c = make_chan<int>();
  const auto sent = make_chan<int>(1);
  std::atomic<bool> returned{false};
  go([=, &returned] {
    c.send(42);
    returned = true;
    sent.send(1);
  });
  ASSERT_TRUE(wait_until_parked(1, "chan send"));
  sleep(std::chrono::milliseconds(2));
  EXPECT_FALSE(returned);
  EXPECT_EQ(c.size(), 0u);
  EXPECT_EQ(c.capacity(), 0u);
  EXPECT_EQ(c.recv(), 42);
  EXPECT_EQ(sent.recv(), 1);
  EXPECT_TRUE(returned);
}

WEFT_PROCS_TEST(Chan, ReceiversAreServedInOrder) {
  const auto c = make_chan<int>();
  std::array<int, 100> got{};
  WaitGroup receivers;
  for (std::size_t i = 0; i < got.size(); ++i) {
    receivers.go([&got, c, i] { got[i] = c.recv().value_or(-1); });
    ASSERT_TRUE(wait_until_parked(i + 1, "chan receive"));
  }
  for (int i = 0; i < 100; ++i) c.send(i);
  receivers.wait();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
}

WEFT_PROCS_TEST(Chan, SendersAreServedInOrder) {
  for (const std::size_t capacity : {0u, 3u}) {
    const auto c = make_chan<int>(capacity);
    for (int i = 0; i < static_cast<int>(capacity); ++i) c.send(i);
    WaitGroup senders;
    const int first = static_cast<int>(capacity);
    for (int i = 0; i < 50; ++i) {
      senders.go([=] { c.send(first + i); });
      ASSERT_TRUE(wait_until_parked(static_cast<std::size_t>(i) + 1, "chan send"));
    }
    EXPECT_EQ(c.size(), capacity);  // blocked senders don't count
    for (int i = 0; i < first + 50; ++i) EXPECT_EQ(c.recv(), i);
    senders.wait();
  }
}

WEFT_PROCS_TEST(Chan, SendToAWaitingReceiverBypassesTheBuffer) {
  const auto c = make_chan<int>(4);
  const auto got = make_chan<int>(1);
  go([=] { got.send(c.recv().value_or(-1)); });
  ASSERT_TRUE(wait_until_parked(1, "chan receive"));
  c.send(5);
  EXPECT_EQ(c.size(), 0u);
  EXPECT_EQ(got.recv(), 5);
}

// --- nil, handles, try forms ---

TEST(Chan, NilChannelIsNeverReady) {
  const Chan<int> nil;
  EXPECT_FALSE(nil);
  EXPECT_EQ(nil.size(), 0u);
  EXPECT_EQ(nil.capacity(), 0u);
  EXPECT_FALSE(nil.try_send(1));
  EXPECT_FALSE(nil.try_recv());
  EXPECT_FALSE(nil.try_recv().closed);
  EXPECT_EQ(run([&] {
              go([&] { nil.send(1); });
              go([&] { nil.recv(); });
              go([] { RecvChan<int>().recv(); });
              EXPECT_TRUE(wait_until_parked(1, "chan send (nil chan)"));
              EXPECT_TRUE(wait_until_parked(2, "chan receive (nil chan)"));
            }),
            0);
}

TEST(Chan, HandlesOfOneChannelAreEqual) {
  const auto a = make_chan<int>(1);
  const auto b = make_chan<int>(1);
  const Chan<int> copy = a;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_TRUE(a == copy && a != b && a && Chan<int>() == Chan<int>());
  const SendChan<int> send = a;
  const RecvChan<int> recv = a;
  EXPECT_TRUE(send == SendChan<int>(copy) && recv == copy && recv != RecvChan<int>(b));
  send.send(3);
  EXPECT_EQ(recv.size(), 1u);
  EXPECT_EQ(recv.recv(), 3);
  send.close();
  EXPECT_TRUE(recv.try_recv().closed);
}

WEFT_PROCS_TEST(Chan, TryFormsDontWait) {
  const auto c = make_chan<int>();
  EXPECT_FALSE(c.try_send(1));
  EXPECT_FALSE(c.try_recv());
  const auto got = make_chan<int>(1);
  go([=] { got.send(c.recv().value_or(-1)); });
  ASSERT_TRUE(wait_until_parked(1, "chan receive"));
  EXPECT_TRUE(c.try_send(2));
  EXPECT_EQ(got.recv(), 2);
  go([=] { c.send(3); });
  ASSERT_TRUE(wait_until_parked(1, "chan send"));
  EXPECT_EQ(c.try_recv(), 3);

  const auto full = make_chan<std::string>(1);
  std::string value(100, 'x');
  EXPECT_TRUE(full.try_send(value));
  EXPECT_FALSE(full.try_send(std::move(value)));
  EXPECT_EQ(value.size(), 100u);  // NOLINT(bugprone-use-after-move): it was not moved from
  EXPECT_EQ(full.try_recv().value(), value);
}

TEST(Chan, TryFormsFailWithoutTheLock) {
  for (const std::size_t capacity : {0u, 1u}) {
    auto* const state = detail::ChanState<int>::make(capacity);
    std::optional<int> out;
    state->mutex.lock();
    EXPECT_EQ(state->try_recv(out), detail::TryResult::would_block);
    state->mutex.unlock();
    if (capacity == 1) state->send(1);
    state->mutex.lock();
    EXPECT_FALSE(state->try_send(2));
    state->mutex.unlock();
    state->unref();
  }
}

// --- elements ---

struct Counted {
  static inline std::atomic<int> live{0};
  static inline std::atomic<int> made{0};
  explicit Counted(int v) : value(std::make_unique<int>(v)) { ++live, ++made; }
  Counted(Counted&& other) noexcept : value(std::move(other.value)) { ++live; }
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --live; }
  std::unique_ptr<int> value;
};

WEFT_PROCS_TEST(Chan, MoveOnlyElementsAreDestroyedOnce) {
  {
    const auto dropped = make_chan<Counted>(8);
    for (int i = 0; i < 5; ++i) dropped.send(Counted(i));
    EXPECT_EQ(*dropped.recv()->value, 0);
    dropped.send(Counted(5));
    EXPECT_EQ(Counted::live, 5);
  }
  EXPECT_EQ(Counted::live, 0);
  {
    const auto wrapped = make_chan<Counted>(3);  // the ring wraps with items in it
    for (int i = 0; i < 10; ++i) {
      wrapped.send(Counted(i));
      if (i < 2) continue;
      EXPECT_EQ(*wrapped.recv()->value, i - 2);
    }
  }
  EXPECT_EQ(Counted::live, 0);
  {
    const auto c = make_chan<Counted>();
    WaitGroup group;
    group.go([c] {
      for (int i = 0; i < 100; ++i) c.send(Counted(i));
      c.close();
    });
    int next = 0;
    for (Counted item : c) EXPECT_EQ(*item.value, next++);
    EXPECT_EQ(next, 100);
    group.wait();

    const auto closing = make_chan<Counted>();
    group.go([closing] { EXPECT_THROW(closing.send(Counted(1)), Panic); });
    ASSERT_TRUE(wait_until_parked(1, "chan send"));
    closing.close();
    group.wait();
  }
  EXPECT_EQ(Counted::live, 0);
}

TEST(Chan, EmptyAndOverAlignedElements) {
  struct Nothing {};
  const auto nothing = make_chan<Nothing>(3);
  nothing.send({});
  nothing.send({});
  EXPECT_EQ(nothing.size(), 2u);
  EXPECT_TRUE(nothing.recv());

  struct alignas(256) Wide {
    int value;
    const Wide* self;
    explicit Wide(int v) : value(v), self(this) {}
    Wide(Wide&& other) noexcept : value(other.value), self(this) {}
  };
  const auto wide = make_chan<Wide>(2);
  for (int i = 0; i < 5; ++i) {
    wide.send(Wide(i));
    const auto got = wide.recv();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->value, i);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got->self) % 256, 0u);
  }
}

// --- many at once ---

// Producers and consumers transfer values, blocking and trying, on goroutines and on plain threads. Nothing is lost,
// and nothing comes twice.
void transfer(std::size_t capacity, bool threads) {
  constexpr int kProducers = 4;
  const int per_producer = 200 * kScale;
  const auto c = make_chan<int>(capacity);
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(kProducers * per_producer));
  WaitGroup producers;
  WaitGroup consumers;
  std::vector<std::thread> plain;
  for (int p = 0; p < kProducers; ++p) {
    const auto produce = [=] {
      for (int i = 0; i < per_producer; ++i) {
        const int value = p * per_producer + i;
        if (i % 3 != 0 || !c.try_send(value)) c.send(value);
      }
    };
    const auto consume = [=, &seen] {
      for (;;) {
        const auto tried = c.try_recv();
        if (tried.closed) return;
        const std::optional<int> value = tried ? std::optional<int>(tried) : c.recv();
        if (!value) return;
        ++seen[static_cast<std::size_t>(*value)];
      }
    };
    if (threads && p % 2 == 0) {
      producers.add(1);
      plain.emplace_back([=, &producers] {
        produce();
        producers.done();
      });
      plain.emplace_back(consume);
    } else {
      producers.go(produce);
      consumers.go(consume);
    }
  }
  producers.wait();
  c.close();
  consumers.wait();
  // join() blocks the thread and with it the processor, but the threads need no goroutine any more.
  for (std::thread& thread : plain) thread.join();
  for (const auto& count : seen) ASSERT_EQ(count, 1);
}

WEFT_PROCS_TEST(Chan, TransfersAnExactMultiset) {
  for (const std::size_t capacity : {0u, 1u, 2u, 3u, 16u}) transfer(capacity, false);
}

WEFT_PROCS_TEST(Chan, PlainThreadsTakePart) {
  for (const std::size_t capacity : {0u, 1u, 3u}) transfer(capacity, true);
}

TEST(Chan, WorksWithoutARuntime) {
  const auto there = make_chan<int>();
  const auto back = make_chan<int>(1);
  std::thread echo([=] {
    for (const int value : there) back.send(value);
    back.close();
  });
  for (int i = 0; i < 1000; ++i) {
    there.send(i);
    ASSERT_EQ(back.recv(), i);
  }
  there.close();
  EXPECT_EQ(back.recv(), std::nullopt);
  echo.join();
}

// The last handle ends while the other side is still returning from its call.
WEFT_PROCS_TEST(Chan, MayGoWhenTheValueHasCome) {
  for (int i = 0; i < 300 * kScale; ++i) {
    auto c = make_chan<int>(static_cast<std::size_t>(i % 2));
    go([&c] { c.send(1); });
    EXPECT_EQ(c.recv(), 1);
    c = {};
    auto d = make_chan<int>(static_cast<std::size_t>(i % 2));
    go([d] { d.send(1); });
    EXPECT_EQ(std::exchange(d, {}).recv(), 1);
  }
}

// try_send finds a receiver that waits, and says so even while others close the channel.
WEFT_PROCS_TEST(Chan, TrySendNeverMissesAWaitingReceiver) {
  for (int i = 0; i < 100 * kScale; ++i) {
    const auto c = make_chan<int>();
    std::optional<int> got;
    WaitGroup group;
    group.go([&got, c] { got = c.recv(); });
    ASSERT_TRUE(wait_until_parked(1, "chan receive"));
    group.go([c] { c.close(); });
    bool sent = false;
    const std::string text = panic_text([&] { sent = c.try_send(i); });
    group.wait();
    // Before the close, the receiver took the value. After the close, the send panicked. "Would block" was never true.
    EXPECT_NE(sent, text == "send on closed channel");
    EXPECT_EQ(got, sent ? std::optional(i) : std::nullopt);
  }
}

}  // namespace
}  // namespace weft
