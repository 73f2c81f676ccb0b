#include "weft/context.h"

#include <gtest/gtest.h>

#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/src/context/hook.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/go.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::wait_until_parked;
using Clock = std::chrono::steady_clock;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

bool closed(const Context& context) { return context.done().try_recv().closed; }

struct UserName : ContextKey<std::string> {};
struct OtherName : ContextKey<std::string> {};
struct RequestId {
  int value;
};

// --- roots and values ---

TEST(Context, BackgroundNeverEnds) {
  for (const Context& context : {background(), todo(), Context()}) {
    EXPECT_FALSE(context.done());
    EXPECT_FALSE(context.err());
    EXPECT_FALSE(cause(context));
    EXPECT_FALSE(context.deadline());
    EXPECT_EQ(context.value<UserName>(), nullptr);
  }
  CancelFunc()();
  CancelCauseFunc()({});
  EXPECT_FALSE(StopFunc()());
}

TEST(Context, NearestValueWins) {
  const Context a = with_value<UserName>(background(), "ann");
  const Context b = with_value<OtherName>(a, "bob");
  const auto [c, cancel] = with_cancel(b);
  const Context d = with_value<UserName>(c, "dora");
  const Context e = with_value<RequestId>(d, {7});
  EXPECT_EQ(*a.value<UserName>(), "ann");
  EXPECT_EQ(a.value<OtherName>(), nullptr);
  EXPECT_EQ(*c.value<UserName>(), "ann");
  EXPECT_EQ(*e.value<UserName>(), "dora");
  EXPECT_EQ(*e.value<OtherName>(), "bob");
  EXPECT_EQ(e.value<RequestId>()->value, 7);
}

TEST(Context, WithoutCancelKeepsValuesOnly) {
  const auto [parent, cancel] = with_cancel_cause(with_value<UserName>(background(), "ann"));
  const Context detached = without_cancel(parent);
  const auto [child, cancel_child] = with_cancel(detached);
  cancel(Error::text("because"));
  EXPECT_FALSE(detached.done());
  EXPECT_FALSE(detached.err());
  EXPECT_FALSE(cause(detached));
  EXPECT_EQ(*detached.value<UserName>(), "ann");
  EXPECT_FALSE(child.err());
  EXPECT_TRUE(without_cancel(background()) == background());
}

// --- cancelling ---

WEFT_PROCS_TEST(Context, CancelReachesAllDescendantsBeforeItReturns) {
  const auto [above, cancel_above] = with_cancel(background());
  const auto [root, cancel] = with_cancel_cause(above);
  std::vector<Context> below;
  for (int i = 0; i < 3; ++i) {
    const auto [a, cancel_a] = with_cancel(root);
    const auto [b, cancel_b] = with_timeout(with_value<RequestId>(a, {i}), 1h);
    const auto [c, cancel_c] = with_cancel_cause(b);
    below.insert(below.end(), {a, b, c});
  }
  const auto [sibling_root, cancel_sibling] = with_cancel(above);
  const auto [sibling, cancel_its_child] = with_cancel(sibling_root);
  EXPECT_FALSE(root.err());
  EXPECT_FALSE(closed(root));
  const RecvChan<std::monostate> made_before = below[0].done();

  cancel(Error::text("shutting down"));
  EXPECT_TRUE(made_before.try_recv().closed);
  EXPECT_TRUE(made_before == below[0].done());
  for (const Context& context : below) {
    EXPECT_EQ(context.err(), Errc::canceled);
    EXPECT_EQ(context.err().message(), "context canceled");
    EXPECT_EQ(cause(context).message(), "shutting down");
    EXPECT_TRUE(closed(context));
  }
  for (const Context& context : {above, sibling_root, sibling}) {
    EXPECT_FALSE(context.err());
    EXPECT_FALSE(closed(context));
  }

  cancel(Error::text("again"));
  EXPECT_EQ(cause(root).message(), "shutting down");
  EXPECT_EQ(runtime_stats().timers, 0u);  // stopped together with their contexts
}

TEST(Context, AChildsEndIsItsOwn) {
  const auto [parent, cancel_parent] = with_cancel(background());
  const auto [one, cancel_one] = with_cancel_cause(parent);
  const auto [two, cancel_two] = with_cancel(parent);
  cancel_one(Error::text("one"));
  EXPECT_TRUE(one.err());
  EXPECT_FALSE(parent.err());
  EXPECT_FALSE(two.err());
  cancel_parent();
  EXPECT_EQ(cause(one).message(), "one");
  EXPECT_EQ(cause(two), Errc::canceled);

  const auto [late, cancel_late] = with_cancel(one);  // cancelled from the start
  EXPECT_EQ(late.err(), Errc::canceled);
  EXPECT_EQ(cause(late).message(), "one");
  EXPECT_TRUE(closed(late));
  const auto [no_cause, cancel_no_cause] = with_cancel_cause(background());
  cancel_no_cause({});
  EXPECT_EQ(cause(no_cause), Errc::canceled);
}

WEFT_PROCS_TEST(Context, DoneWakesWhoeverWaits) {
  const auto [parent, cancel] = with_cancel(background());
  WaitGroup group;
  std::atomic<int> woken{0};
  for (int i = 0; i < 100; ++i) {
    group.go([&, ctx = with_cancel(parent).first] {
      EXPECT_FALSE(ctx.done().recv());
      EXPECT_TRUE(ctx.err());
      ++woken;
    });
  }
  ASSERT_TRUE(wait_until_parked(100, "chan receive"));
  EXPECT_EQ(woken, 0);
  cancel();
  group.wait();
  EXPECT_EQ(woken, 100);
}

WEFT_PROCS_TEST(Context, ChildrenThatComeAndGoLeaveNothingBehind) {
  const auto [parent, cancel] = with_cancel(background());
  const auto churn = [&above = parent](int n) {
    for (int i = 0; i < n; ++i) {
      auto [child, cancel_child] = with_timeout(above, 1h);
      if (i % 2 == 0) cancel_child();  // otherwise it ends without being cancelled
    }
  };
  churn(1000);
  const auto before = ::mallinfo2().uordblks;
  churn(kSanitized ? 20'000 : 1'000'000);
  EXPECT_LE(::mallinfo2().uordblks, before + 64 * 1024);
  EXPECT_EQ(runtime_stats().timers, 0u);
}

// Returns how many bytes of this process are in memory.
std::size_t resident() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t pages = 0;
  statm >> size >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Several goroutines do the same at once, with done channels, functions, and goroutines that watch.
WEFT_PROCS_TEST(Context, ChildrenOfManyGoroutinesLeaveNothingBehind) {
  constexpr int kGoroutines = 8;
  const auto [parent, cancel] = with_cancel(background());
  std::atomic<int> stopped{0};
  const auto churn = [&, &above = parent](int n) {
    WaitGroup group;
    for (int g = 0; g < kGoroutines; ++g) {
      group.go([&, n] {
        for (int i = 0; i < n / kGoroutines; ++i) {
          auto [child, cancel_child] = with_cancel(above);
          if (i % 16 == 0) {
            const auto [grandchild, cancel_grandchild] = with_timeout(with_value<RequestId>(child, {i}), 1h);
            const StopFunc stop = after_func(grandchild, [] {});
            static_cast<void>(grandchild.done());
            if (i % 32 == 0 && stop()) ++stopped;
          }
          if (i % 4 != 3) cancel_child();
          if (i % 4 == 0) {
            EXPECT_TRUE(child.err());
          }
        }
      });
    }
    group.wait();
    // What after_func started has ended, too.
    EXPECT_TRUE(testing::eventually([] { return goroutine_count() == 1; }));
  };
  churn(kSanitized ? 2000 : 100'000);
  const auto before = ::mallinfo2().uordblks;
  const std::size_t resident_before = resident();
  churn(kSanitized ? 20'000 : 1'000'000);
  EXPECT_GT(stopped, 0);
  EXPECT_FALSE(parent.err());
  EXPECT_EQ(runtime_stats().timers, 0u);
  // A child that stayed would take a hundred bytes or more, and a million of them a hundred MiB.
  EXPECT_LE(::mallinfo2().uordblks, before + 1024 * 1024);
  if (!kSanitized) {
    EXPECT_LE(resident(), resident_before + 16 * 1024 * 1024);
  }
}

// --- deadlines ---

WEFT_PROCS_TEST(Context, DeadlineExpires) {
  const auto start = Clock::now();
  const auto [ctx, cancel] = with_timeout(background(), 20ms);
  const auto [child, cancel_child] = with_cancel(ctx);
  EXPECT_EQ(child.deadline(), ctx.deadline());
  EXPECT_TRUE(!ctx.err() || Clock::now() - start >= 20ms);
  child.done().recv();
  EXPECT_GE(Clock::now() - start, 20ms);
  for (const Context& context : {ctx, child}) {
    EXPECT_EQ(context.err(), Errc::context_deadline_exceeded);
    EXPECT_EQ(context.err(), Condition::deadline_exceeded);
    EXPECT_EQ(context.err().message(), "context deadline exceeded");
    EXPECT_EQ(cause(context), Errc::context_deadline_exceeded);
  }
  cancel();
  EXPECT_EQ(ctx.err(), Errc::context_deadline_exceeded);
}

WEFT_PROCS_TEST(Context, AParentsEarlierDeadlineStays) {
  const auto soon = Clock::now() + 1h;
  const auto [parent, cancel] = with_deadline(background(), soon);
  const auto [later, cancel_later] = with_deadline_cause(parent, soon + 1h, Error::text("never"));
  EXPECT_EQ(later.deadline(), soon);
  const auto [sooner, cancel_sooner] = with_deadline(parent, soon - 1min);
  EXPECT_EQ(sooner.deadline(), soon - 1min);
  EXPECT_EQ(runtime_stats().timers, 2u);
  const auto [unbounded, cancel_unbounded] = with_timeout(background(), std::chrono::nanoseconds::max());
  EXPECT_FALSE(unbounded.deadline());
  EXPECT_FALSE(unbounded.err());
  cancel();
  EXPECT_EQ(later.err(), Errc::canceled);
  EXPECT_EQ(sooner.err(), Errc::canceled);
}

// The deadline is exact to the nanosecond, by the clock of a bubble.
WEFT_PROCS_TEST(Context, ALaterDeadlineIsTheParentsInAllItSays) {
  weft::testing::bubble([] {
    const auto start = now();
    const auto [parent, cancel] = with_timeout_cause(background(), 1h, Error::text("the hour is over"));
    const auto [child, cancel_child] = with_timeout_cause(parent, 2h, Error::text("never"));
    const auto [sooner, cancel_sooner] = with_timeout(child, 1h - 1ns);
    EXPECT_EQ(child.deadline(), start + 1h);
    sleep(1h - 2ns);
    weft::testing::wait();
    EXPECT_FALSE(sooner.err());
    sleep(1ns);
    weft::testing::wait();
    EXPECT_EQ(sooner.err(), Errc::context_deadline_exceeded);
    EXPECT_EQ(cause(sooner), Errc::context_deadline_exceeded);
    EXPECT_FALSE(child.err());
    child.done().recv();
    EXPECT_EQ(now() - start, 1h);
    for (const Context& context : {parent, child}) {
      EXPECT_EQ(context.err().message(), "context deadline exceeded");
      EXPECT_EQ(context.err(), Condition::deadline_exceeded);  // Go's Timeout() tells the same
      EXPECT_FALSE(context.err() == Condition::canceled);
      EXPECT_EQ(cause(context).message(), "the hour is over");
    }
  });
}

WEFT_PROCS_TEST(Context, APastDeadlineIsExceededAtOnce) {
  const auto [ctx, cancel] = with_deadline_cause(background(), Clock::now() - 1s, Error::text("too late"));
  EXPECT_EQ(ctx.err(), Errc::context_deadline_exceeded);
  EXPECT_EQ(cause(ctx).message(), "too late");
  EXPECT_TRUE(closed(ctx));
  const auto [zero, cancel_zero] = with_timeout(background(), 0ms);
  EXPECT_EQ(zero.err(), Errc::context_deadline_exceeded);
  const auto [parent, cancel_parent] = with_cancel(background());
  cancel_parent();
  const auto [first, cancel_first] = with_timeout(parent, -1s);  // the parent ended first
  EXPECT_EQ(first.err(), Errc::canceled);
}

WEFT_PROCS_TEST(Context, CauseOfExpiryComesWithExpiryOnly) {
  const auto [expired, cancel_expired] = with_timeout_cause(background(), 1ms, Error::text("slow disk"));
  expired.done().recv();
  EXPECT_EQ(cause(expired).message(), "slow disk");
  EXPECT_EQ(expired.err(), Errc::context_deadline_exceeded);
  const auto [cancelled, cancel] = with_timeout_cause(background(), 1h, Error::text("slow disk"));
  cancel();
  EXPECT_EQ(cause(cancelled), Errc::canceled);
}

// The last handle ends, or the context is cancelled, while its timer fires.
WEFT_PROCS_TEST(Context, ExpiryMeetsCancelAndDestruction) {
  for (int i = 0; i < (kSanitized ? 200 : 2000); ++i) {
    auto [ctx, cancel] = with_timeout(background(), std::chrono::microseconds(i % 60));
    auto [child, cancel_child] = with_timeout(ctx, 1h);
    const auto until = Clock::now() + std::chrono::microseconds(30);
    while (Clock::now() < until) yield();
    if (i % 3 == 0) cancel();
    if (i % 3 == 1) {
      EXPECT_FALSE(child.done().recv());
      EXPECT_EQ(child.err(), Condition::deadline_exceeded);
    }
  }
}

// --- trees ---

TEST(Context, DeepAndWideTreesNeedNoStack) {
  std::size_t gone = 0;
  struct Count {
    explicit Count(std::size_t* n) : counter(n) {}
    Count(Count&& other) noexcept : counter(std::exchange(other.counter, nullptr)) {}
    ~Count() {
      if (counter != nullptr) ++*counter;
    }
    std::size_t* counter;
  };
  constexpr std::size_t kDepth = 100'000;
  EXPECT_EQ(run([&] {
              auto [root, cancel] = with_cancel(background());
              std::vector<Context> leaves;
              Context deep = root;
              for (std::size_t i = 0; i < kDepth; ++i) {
                deep = with_value<Count>(with_cancel(deep).first, Count(&gone));
                if (i % 1000 == 0) leaves.push_back(with_cancel(deep).first);
              }
              cancel();
              EXPECT_EQ(deep.err(), Errc::canceled);
              for (const Context& leaf : leaves) EXPECT_EQ(leaf.err(), Errc::canceled);
              leaves.clear();
              EXPECT_EQ(gone, 0u);
              deep = background();
              EXPECT_EQ(gone, kDepth);
            }),
            0);
}

// Goroutines build, cancel and drop parts of one tree. Whoever cancelled a context finds everything below it done, also
// when others were cancelling parts of it.
WEFT_PROCS_TEST(Context, CancelsOfOneTreeMeet) {
  for (int round = 0; round < (kSanitized ? 20 : 200); ++round) {
    struct Node {
      Context context;
      CancelFunc cancel;
      std::size_t parent;
    };
    std::mt19937 random(static_cast<unsigned>(round));
    std::vector<Node> tree;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::size_t parent = i == 0 ? 0 : random() % i;
      auto [context, cancel] = i % 4 == 3 ? with_timeout(tree[parent].context, 1h)
                                          : with_cancel(i == 0 ? background() : tree[parent].context);
      tree.push_back({std::move(context), std::move(cancel), parent});
    }
    WaitGroup group;
    for (std::size_t g = 0; g < 8; ++g) {
      const std::size_t start = random() % (g == 0 ? 1 : 16);
      group.go([&tree, start] {
        tree[start].cancel();
        for (std::size_t i = 0; i < tree.size(); ++i) {
          std::size_t up = i;
          while (up > start) up = tree[up].parent;
          const bool below = up == start;
          EXPECT_TRUE(!below || (tree[i].context.err() && closed(tree[i].context))) << i << " below " << start;
        }
      });
      group.go([context = with_cancel(tree[random() % tree.size()].context).first] {
        auto [mine, cancel] = with_cancel(context);
        yield();
        if (!mine.err()) cancel();
      });
    }
    group.wait();
  }
}

// Tests the same without relying on luck: a cancel() of the root comes to a child that somebody else is just
// cancelling.
WEFT_PROCS_TEST(Context, CancelWaitsForAnotherBelowIt) {
  auto [root, cancel_root] = with_cancel(background());
  auto [child, cancel_child] = with_cancel(root);
  auto [grandchild, cancel_grandchild] = with_cancel(child);
  struct Shared {
    std::atomic<bool> running{false};
    std::atomic<bool> may_end{false};
  } shared;
  rt::DoneHook hook(
      [](void* arg) noexcept {
        auto* const s = static_cast<Shared*>(arg);
        s->running = true;
        while (!s->may_end) std::this_thread::yield();
      },
      &shared);
  ASSERT_TRUE(hook.attach(child));
  std::thread other([cancel = cancel_child] { cancel(); });
  while (!shared.running) yield();
  EXPECT_FALSE(grandchild.err());
  WaitGroup group;
  for (const CancelFunc& cancel : {cancel_root, cancel_child}) {
    group.go([&youngest = grandchild, cancel] {
      cancel();
      EXPECT_TRUE(youngest.err());
    });
  }
  ASSERT_TRUE(wait_until_parked(2, "semacquire"));
  shared.may_end = true;
  group.wait();
  other.join();
  EXPECT_FALSE(hook.detach());
}

// To drop the last handle of a cancelled child may run a user's destructor inside the parent's cancel(). That
// destructor may cancel again.
WEFT_PROCS_TEST(Context, ADestructorMayCancel) {
  struct Canceller {
    explicit Canceller(CancelFunc f) : cancel(std::move(f)) {}
    Canceller(Canceller&&) = default;
    ~Canceller() { cancel(); }
    CancelFunc cancel;
  };
  for (int i = 0; i < 200; ++i) {
    auto [root, cancel] = with_cancel(background());
    // A chain of two contexts below the root. The middle one holds the root's CancelFunc, and is dropped while the root
    // is being cancelled.
    auto holder = std::make_unique<Context>(with_cancel(with_value<Canceller>(root, Canceller(cancel))).first);
    WaitGroup group;
    group.go([end = cancel] { end(); });
    group.go([&] { holder.reset(); });
    group.wait();
    EXPECT_TRUE(root.err());
  }
}

// --- after_func ---

WEFT_PROCS_TEST(Context, AfterFuncRunsInItsOwnGoroutine) {
  auto [ctx, cancel] = with_cancel(background());
  const auto ran = make_chan<std::uint64_t>(2);
  const StopFunc one = after_func(ctx, [ran] { ran.send(this_goroutine::id()); });
  const StopFunc two = after_func(with_value<RequestId>(ctx, {1}), [ran] { ran.send(this_goroutine::id()); });
  yield();
  EXPECT_EQ(ran.size(), 0u);
  cancel();
  const auto a = ran.recv();
  const auto b = ran.recv();
  EXPECT_NE(a, b);
  EXPECT_NE(a, this_goroutine::id());
  EXPECT_FALSE(one());
  EXPECT_FALSE(two());
  const StopFunc late = after_func(ctx, [ran] { ran.send(0); });  // already done, so it runs at once
  EXPECT_EQ(ran.recv(), 0u);
  EXPECT_FALSE(late());
}

WEFT_PROCS_TEST(Context, AfterFuncCanBeStopped) {
  std::atomic<int> runs{0};
  auto captured = std::make_shared<int>(0);
  auto [ctx, cancel] = with_timeout(background(), 1h);
  const StopFunc stop = after_func(ctx, [&runs, captured, context = ctx] { ++runs; });
  const StopFunc keep = after_func(ctx, [&runs] { runs += 10; });
  EXPECT_EQ(captured.use_count(), 2);
  EXPECT_TRUE(stop());
  EXPECT_EQ(captured.use_count(), 1);  // stopped functions are destroyed
  EXPECT_FALSE(stop());
  cancel();
  while (runs == 0) yield();
  EXPECT_EQ(runs, 10);
  EXPECT_FALSE(keep());

  const StopFunc never = after_func(background(), [captured] {});
  const StopFunc copy = never;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_TRUE(never());
  EXPECT_FALSE(copy());
  EXPECT_EQ(captured.use_count(), 1);
  {
    const auto dropped = after_func(with_cancel(background()).first, [captured] {});
  }
  EXPECT_EQ(captured.use_count(), 1);  // destroyed with its context
}

WEFT_PROCS_TEST(Context, StopMeetsCancel) {
  for (int i = 0; i < (kSanitized ? 200 : 2000); ++i) {
    auto [ctx, cancel] = with_cancel(background());
    std::atomic<int> outcomes{0};
    WaitGroup group;
    group.add(1);  // for the function, or for whoever stopped it
    const StopFunc stop = after_func(ctx, [&] {
      ++outcomes;
      group.done();
    });
    group.go([end = cancel] { end(); });
    group.go([&] {
      if (!stop()) return;
      outcomes += 100;
      group.done();
    });
    group.wait();
    EXPECT_TRUE(outcomes == 1 || outcomes == 100) << outcomes;
  }
}

// A stopped function never runs, whatever ends the context later. The function beside it runs, at its time.
WEFT_PROCS_TEST(Context, AStoppedFunctionNeverRuns) {
  weft::testing::bubble([] {
    const auto [ctx, cancel] = with_timeout(background(), 1h);
    int stopped_runs = 0;
    int runs = 0;
    const StopFunc stop = after_func(ctx, [&] { ++stopped_runs; });
    after_func(ctx, [&] { ++runs; });
    sleep(1h - 1ns);
    EXPECT_TRUE(stop());
    weft::testing::wait();
    EXPECT_EQ(runs, 0);
    sleep(1h);
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(stopped_runs, 0);
    EXPECT_FALSE(stop());
  });
}

// --- names ---

WEFT_PROCS_TEST(Context, NamesTellHowItWasMade) {
  EXPECT_EQ(to_string(background()), "context.Background");
  EXPECT_EQ(to_string(with_cancel(background()).first), "context.Background.WithCancel");
  weft::testing::bubble([] {
    const Context named = with_value<UserName>(background(), "ann");
    const auto [ctx, cancel] = with_timeout(named, 90s);
    const auto [later, cancel_later] = with_timeout(ctx, 1h);  // keeps the earlier deadline above it
    const Context last = with_value<RequestId>(without_cancel(with_cancel_cause(later).first), {7});
    sleep(88500ms);
    EXPECT_EQ(to_string(last),
              "context.Background.WithValue(weft::(anonymous namespace)::UserName)"
              ".WithDeadline(m=+946684890.000000000 [1.5s]).WithCancel.WithCancel.WithoutCancel"
              ".WithValue(weft::(anonymous namespace)::RequestId)");

    const auto remaining_of = [](std::chrono::nanoseconds timeout) {
      const std::string text = to_string(with_timeout(background(), timeout).first);
      const std::size_t begin = text.find('[') + 1;
      return text.substr(begin, text.find(']') - begin);
    };
    EXPECT_EQ(remaining_of(0ns), "0s");
    EXPECT_EQ(remaining_of(7ns), "7ns");
    EXPECT_EQ(remaining_of(1500ns), "1.5\u00b5s");
    EXPECT_EQ(remaining_of(20ms), "20ms");
    EXPECT_EQ(remaining_of(1min), "1m0s");
    EXPECT_EQ(remaining_of(100h + 1ns), "100h0m0.000000001s");
    EXPECT_EQ(remaining_of(-1500ms), "-1.5s");
    EXPECT_EQ(remaining_of(std::chrono::nanoseconds::min()), "-2562047h47m16.854775808s");
  });
  Context deep;
  for (int i = 0; i < 100'000; ++i) deep = with_value<RequestId>(deep, {i});
  EXPECT_EQ(to_string(deep).size(),
            std::string("context.Background").size() +
                100'000 * std::string(".WithValue(weft::(anonymous namespace)::RequestId)").size());
}

// --- hooks ---

WEFT_PROCS_TEST(DoneHook, RunsOnceInTheCanceller) {
  auto [ctx, cancel] = with_cancel(background());
  struct Seen {
    Context context;
    int runs = 0;
    std::uint64_t goroutine = 0;
  } seen{ctx};
  rt::DoneHook hook(
      [](void* arg) noexcept {
        auto* const s = static_cast<Seen*>(arg);
        ++s->runs;
        s->goroutine = this_goroutine::id();
        EXPECT_TRUE(closed(s->context));
      },
      &seen);
  EXPECT_TRUE(hook.attach(ctx));
  EXPECT_TRUE(hook.detach());
  EXPECT_TRUE(hook.attach(ctx));
  cancel();
  EXPECT_EQ(seen.runs, 1);
  EXPECT_EQ(seen.goroutine, this_goroutine::id());
  EXPECT_FALSE(hook.detach());
  EXPECT_FALSE(hook.attach(ctx));
  EXPECT_TRUE(hook.attach(background()));
  EXPECT_TRUE(hook.detach());
  EXPECT_EQ(seen.runs, 1);
}

WEFT_PROCS_TEST(DoneHook, DetachWaitsForARunningCallback) {
  struct Shared {
    std::atomic<bool> running{false};
    std::atomic<bool> may_end{false};
    std::atomic<bool> ended{false};
  } shared;
  auto [ctx, cancel] = with_cancel(background());
  rt::DoneHook hook(
      [](void* arg) noexcept {
        auto* const s = static_cast<Shared*>(arg);
        s->running = true;
        while (!s->may_end) std::this_thread::yield();
        s->ended = true;
      },
      &shared);
  ASSERT_TRUE(hook.attach(ctx));
  std::thread canceller([end = cancel] { end(); });
  while (!shared.running) yield();
  WaitGroup group;
  group.go([&] {
    EXPECT_FALSE(hook.detach());
    EXPECT_TRUE(shared.ended);
  });
  ASSERT_TRUE(wait_until_parked(1, "semacquire"));
  shared.may_end = true;
  group.wait();
  canceller.join();
}

WEFT_PROCS_TEST(DoneHook, DetachMeetsCancel) {
  for (int i = 0; i < (kSanitized ? 300 : 3000); ++i) {
    auto [ctx, cancel] = with_cancel(background());
    WaitGroup group;
    for (int g = 0; g < 3; ++g) {
      group.go([context = ctx] {
        int runs = 0;  // on this stack: a callback after detach() would be a use after return
        rt::DoneHook hook([](void* arg) noexcept { ++*static_cast<int*>(arg); }, &runs);
        if (!hook.attach(context)) return;
        yield();
        const bool kept_from_running = hook.detach();
        EXPECT_EQ(kept_from_running, runs == 0);
      });
    }
    group.go([end = cancel] { end(); });
    group.wait();
  }
}

}  // namespace
}  // namespace weft
