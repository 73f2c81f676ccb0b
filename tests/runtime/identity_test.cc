#include "weft/go.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/matrix.h"
#include "support/parked.h"
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

// Two kinds of goroutines take turns in the same slots; no snapshot shows one's id with the other's creator.
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

}  // namespace
}  // namespace weft
