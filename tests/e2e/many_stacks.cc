// The program that guards_test.py runs.
//
//   many_stacks park N      N goroutines wait at the same time; prints how many mappings they took, and lets them go
//   many_stacks fill        takes every mapping that is left, and then wants a stack of a size of which none is pooled
//   many_stacks overflow    a goroutine calls itself without end
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#include "weft/chan.h"
#include "weft/go.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

long mappings() {
  std::ifstream maps("/proc/self/maps");
  long n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

int park(long goroutines) {
  const long before = mappings();
  const weft::Chan<int> gate = weft::make_chan<int>();
  std::atomic<long> released{0};
  weft::WaitGroup group;
  for (long i = 0; i < goroutines; ++i) {
    group.go([&gate, &released] {
      if (!gate.recv()) released.fetch_add(1, std::memory_order_relaxed);
    });
  }
  std::printf("%ld goroutines, %ld mappings\n", goroutines, mappings() - before);
  gate.close();
  group.wait();
  return released.load(std::memory_order_relaxed) == goroutines ? 0 : 1;
}

// Adjacent pages that differ stay separate mappings. This runs on a plain thread: a goroutine that is slow with it
// would lose its processor to another thread, and that thread needs mappings, too.
void take_every_mapping() {
  weft::go({.stack_size = 128 * 1024}, [] {});  // the first allocation here, for which the allocator takes mappings
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (long i = 0;; ++i) {
    const int protection = i % 2 == 0 ? PROT_NONE : PROT_READ;
    if (::mmap(nullptr, page, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) break;
  }
}

int fill() {
  std::thread([] {
    take_every_mapping();
    weft::go({.stack_size = 64 * 1024}, [] {});
    std::_Exit(1);
  }).detach();
  weft::sleep(std::chrono::hours(1));
  return 1;
}

// Recurses as deep as it is told. main asks for more than any stack holds.
[[gnu::noinline]] int recurses(int depth) {
  volatile char frame[256];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : recurses(depth - 1) + frame[0];
}

int overflow() {
  weft::go([] { static_cast<void>(recurses(1'000'000)); });
  weft::sleep(std::chrono::hours(1));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "park" && argc == 3) return weft::run([n = std::atol(argv[2])] { return park(n); });
  if (what == "fill" && argc == 2) return weft::run(fill);
  if (what == "overflow" && argc == 2) return weft::run(overflow);
  std::fputs("usage: many_stacks park N | fill | overflow\n", stderr);
  return 64;
}
