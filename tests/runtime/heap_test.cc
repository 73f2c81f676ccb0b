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

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // they bring an allocator of their own

constexpr std::size_t kMiB = 1024 * 1024;

std::size_t resident() {
  std::size_t size = 0;
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> size >> pages;
  return pages * 4096;
}

using Blocks = std::vector<std::unique_ptr<char[]>>;

// Four goroutines allocate 64 MiB in small blocks, and four others free them. A block of each stays, so the allocator
// can't give the memory back by itself.
WEFT_PROCS_TEST(Heap, GoesBackWhenThereIsNothingToDo) {
  constexpr std::size_t kBlock = 1024;
  std::vector<Blocks> all(4);
  weft::WaitGroup allocating;
  for (Blocks& blocks : all) {
    allocating.go([&blocks] {
      for (std::size_t i = 0; i < 16 * kMiB / kBlock; ++i) blocks.push_back(std::make_unique<char[]>(kBlock));
    });
  }
  allocating.wait();
  const std::size_t most = resident();
  ASSERT_GT(most, 64 * kMiB);
  weft::WaitGroup freeing;
  for (Blocks& blocks : all) {
    freeing.go([&blocks] { blocks.erase(blocks.begin(), blocks.end() - 1); });
  }
  freeing.wait();

  const auto end = weft::testing::patience_end();
  while (resident() > most - 48 * kMiB && std::chrono::steady_clock::now() < end)
    weft::sleep(std::chrono::nanoseconds(2 * weft::rt::kReleaseAfter));
  EXPECT_LT(resident(), most - 48 * kMiB);
}

#endif

}  // namespace
