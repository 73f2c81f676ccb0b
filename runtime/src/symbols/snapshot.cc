#include "runtime/src/symbols/snapshot.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "runtime/src/base/errno.h"
#include "runtime/src/sched/goroutine.h"

// For functions that read what another thread may be writing, and what ASan has poisoned. They do so by design, and
// what they read is checked afterwards.
#define WEFT_RACY __attribute__((noinline, no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))

namespace weft::rt {
namespace {

// How often a goroutine that keeps moving is looked at.
constexpr int kTries = 3;

WEFT_RACY std::uint64_t racy_load(const void* from) noexcept {
  return *static_cast<const volatile std::uint64_t*>(from);
}

// Copies word by word, because memcpy() would be the sanitizers' own. Both addresses are 8-byte aligned.
WEFT_RACY void racy_copy(char* to, const char* from, std::size_t size) noexcept {
  auto* const out = reinterpret_cast<std::uint64_t*>(to);
  const auto* const in = reinterpret_cast<const volatile std::uint64_t*>(from);
  for (std::size_t i = 0; i < size / sizeof(std::uint64_t); ++i) out[i] = in[i];
}

// Pops what weft_switch_context has pushed (drawn in arch/context_*.S): the snapshot is of its caller.
void registers_of_switched_out(const char* saved, std::uint64_t sp, Registers& registers) noexcept {
  const auto word = [saved](std::size_t offset) {
    std::uint64_t value = 0;
    std::memcpy(&value, saved + offset, sizeof(value));
    return value;
  };
  auto& r = registers.values;
#if defined(__x86_64__)
  r[15] = word(0);
  r[14] = word(8);
  r[13] = word(16);
  r[12] = word(24);
  r[3] = word(32);  // rbx
  r[6] = word(40);  // rbp
  r[Registers::kPc] = word(48);
  r[Registers::kSp] = sp + 56;
#elif defined(__aarch64__)
  for (std::size_t i = 0; i < 12; ++i) r[19 + i] = word(64 + 8 * i);  // x19 to x30
  r[Registers::kPc] = word(152);
  r[Registers::kSp] = sp + 160;
#endif
}

#if defined(__x86_64__)
constexpr std::uint64_t kContextSize = 56;
#elif defined(__aarch64__)
constexpr std::uint64_t kContextSize = 160;
#endif

// For where process_vm_readv is forbidden.
std::size_t read_proc_mem(std::uint64_t address, void* to, std::size_t size) noexcept {
  const int fd = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = ::pread(fd, to, size, static_cast<off_t>(address));
  ::close(fd);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

}  // namespace

Registers registers_of(const ucontext_t& context) noexcept {
  Registers registers;
  auto& r = registers.values;
#if defined(__x86_64__)
  // The kernel's registers in DWARF's order.
  constexpr std::array<int, Registers::kCount> kOrder = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                         REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                         REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  for (std::size_t i = 0; i < r.size(); ++i) r[i] = static_cast<std::uint64_t>(context.uc_mcontext.gregs[kOrder[i]]);
#elif defined(__aarch64__)
  for (std::size_t i = 0; i < 31; ++i) r[i] = context.uc_mcontext.regs[i];
  r[Registers::kSp] = context.uc_mcontext.sp;
  r[Registers::kPc] = context.uc_mcontext.pc;
#endif
  return registers;
}

bool Snapshot::read(std::uint64_t address, std::uint64_t& word) const noexcept {
  if (address >= low && bytes.size() >= sizeof(word) && address - low <= bytes.size() - sizeof(word)) {
    std::memcpy(&word, bytes.data() + (address - low), sizeof(word));
    return true;
  }
  return !copy_only && read_memory(address, &word, sizeof(word)) == sizeof(word);
}

// Makes the system calls by number, because the sanitizers' wrappers would look at what is read.
std::size_t read_memory(std::uint64_t address, void* to, std::size_t size) noexcept {
  iovec local{to, size};
  iovec remote{reinterpret_cast<void*>(address), size};
  const long n = ::syscall(SYS_process_vm_readv, ::getpid(), &local, 1, &remote, 1, 0);
  if (n >= 0) return static_cast<std::size_t>(n);
  return last_errno() == EFAULT ? 0 : read_proc_mem(address, to, size);
}

bool capture_parked(const G& g, Snapshot& to) {
  const auto low = reinterpret_cast<std::uint64_t>(g.stack_low);
  const auto high = reinterpret_cast<std::uint64_t>(&g);
  for (int i = 0; i < kTries; ++i) {
    // This is the reader's half of a sequence lock whose writers are the steps of the state word. A machine writes the
    // stack only between its steps to running and to something else.
    const std::uint64_t before = g.state.load(std::memory_order_acquire);
    const Status status = G::status_of(before);
    if (status != Status::waiting && status != Status::runnable) return false;
    const std::uint64_t sp = racy_load(&g.fiber.sp);
    if (sp < low || sp > high - kContextSize || sp % sizeof(std::uint64_t) != 0) continue;
    to.low = sp;
    to.bytes.resize((high - sp) / sizeof(std::uint64_t) * sizeof(std::uint64_t));
    racy_copy(to.bytes.data(), reinterpret_cast<const char*>(sp), to.bytes.size());
    const std::uint64_t entry = racy_load(&g.entry);
    // This keeps the copy before the second look.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (g.state.load(std::memory_order_relaxed) != before || racy_load(&g.fiber.sp) != sp) continue;
    to.registers = {};
    registers_of_switched_out(to.bytes.data(), sp, to.registers);
    to.exact_pc = false;
    // weft_make_context gives a new goroutine no frame to return to. A goroutine that ran has come through code that
    // keeps frame pointers.
    to.entry = to.registers.frame_pointer() == 0 ? entry : 0;
    return true;
  }
  return false;
}

}  // namespace weft::rt
