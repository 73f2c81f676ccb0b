// Measures what a goroutine costs that waits on a channel and does nothing.
#include <weft/chan.h>
#include <weft/go.h>
#include <weft/time.h>
#include <weft/wait_group.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>

#include "bench.h"

namespace micro {
namespace {

// Returns a field of a file under /proc/self, in bytes.
std::int64_t proc_bytes(const char* path, const std::string& field) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::int64_t kib = 0;
    if (word == field && file >> kib) return kib * 1024;
  }
  fail("parked: /proc/self has no resident memory to read");
}

std::int64_t resident_bytes() { return proc_bytes("/proc/self/smaps_rollup", "Rss:"); }

// Returns how many mappings the process has. The kernel calls them VMAs; vm.max_map_count bounds their number.
std::int64_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::int64_t n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

std::int64_t page_table_bytes() { return proc_bytes("/proc/self/status", "VmPTE:"); }

}  // namespace

void parked(Sample& sample) {
  const std::int64_t resident = resident_bytes();
  const std::int64_t page_tables = page_table_bytes();
  const std::int64_t mapped = mappings();
  const weft::Chan<int> gate = weft::make_chan<int>();
  std::atomic<std::int64_t> arrived{0};
  std::atomic<std::int64_t> released{0};
  weft::WaitGroup group;
  for (std::int64_t i = 0; i < sample.ops(); ++i) {
    group.go([&gate, &arrived, &released] {
      arrived.fetch_add(1, std::memory_order_relaxed);
      if (!gate.recv()) released.fetch_add(1, std::memory_order_relaxed);
    });
  }
  while (arrived.load(std::memory_order_relaxed) != sample.ops()) weft::yield();
  // Until the last goroutine has parked. Its memory is touched by now anyway.
  weft::sleep(std::chrono::milliseconds(20));
  const auto ops = static_cast<double>(sample.ops());
  sample.add_metric("bytes", static_cast<double>(resident_bytes() - resident) / ops);
  sample.add_metric("page_tables", static_cast<double>(page_table_bytes() - page_tables) / ops);
  sample.add_metric("mappings", static_cast<double>(mappings() - mapped) / ops);
  gate.close();
  group.wait();
  sample.set_checksum(static_cast<std::uint64_t>(released.load(std::memory_order_relaxed)));
}

}  // namespace micro
