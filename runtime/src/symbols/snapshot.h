// Snapshot: the registers of a flow of control that stands still, and the bytes of its stack. A traceback is made from
// it.
//
// Where a snapshot comes from:
//   a goroutine that is parked or queued   capture_parked(): its saved context, without stopping anybody
//   the calling thread                     WEFT_CAPTURE_HERE(): its registers; the stack is read where it is, while the
//                                          thread waits
//   a fault                                registers_of(ucontext): likewise, while the thread waits in the signal
//                                          handler
//   a thread that runs                     capture_running() (crash/thread_signals.h): registers and stack, which its
//                                          own signal handler copies
#pragma once

#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::rt {

struct G;

// The registers are numbered as DWARF numbers them, so that the unwinder takes them as they are.
struct Registers {
#if defined(__x86_64__)
  static constexpr std::size_t kFramePointer = 6, kSp = 7, kPc = 16, kCount = 17;
#elif defined(__aarch64__)
  static constexpr std::size_t kFramePointer = 29, kSp = 31, kPc = 32, kCount = 33;
#endif
  std::array<std::uint64_t, kCount> values{};

  std::uint64_t pc() const noexcept { return values[kPc]; }
  std::uint64_t sp() const noexcept { return values[kSp]; }
  std::uint64_t frame_pointer() const noexcept { return values[kFramePointer]; }
};

// Returns the registers in `context`. Async-signal-safe.
Registers registers_of(const ucontext_t& context) noexcept;

struct Snapshot {
  Registers registers;
  bool exact_pc = false;    // the pc is that of an instruction under way, not a return address
  std::uint64_t low = 0;    // where bytes[0] was
  std::vector<char> bytes;  // the stack from `low` up; empty: it is read where it is
  bool copy_only = false;   // what is not in `bytes` is not read at all, because it has changed since
  std::uint64_t entry = 0;  // of a goroutine that never ran: the function it will run; else 0

  // Reads the word at `address`, from the copy, else from memory. Returns false when nothing is mapped there.
  bool read(std::uint64_t address, std::uint64_t& word) const noexcept;
};

// Copies up to `size` bytes of this process's memory, less when it meets a page that can't be read; returns how many.
// It never faults. It is async-signal-safe.
std::size_t read_memory(std::uint64_t address, void* to, std::size_t size) noexcept;

// Captures a goroutine that waits or is queued. Nobody is stopped: the state word is read, the stack copied, and the
// word read again. Returns false when the goroutine runs, is dead, or would not stand still. A queued goroutine may
// run, yield and be queued again between the two looks without a change of the word. The copy is then torn, which costs
// wrong frames and nothing else, because the unwinder reads the copy alone.
bool capture_parked(const G& g, Snapshot& to);

}  // namespace weft::rt

// Sets `registers` to those of the function that it stands in, which must not return while they are in use.
#define WEFT_CAPTURE_HERE(registers)                           \
  do {                                                         \
    ucontext_t weft_context_here;                              \
    ::getcontext(&weft_context_here);                          \
    (registers) = ::weft::rt::registers_of(weft_context_here); \
  } while (false)
