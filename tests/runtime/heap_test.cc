// A runtime that has nothing to do gives back what the allocator keeps of memory that was freed.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <memory>
#include <vector>

#include "runtime/src/sched/constants.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

constexpr std::size_t kMiB = 1024 * 1024;

[[maybe_unused]] std::size_t resident() {
  std::size_t size = 0;
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> size >> pages;
  return pages * 4096;
}

// Small blocks from several goroutines. The last one stays, so the allocator can't give the memory back by itself.
[[maybe_unused]] std::vector<std::unique_ptr<char[]>> allocate_and_free() {
  constexpr std::size_t kBlock = 1024;
  constexpr std::size_t kBlocks = 16 * kMiB / kBlock;
  std::vector<std::unique_ptr<char[]>> kept(4);
  weft::WaitGroup group;
  for (auto& last : kept) {
    group.go([&last] {
      std::vector<std::unique_ptr<char[]>> blocks;
      for (std::size_t i = 0; i < kBlocks; ++i) blocks.push_back(std::make_unique<char[]>(kBlock));
      last = std::make_unique<char[]>(kBlock);
    });
  }
  group.wait();
  return kept;
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // they bring an allocator of their own

WEFT_PROCS_TEST(Heap, GoesBackWhenThereIsNothingToDo) {
  const std::size_t before = resident();
  const auto kept = allocate_and_free();
  EXPECT_GT(resident(), before + 32 * kMiB);
  const auto end = weft::testing::patience_end();
  while (resident() > before + 16 * kMiB && std::chrono::steady_clock::now() < end)
    weft::sleep(std::chrono::nanoseconds(2 * weft::rt::kReleaseAfter));
  EXPECT_LT(resident(), before + 16 * kMiB);
}

#endif

}  // namespace
