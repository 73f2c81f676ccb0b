// What a debugger needs to find every goroutine without type information: one object under a fixed name, with the
// layout of G and a list of all slabs of stacks. runtime/gdb/weft-gdb.py reads it, from a live process or from a core;
// nothing in the program does.
//
// It costs a list node per slab of stacks (64 to 4096 goroutines), and nothing per goroutine or per switch.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/src/sched/stack_pool.h"

namespace weft::rt {

// Every field is eight bytes wide, and a new one goes to the end: the script reads them by position. `version` changes
// when a field changes its meaning.
struct DebugRoot {
  static constexpr std::uint64_t kVersion = 2;
  static constexpr std::size_t kMaxWaitReasons = 64;
  static constexpr std::size_t kMaxStates = 8;

  std::uint64_t version;
  const std::atomic<const SlabRecord*>* slabs;  // where the list of slabs begins

  // The G of slot i lies at base + (i + 1) * stride - goroutine_below_top - (i % colours) * colour_step. A slot that
  // was never used is all zero, which reads as a dead goroutine.
  std::uint64_t goroutine_below_top;
  std::uint64_t colours;
  std::uint64_t colour_step;

  // Offsets in G. `entry` is the function that runs the goroutine's closure; `stack_low` the end of its stack.
  std::uint64_t state;
  std::uint64_t status_mask;
  std::uint64_t saved_sp;
  std::uint64_t entry;
  std::uint64_t stack_low;
  std::uint64_t id;
  std::uint64_t parent_id;
  std::uint64_t reason;  // one byte
  std::uint64_t since;
  std::uint64_t creator_file;
  std::uint64_t creator_function;
  std::uint64_t creator_line;  // four bytes; 0: nobody created it

  const char* states[kMaxStates];             // by status; null past the last
  const char* wait_reasons[kMaxWaitReasons];  // by reason; null past the last
};

// Completes the object, and makes the linker keep it: run() calls this before the first goroutine. Any thread may call
// it.
void prepare_debug_root() noexcept;

}  // namespace weft::rt

extern "C" weft::rt::DebugRoot weft_debug_root;
