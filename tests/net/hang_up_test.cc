// Peers that go away, and peers that stop reading, as a connection notices them without a read.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/peer.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "support/scale.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/labels.h"
#include "weft/net/conn.h"
#include "weft/net/listener.h"
#include "weft/sync.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;
using weft::net::Conn;
using weft::testing::eventually;
using weft::testing::Peer;

struct Ends {
  explicit Ends(int receive_buffer = 0)
      : listener(weft::net::listen("tcp", "127.0.0.1:0").value()),
        peer(listener.address(), receive_buffer),
        conn(listener.accept().value()) {
    static_cast<void>(listener.close());
  }
  weft::net::Listener listener;
  Peer peer;
  Conn conn;
};

// --- hang-ups --------------------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(HangUp, IsNoticedWhateverLiesUnread) {
  enum class Way { reset, finish, close };
  for (const Way way : {Way::reset, Way::finish, Way::close}) {
    for (const std::string unread : {"", "x", "full"}) {
      Ends ends;
      if (unread == "x") ends.peer.send("ab");
      if (unread == "x") {
        char byte = 0;
        EXPECT_EQ(ends.conn.read({&byte, 1}).n,
                  1U);  // of two: one stays behind, in a buffer of the ring's where that is
      }
      // The end of the stream comes behind the bytes that found no room in the window. A reset does not.
      if (unread == "full" && way == Way::reset) ends.peer.fill();
      const auto told = weft::make_chan<bool>(2);
      EXPECT_FALSE(ends.conn.on_hang_up([told] { told.send(true); }));
      weft::sleep(10ms);
      EXPECT_FALSE(told.try_recv().has_value());
      if (way == Way::reset) ends.peer.reset();
      if (way == Way::finish) ends.peer.finish();
      if (way == Way::close) ends.peer.close();
      told.recv();
      weft::sleep(5ms);
      EXPECT_FALSE(told.try_recv().has_value()) << "it is called once";
    }
  }
}

// Watches that one processor has armed are taken back by all of them at once, while peers hang up.
WEFT_MATRIX_TEST(HangUp, ManyCloseAtOnce) {
  constexpr std::size_t kConns = 64;
  for (int round = 0; round < 2 * weft::testing::kScale; ++round) {
    std::vector<std::unique_ptr<Ends>> all;
    for (std::size_t i = 0; i < kConns; ++i) {
      all.push_back(std::make_unique<Ends>());
      EXPECT_FALSE(all.back()->conn.on_hang_up([] {}));
    }
    weft::sleep(1ms);  // the watches are armed
    weft::WaitGroup closers;
    for (const auto& ends : all) {
      closers.go([&ends = *ends] {
        ends.peer.reset();
        weft::yield();
        EXPECT_FALSE(ends.conn.close());
      });
    }
    closers.wait();
  }
}

WEFT_MATRIX_TEST(HangUp, IsToldAlsoAfterwards) {
  Ends ends;
  ends.peer.send("x");
  ends.peer.finish();
  for (int i = 0; i < 3; ++i) {
    const auto told = weft::make_chan<bool>(1);
    EXPECT_FALSE(ends.conn.on_hang_up([told] { told.send(true); }));
    told.recv();
    char byte = 0;
    EXPECT_EQ(ends.conn.read({&byte, 1}).n, i == 0 ? 1U : 0U);
  }
  EXPECT_FALSE(ends.conn.write("still").ec);
}

WEFT_MATRIX_TEST(HangUp, WatchStandsBesideReadsAndWrites) {
  Ends ends;
  const auto told = weft::make_chan<bool>(1);
  EXPECT_FALSE(ends.conn.on_hang_up([told] { told.send(true); }));
  const auto sum = weft::make_chan<std::size_t>(1);
  weft::go([conn = ends.conn, sum] {
    char buffer[1000];
    std::size_t all = 0;
    while (true) {
      const weft::IoResult got = conn.read(buffer);
      all += got.n;
      if (got.ec) break;
    }
    sum.send(all);
  });
  const std::string text(10'000, 'x');
  for (int i = 0; i < 20; ++i) {
    ends.peer.send(text);
    EXPECT_FALSE(ends.conn.write("y").ec);
    weft::yield();
  }
  EXPECT_FALSE(told.try_recv().has_value());
  ends.peer.finish();
  told.recv();
  EXPECT_EQ(*sum.recv(), 200'000U);
}

WEFT_MATRIX_TEST(HangUp, TheNextFunctionReplacesTheLast) {
  Ends ends;
  std::atomic<int> first{0};
  const auto told = weft::make_chan<int>(1);
  EXPECT_FALSE(ends.conn.on_hang_up([&first] { first.fetch_add(1, std::memory_order_relaxed); }));
  EXPECT_FALSE(ends.conn.on_hang_up({}));
  EXPECT_FALSE(ends.conn.on_hang_up([&first] { first.fetch_add(1, std::memory_order_relaxed); }));
  EXPECT_FALSE(ends.conn.on_hang_up([told] { told.send(1); }));
  ends.peer.reset();
  told.recv();
  EXPECT_EQ(first.load(std::memory_order_relaxed), 0);
}

// The function has nothing to do with whoever happens to run when the kernel tells: here a goroutine that closes
// another connection, and takes what the ring has for it meanwhile.
WEFT_MATRIX_TEST(HangUp, StartsAGoroutineWithoutAParent) {
  for (int i = 0; i < 50; ++i) {
    Ends ends;
    Ends other;
    const auto told = weft::make_chan<std::uint64_t>(1);
    EXPECT_FALSE(ends.conn.on_hang_up([told] {
      EXPECT_TRUE(weft::this_goroutine::labels().empty());
      told.send(weft::this_goroutine::parent_id());
    }));
    EXPECT_FALSE(other.conn.on_hang_up([] { ADD_FAILURE() << "nobody hung up"; }));
    weft::WaitGroup closer;
    closer.go([&] {
      weft::this_goroutine::set_labels({{"job", "close"}});
      ends.peer.reset();
      EXPECT_FALSE(other.conn.close());
    });
    EXPECT_EQ(told.recv(), 0U);
    closer.wait();
  }
}

// close() drops the function, returns soon, and leaves nothing behind, from whatever processor it comes.
WEFT_MATRIX_TEST(HangUp, CloseEndsTheWatch) {
  for (int i = 0; i < 50; ++i) {
    Ends ends;
    auto held = std::make_shared<int>(1);
    std::weak_ptr<int> seen = held;
    EXPECT_FALSE(ends.conn.on_hang_up([held = std::move(held)] { ADD_FAILURE() << "nobody hung up"; }));
    weft::WaitGroup closers;
    closers.go([conn = ends.conn] { static_cast<void>(conn.close()); });
    closers.wait();
    EXPECT_TRUE(seen.expired());
    EXPECT_EQ(ends.conn.on_hang_up([] { ADD_FAILURE() << "too late"; }), weft::Errc::closed);
  }
}

WEFT_MATRIX_TEST(HangUp, RacesWithClose) {
  for (int i = 0; i < 100; ++i) {
    Ends ends;
    weft::WaitGroup group;
    group.go([&] {
      for (int n = 0; n < 5; ++n) static_cast<void>(ends.conn.on_hang_up([] {}));
    });
    group.go([&] { static_cast<void>(ends.conn.close()); });
    if (i % 2 == 0) ends.peer.reset();
    group.wait();
  }
}

// When a thread ends, the kernel cancels what the thread asked for.
WEFT_MATRIX_TEST(HangUp, WatchOutlivesTheThreadThatAsked) {
  Ends ends;
  Ends other;
  const auto told = weft::make_chan<bool>(1);
  weft::WaitGroup group;
  group.go([&] {
    weft::lock_os_thread();
    EXPECT_FALSE(ends.conn.on_hang_up([told] { told.send(true); }));
    // To cancel this watch, the thread goes to the kernel with both requests. It ends with the goroutine.
    EXPECT_FALSE(other.conn.on_hang_up([] {}));
    static_cast<void>(other.conn.close());
  });
  group.wait();
  weft::sleep(50ms);
  ends.peer.reset();
  told.recv();
}

// --- peers that stop reading -----------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(WriteStall, EndsAWriteWhosePeerTakesNothing) {
  Ends ends(4096);
  EXPECT_FALSE(ends.conn.set_write_stall_timeout(100ms));
  const std::string large(8 << 20, 'x');
  const auto start = std::chrono::steady_clock::now();
  const weft::IoResult sent = ends.conn.write(large);
  EXPECT_TRUE(sent.ec == Condition::deadline_exceeded) << sent.ec.message();
  EXPECT_LT(sent.n, large.size());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 100ms);
  // Each write has its own time, and none is over before it began.
  EXPECT_FALSE(ends.conn.set_write_stall_timeout(0ms));
  ends.conn.set_write_deadline(weft::now() + 50ms);
  EXPECT_TRUE(ends.conn.write("x").ec == Condition::deadline_exceeded);
  ends.conn.set_write_deadline(weft::kNoDeadline);
  const auto done = weft::make_chan<std::error_code>(1);
  weft::go([conn = ends.conn, done] { done.send(conn.write("x").ec); });
  weft::sleep(100ms);
  EXPECT_FALSE(done.try_recv().has_value()) << "zero: no limit";
  while (!done.try_recv().has_value()) {
    ends.peer.take(1 << 16);
    weft::sleep(1ms);
  }
}

// A peer that takes a little at a time makes room only now and then, and is not cut off.
WEFT_MATRIX_TEST(WriteStall, SparesAPeerThatIsSlow) {
  Ends ends(4096);
  EXPECT_FALSE(ends.conn.set_write_stall_timeout(2s));
  const auto done = weft::make_chan<weft::IoResult>(1);
  // The queue is full from here on, and there is room in it once a third of it is empty.
  const std::string large(16 << 20, 'x');
  ends.conn.set_write_deadline(weft::now() + 300ms);
  EXPECT_TRUE(ends.conn.write(large).ec == Condition::deadline_exceeded);
  ends.conn.set_write_deadline(weft::kNoDeadline);
  EXPECT_FALSE(ends.conn.set_write_stall_timeout(800ms));
  weft::go([conn = ends.conn, done] { done.send(conn.write("x")); });
  const auto start = std::chrono::steady_clock::now();
  std::optional<weft::IoResult> result;
  for (; !result && std::chrono::steady_clock::now() - start < 2500ms; result = done.try_recv()) {
    ends.peer.take(2000);
    weft::sleep(20ms);
  }
  EXPECT_FALSE(result && result->ec) << "after "
                                     << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ends.peer.reset();
  if (!result) done.recv();
}

// The time that passes between two writes counts for neither.
WEFT_MATRIX_TEST(WriteStall, CountsOnlyWhileAWriteWaits) {
  Ends ends(4096);
  EXPECT_FALSE(ends.conn.set_write_stall_timeout(400ms));
  const std::string piece(100'000, 'x');
  std::atomic<std::size_t> taken{0};
  weft::WaitGroup reader;
  std::atomic<bool> over{false};
  reader.go([&] {
    while (!over.load(std::memory_order_relaxed)) {
      taken.fetch_add(ends.peer.take(1 << 16), std::memory_order_relaxed);
      weft::sleep(100us);
    }
  });
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(ends.conn.write(piece).ec);
    weft::sleep(500ms);
  }
  EXPECT_TRUE(eventually([&] { return taken.load(std::memory_order_relaxed) == 300'000; }));
  over.store(true, std::memory_order_relaxed);
  reader.wait();
}

}  // namespace
