#include "weft/go.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/src/sched/stack_pool.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

std::optional<GoroutineInfo> info_of(std::uint64_t id) {
  for (const GoroutineInfo& g : goroutines()) {
    if (g.id == id) return g;
  }
  return std::nullopt;
}

void expect_here(const SourceLocation& where, std::uint32_t line) {
  EXPECT_TRUE(std::string_view(where.file).ends_with("identity_test.cc")) << where.file;
  EXPECT_FALSE(std::string_view(where.function).empty());
  EXPECT_EQ(where.line, line);
}

WEFT_PROCS_TEST(Identity, MainHasNoCreator) {
  const auto main = info_of(this_goroutine::id());
  ASSERT_TRUE(main);
  EXPECT_FALSE(main->creator);
  EXPECT_EQ(main->parent_id, 0u);
}

WEFT_PROCS_TEST(Identity, NamesTheLineThatCalledGo) {
  auto release = make_chan<int>();
  auto ids = make_chan<std::uint64_t>();
  auto body = [=]() mutable {
    ids.send(this_goroutine::id());
    release.recv();
  };
  struct Large {
    std::array<char, 2 * detail::kMaxInlineClosure> bytes{};
  };
  WaitGroup group;

  const std::uint32_t line = __LINE__;
  go(body);
  const auto small = info_of(*ids.recv());
  go([=, large = Large()]() mutable { body(); });
  const auto large = info_of(*ids.recv());
  group.go(body);
  const auto grouped = info_of(*ids.recv());
  release.close();
  group.wait();

  ASSERT_TRUE(small && large && grouped);
  expect_here(small->creator, line + 1);
  expect_here(large->creator, line + 3);
  expect_here(grouped->creator, line + 5);
  EXPECT_EQ(small->parent_id, this_goroutine::id());
}

SourceLocation passed_on(SourceLocation where = SourceLocation::current()) { return where; }

WEFT_PROCS_TEST(Identity, TakesALocationThatIsPassedOn) {
  auto id = make_chan<std::uint64_t>();
  auto release = make_chan<int>();
  const SourceLocation where = passed_on();
  go(
      [=]() mutable {
        id.send(this_goroutine::id());
        release.recv();
      },
      where);
  const auto info = info_of(*id.recv());
  release.close();
  ASSERT_TRUE(info);
  expect_here(info->creator, where.line);
  EXPECT_STREQ(info->creator.function, where.function);
}

// Two kinds of goroutines take turns in the same slots. No snapshot shows the id of one with the creator of the other.
WEFT_PROCS_TEST(Identity, SnapshotsNeverMixTwoGoroutines) {
  constexpr int kRounds = 200;
  const SourceLocation odd{"odd", "odd", 1};
  const SourceLocation even{"even", "even", 2};
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load(std::memory_order_relaxed)) {
      for (const GoroutineInfo& g : goroutines()) {
        if (std::string_view(g.creator.file) == "odd") {
          EXPECT_EQ(g.creator.line, 1u);
          EXPECT_STREQ(g.creator.function, "odd");
        } else if (std::string_view(g.creator.file) == "even") {
          EXPECT_EQ(g.creator.line, 2u);
          EXPECT_STREQ(g.creator.function, "even");
        }
      }
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    WaitGroup group;
    for (int i = 0; i < 20; ++i) group.go([] { yield(); }, (round + i) % 2 == 0 ? even : odd);
    group.wait();
  }
  done.store(true, std::memory_order_relaxed);
  reader.join();
}

TEST(Labels, AreASortedSetOfWhichTheLastCounts) {
  const Labels labels{{"b", "1"}, {"a", "2"}, {"b", "3"}, {"c", ""}, {"a", "4"}};
  const std::vector<Label> expected = {{"a", "4"}, {"b", "3"}, {"c", ""}};
  EXPECT_EQ(std::vector<Label>(labels.begin(), labels.end()), expected);
  EXPECT_EQ(labels.get("b"), "3");
  EXPECT_EQ(labels.get("c"), "");
  EXPECT_EQ(labels.get("d"), std::nullopt);
  EXPECT_EQ(labels, (Labels{{"c", ""}, {"b", "3"}, {"a", "4"}}));
  EXPECT_NE(labels, Labels());
  EXPECT_TRUE(Labels().empty());
  EXPECT_EQ(Labels().size(), 0u);
  EXPECT_EQ(Labels(std::initializer_list<Label>{}), Labels());
}

TEST(Labels, WithAddsAndReplaces) {
  const Labels base{{"a", "1"}, {"b", "1"}};
  EXPECT_EQ(base.with({{"b", "2"}, {"c", "2"}}), (Labels{{"a", "1"}, {"b", "2"}, {"c", "2"}}));
  EXPECT_EQ(base.with({}), base);
  EXPECT_EQ(Labels().with(base), base);
  EXPECT_EQ(base.get("b"), "1");
}

TEST(Labels, OutliveTheirFirstOwner) {
  Labels copy;
  {
    const Labels labels{{"k", std::string(100, 'v')}};
    copy = labels;
  }
  Labels moved = std::move(copy);
  EXPECT_EQ(moved.get("k"), std::string(100, 'v'));
}

TEST(Labels, PlainThreadsCarryNone) {
  EXPECT_EQ(with_labels({{"k", "v"}}, [] { return this_goroutine::labels().size(); }), 0u);
}

WEFT_PROCS_TEST(Labels, HoldWhileTheFunctionRuns) {
  EXPECT_TRUE(this_goroutine::labels().empty());
  int value = 0;
  int& result = with_labels({{"a", "1"}, {"b", "1"}}, [&]() -> int& {
    EXPECT_EQ(this_goroutine::labels(), (Labels{{"a", "1"}, {"b", "1"}}));
    with_labels({{"b", "2"}}, [] {
      yield();
      EXPECT_EQ(this_goroutine::labels(), (Labels{{"a", "1"}, {"b", "2"}}));
    });
    EXPECT_EQ(this_goroutine::labels().get("b"), "1");
    return value;
  });
  EXPECT_EQ(&result, &value);
  EXPECT_THROW(with_labels({{"a", "1"}}, [] { throw std::runtime_error("left"); }), std::runtime_error);
  EXPECT_TRUE(this_goroutine::labels().empty());
}

WEFT_PROCS_TEST(Labels, ChildrenInheritThemAndKeepThem) {
  auto ask = make_chan<int>();
  auto answer = make_chan<Labels>();
  const auto child = [=]() mutable {
    answer.send(this_goroutine::labels());
    ask.recv();
    answer.send(this_goroutine::labels());
  };
  with_labels({{"a", "1"}, {"b", "1"}}, [&] {
    go(child);
    EXPECT_EQ(*answer.recv(), (Labels{{"a", "1"}, {"b", "1"}}));
    go({.labels = {{"b", "2"}}}, child);
    EXPECT_EQ(*answer.recv(), (Labels{{"a", "1"}, {"b", "2"}}));
  });
  go(child);
  EXPECT_EQ(*answer.recv(), Labels());
  ask.close();
  std::size_t total = 0;
  for (int i = 0; i < 3; ++i) total += answer.recv()->size();
  EXPECT_EQ(total, 4u);
}

WEFT_PROCS_TEST(Labels, GoroutinesShowsThem) {
  auto id = make_chan<std::uint64_t>();
  auto release = make_chan<int>();
  WaitGroup group;
  group.add(1);
  go({.labels = {{"job", "index"}}}, [&, id, release]() mutable {
    id.send(this_goroutine::id());
    release.recv();
    this_goroutine::set_labels({{"job", "merge"}});
    id.send(this_goroutine::id());
    release.recv();
    group.done();
  });
  const std::uint64_t child = *id.recv();
  EXPECT_EQ(info_of(child)->labels, (Labels{{"job", "index"}}));
  release.send(1);
  id.recv();
  EXPECT_EQ(info_of(child)->labels, (Labels{{"job", "merge"}}));
  EXPECT_TRUE(info_of(this_goroutine::id())->labels.empty());
  release.send(1);
  group.wait();
}

// A dump may come at any moment while a goroutine changes its labels, starts others, and ends.
WEFT_PROCS_TEST(Labels, DumpsReadThemWhileTheyChange) {
  constexpr int kRounds = 100;
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load(std::memory_order_relaxed)) {
      for (const GoroutineInfo& g : goroutines()) {
        const auto key = g.labels.get("key");
        if (!g.labels.empty()) {
          EXPECT_TRUE(key && g.labels.get("same") == key);
        }
      }
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    WaitGroup group;
    for (int i = 0; i < 10; ++i) {
      group.go([&group, i] {
        const std::string value = "a value too long to be stored in place " + std::to_string(i);
        with_labels({{"key", value}, {"same", value}}, [&] {
          group.go([] { yield(); });
          yield();
        });
        this_goroutine::set_labels({{"key", value}, {"same", value}});
      });
    }
    group.wait();
  }
  done.store(true, std::memory_order_relaxed);
  reader.join();
}

// --- stacks of another size ------------------------------------------------------------------------------------------

// Touches about that many bytes of stack.
[[gnu::noinline]] std::size_t touch(std::size_t bytes) {
  volatile char page[4096];
  page[0] = 1;
  page[sizeof(page) - 1] = 1;
  const std::size_t below = bytes > sizeof(page) ? touch(bytes - sizeof(page)) : 0;
  return below + static_cast<std::size_t>(page[0]);
}

WEFT_PROCS_TEST(StackSize, IsEachGoroutinesOwn) {
  constexpr std::size_t kLarge = std::size_t{4} << 20;
  for (int round = 0; round < 20; ++round) {
    WaitGroup group;
    group.add(3);
    go({.stack_size = kLarge}, [&] {
      EXPECT_GT(touch(kLarge / 2), 0u);
      go([&] { group.done(); });  // the usual size again
      group.done();
    });
    go({.stack_size = 1}, [&] {
      yield();
      group.done();
    });
    group.wait();
  }
  // The stacks came back to their pool, because one goroutine at a time needs one.
  while (goroutine_count() > 1) yield();
  EXPECT_LE(rt::stack_pool(kLarge).size(), 20u);
}

WEFT_PROCS_TEST(StackSize, EverySizeShowsInDumps) {
  auto id = make_chan<std::uint64_t>();
  auto release = make_chan<int>();
  go({.labels = {{"stack", "large"}}, .stack_size = 1 << 20}, [=]() mutable {
    id.send(this_goroutine::id());
    release.recv();
  });
  const auto info = info_of(*id.recv());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->labels.get("stack"), "large");
  release.close();
}

}  // namespace
}  // namespace weft
