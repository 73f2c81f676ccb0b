// Unwinding: libdw steps from frame to frame by the call-frame information that every program has for its exceptions,
// and by frame pointers where a function has none. It asks for registers and memory through the callbacks below.
#include <unistd.h>

#include <algorithm>

#include "runtime/src/symbols/debug_info.h"

namespace weft::rt {
namespace {

// The most frames of a stack of which there is no copy.
constexpr std::size_t kMostFrames = 100'000;

}  // namespace

// libdw knows "threads" of a "process" that it is attached to. There is one: whatever snapshot is being unwound.
struct UnwindCallbacks {
  static constexpr pid_t kThread = 1;

  static pid_t next_thread(Dwfl*, void* info, void** thread) {
    if (*thread != nullptr) return 0;
    *thread = info;
    return kThread;
  }

  static bool get_thread(Dwfl*, pid_t, void* info, void** thread) {
    *thread = info;
    return true;
  }

  static bool memory_read(Dwfl*, Dwarf_Addr address, Dwarf_Word* word, void* info) {
    std::uint64_t value = 0;
    if (!static_cast<DebugInfo*>(info)->unwinding_->read(address, value)) return false;
    *word = value;
    return true;
  }

  static bool set_initial_registers(Dwfl_Thread* thread, void* info) {
    const Registers& registers = static_cast<DebugInfo*>(info)->unwinding_->registers;
#if defined(__x86_64__)
    constexpr unsigned kGiven = Registers::kCount;  // the pc is the last of them
#else
    constexpr unsigned kGiven = Registers::kPc;
#endif
    std::array<Dwarf_Word, kGiven> words;
    std::copy_n(registers.values.begin(), kGiven, words.begin());
    if (!::dwfl_thread_state_registers(thread, 0, kGiven, words.data())) return false;
    ::dwfl_thread_state_register_pc(thread, registers.pc());
    return true;
  }

  static int frame(Dwfl_Frame* frame, void* arg) {
    auto* const info = static_cast<DebugInfo*>(arg);
    debug_info_progress.fetch_add(1, std::memory_order_relaxed);
    Dwarf_Addr pc = 0;
    bool exact = false;
    if (!::dwfl_frame_pc(frame, &pc, &exact) || pc == 0) return DWARF_CB_ABORT;
    const Snapshot& snapshot = *info->unwinding_;
    if (info->out_->empty()) exact = snapshot.exact_pc;
    info->out_->push_back(exact ? pc : pc - 1);
    // A torn copy may lead in circles; a true stack has at least one word for each frame.
    const std::size_t most = snapshot.bytes.empty() ? kMostFrames : snapshot.bytes.size() / sizeof(std::uint64_t) + 1;
    return info->out_->size() < most ? DWARF_CB_OK : DWARF_CB_ABORT;
  }
};

std::vector<std::uint64_t> DebugInfo::unwind(const Snapshot& snapshot) {
  static constexpr Dwfl_Thread_Callbacks kCallbacks = {
      .next_thread = &UnwindCallbacks::next_thread,
      .get_thread = &UnwindCallbacks::get_thread,
      .memory_read = &UnwindCallbacks::memory_read,
      .set_initial_registers = &UnwindCallbacks::set_initial_registers,
      .detach = nullptr,
      .thread_detach = nullptr,
  };
  std::vector<std::uint64_t> frames;
  const std::uint64_t pc = snapshot.registers.pc();
  if (module_at(pc) != nullptr) {
    if (!attached_) attached_ = ::dwfl_attach_state(dwfl_, nullptr, ::getpid(), &kCallbacks, this);
    if (attached_) {
      unwinding_ = &snapshot;
      out_ = &frames;
      ::dwfl_getthread_frames(dwfl_, UnwindCallbacks::kThread, &UnwindCallbacks::frame, this);
      unwinding_ = nullptr;
      out_ = nullptr;
    }
  }
  if (frames.empty() && pc != 0) frames.push_back(snapshot.exact_pc ? pc : pc - 1);
  // This is a call through a wild pointer. What is there can't be unwound, but the caller's address is on top of the
  // stack.
  if (frames.size() == 1 && snapshot.exact_pc && module_at(pc) == nullptr) {
    Snapshot caller = snapshot;
    std::uint64_t return_address = 0;
#if defined(__x86_64__)
    const bool found = snapshot.read(snapshot.registers.sp(), return_address);
    caller.registers.values[Registers::kSp] += sizeof(std::uint64_t);
#elif defined(__aarch64__)
    const bool found = true;
    return_address = snapshot.registers.values[30];
#endif
    if (found && module_at(return_address) != nullptr) {
      caller.registers.values[Registers::kPc] = return_address;
      caller.exact_pc = false;
      const std::vector<std::uint64_t> more = unwind(caller);
      frames.insert(frames.end(), more.begin(), more.end());
    }
  }
  return frames;
}

}  // namespace weft::rt
