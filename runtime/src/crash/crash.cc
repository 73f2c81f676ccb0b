#include "runtime/src/crash/crash.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/futex.h"
#include "runtime/src/crash/thread_signals.h"
#include "runtime/src/sched/go.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/stack_pool.h"
#include "runtime/src/stack/slab.h"
#include "runtime/src/symbols/debug_info.h"
#include "runtime/src/symbols/snapshot.h"
#include "runtime/src/symbols/traceback.h"
#include "weft/log.h"

namespace weft::rt {
namespace {

using std::chrono::milliseconds;

#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
constexpr std::array<int, 0> kFaults = {};
#else
constexpr std::array kFaults = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#endif

// A report that makes no progress for this long is given up.
constexpr std::int64_t kStalledNanoseconds = 15'000'000'000;

// How long a dump waits for running threads: for each, and for all together.
constexpr milliseconds kCaptureLimit{1000};
constexpr milliseconds kCaptureAllLimit{5000};

constexpr milliseconds kDebugInfoLimit{5000};

// A second SIGQUIT that comes this long after the first ends the process: the dump hangs.
constexpr std::int64_t kQuitAgainNanoseconds = 5'000'000'000;

enum class Level : int { none, single, all, system, crash };

// The thread that crashed fills it, before it wakes the reporter.
struct Record {
  Crash crash;
  int signal = 0;  // 0: no signal
  int code = 0;
  std::uint64_t address = 0;
  bool overflow = false;
  bool exact_pc = false;
  Registers registers;
  const G* g = nullptr;  // null: not in a goroutine
  pid_t thread = 0;
};

// Sleep and wake between the reporter and whoever needs it:
//   requester: fills `record`, sets a bit of `wanted` (release), futex_wake(wanted)
//   reporter:  futex_wait(wanted, 0), takes the bits (acquire)
// And back: the reporter sets `finished` (release) and calls futex_wake; the crashed thread waits on `finished`. The
// kernel compares the word before it lets anybody sleep, so neither misses the other.
constexpr std::uint32_t kCrashWanted = 1;
constexpr std::uint32_t kQuitWanted = 2;
constexpr std::uint32_t kStopWanted = 4;
constexpr std::uint32_t kErrandWanted = 8;

constexpr std::uint32_t kPrinted = 1;
constexpr std::uint32_t kFailed = 2;

struct State {
  std::atomic<std::uint32_t> wanted{0};
  std::atomic<std::uint32_t> finished{0};
  std::atomic<bool> crashed{false};       // whoever makes it true owns `record`
  std::atomic<pid_t> reporter{0};         // its thread; 0 when there is none
  CrashReports::Errand errand = nullptr;  // written before the reporter starts
  std::atomic<Level> level{Level::single};
  std::atomic<std::int64_t> first_quit{0};
  Record record;
};
constinit State state;

// What a signal was given before it was taken.
enum class Before : std::uint8_t { not_taken, default_action, ignored };
// By signal number. CrashReports writes it, and a handler reads what was written before it was in place.
constinit std::array<std::atomic<Before>, 65> taken_signals{};

static_assert(std::atomic<Level>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free,
              "what a signal handler touches is lock-free");

// --- async-signal-safe -----------------------------------------------------------------------------------------------

void print(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n < 0 && last_errno() == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::int64_t monotonic_nanoseconds() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

pid_t this_thread() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

void default_action(int signal) noexcept {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
}

void action_from_before(int signal, Before before) noexcept {
  if (before != Before::ignored) return default_action(signal);
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  ::sigaction(signal, &action, nullptr);
}

[[noreturn]] void end_by_abort() noexcept {
  default_action(SIGABRT);
  std::abort();
}

[[noreturn]] void end_with_failure() noexcept {
  if (state.level.load(std::memory_order_relaxed) == Level::crash) end_by_abort();
  ::_exit(kFailureStatus);
}

void print_address(std::uint64_t address) noexcept {
  std::array<char, 20> line;
  std::size_t at = line.size();
  line[--at] = '\n';
  do {
    line[--at] = "0123456789abcdef"[address % 16];
    address /= 16;
  } while (address != 0);
  line[--at] = 'x';
  line[--at] = '0';
  line[--at] = '\t';
  print({line.data() + at, line.size() - at});
}

// Prints return addresses, by the chain of frame pointers.
void print_addresses(const Registers& registers) noexcept {
  constexpr int kMost = 100;
  print("weft: the report above is incomplete; return addresses:\n");
  print_address(registers.pc());
  std::uint64_t frame = registers.frame_pointer();
  for (int i = 0; i < kMost; ++i) {
    std::array<std::uint64_t, 2> saved{};
    if (read_memory(frame, saved.data(), sizeof(saved)) != sizeof(saved) || saved[1] == 0) return;
    print_address(saved[1]);
    if (saved[0] <= frame) return;
    frame = saved[0];
  }
}

void want(std::uint32_t bit) noexcept {
  state.wanted.fetch_or(bit, std::memory_order_release);
  futex_wake(&state.wanted, 1);
}

// Returns false when the report failed or hangs.
bool wait_for_report() noexcept {
  std::uint32_t progress = debug_info_progress.load(std::memory_order_relaxed);
  std::int64_t last_progress = monotonic_nanoseconds();
  std::uint32_t finished = 0;
  while ((finished = state.finished.load(std::memory_order_acquire)) == 0) {
    futex_wait_for(&state.finished, 0, milliseconds(100));
    const std::int64_t now = monotonic_nanoseconds();
    if (const std::uint32_t p = debug_info_progress.load(std::memory_order_relaxed); p != progress) {
      progress = p;
      last_progress = now;
    } else if (now - last_progress > kStalledNanoseconds) {
      return false;
    }
  }
  return finished == kPrinted;
}

// For every thread but the first that crashed, which ends the process.
[[noreturn]] void wait_for_the_end() noexcept {
  for (;;) ::pause();
}

// Returns the goroutine whose stack the calling thread is on.
const G* goroutine_of(std::uint64_t sp, std::uint64_t fault, bool& overflow) noexcept {
  overflow = false;
  const G* const g = current_goroutine();
  if (g == nullptr) return nullptr;
  const auto low = reinterpret_cast<std::uint64_t>(g->stack_low);
  const auto page = static_cast<std::uint64_t>(page_size());
  overflow = fault >= low - page && fault < low;
  return overflow || (sp >= low && sp < reinterpret_cast<std::uint64_t>(g)) ? g : nullptr;
}

extern "C" void weft_on_fault(int signal, siginfo_t* info, void* context) {
  const pid_t self = this_thread();
  const pid_t reporter = state.reporter.load(std::memory_order_acquire);
  if (self == reporter) {
    // The report itself crashes: whoever waits for it prints what it can.
    if (!state.crashed.load(std::memory_order_acquire)) ::_exit(kFailureStatus);
    state.finished.store(kFailed, std::memory_order_release);
    futex_wake(&state.finished, 1);
    wait_for_the_end();
  }
  bool overflow = false;
  if (reporter != 0) {
    if (state.crashed.exchange(true, std::memory_order_acq_rel)) wait_for_the_end();
    Record& r = state.record;
    r.crash = {};
    r.signal = signal;
    r.code = info->si_code;
    // A signal that somebody sent, as abort() does, has the sender in this field.
    r.address = info->si_code > 0 ? reinterpret_cast<std::uint64_t>(info->si_addr) : 0;
    r.registers = registers_of(*static_cast<const ucontext_t*>(context));
    r.exact_pc = true;
    r.g = goroutine_of(r.registers.sp(), signal == SIGSEGV ? r.address : 0, overflow);
    r.overflow = overflow;
    r.thread = self;
    want(kCrashWanted);
    if (!wait_for_report()) print_addresses(r.registers);
  }
  if (overflow) end_with_failure();
  default_action(signal);
  // A fault happens again when the handler returns; a signal that somebody sent has to be sent again.
  if (info->si_code <= 0) ::syscall(SYS_tgkill, ::getpid(), self, signal);
}

extern "C" void weft_on_quit(int signal) {
  const int saved_errno = last_errno();
  if (state.reporter.load(std::memory_order_acquire) == 0) {
    // Somebody had taken the signal after us, and has put our handler back after the end of run().
    action_from_before(signal, taken_signals[static_cast<std::size_t>(signal)].load(std::memory_order_relaxed));
    ::syscall(SYS_tgkill, ::getpid(), this_thread(), signal);
  } else {
    const std::int64_t now = monotonic_nanoseconds();
    std::int64_t first = 0;
    if (state.first_quit.compare_exchange_strong(first, now, std::memory_order_relaxed, std::memory_order_relaxed)) {
      want(kQuitWanted);
    } else if (now - first > kQuitAgainNanoseconds) {
      end_with_failure();
    }
  }
  set_errno(saved_errno);
}

// --- the reporter ----------------------------------------------------------------------------------------------------

std::string_view signal_text(int signal) noexcept {
  switch (signal) {
    case SIGSEGV:
      return "segmentation violation";
    case SIGBUS:
      return "bus error";
    case SIGFPE:
      return "floating-point exception";
    case SIGILL:
      return "illegal instruction";
    case SIGABRT:
      return "abort";
  }
  return "signal";
}

std::string first_lines(const Record& r) {
  if (r.signal == 0) return std::string(r.crash.text);
  if (r.overflow) {
    return fmt::format("runtime: goroutine stack exceeds {}-byte limit\nfatal error: stack overflow\n",
                       r.g->pool->stack_size());
  }
  const char* const name = ::sigabbrev_np(r.signal);
  return fmt::format("[signal SIG{}: {} code={:#x} addr={:#x} pc={:#x}]\n", name == nullptr ? "?" : name,
                     signal_text(r.signal), r.code, r.address, r.registers.pc());
}

// Returns the stacks of the goroutines that run, for which it asks their threads.
std::map<const G*, Snapshot> capture_all_running(pid_t except) {
  std::map<const G*, Snapshot> captured;
  const auto end = std::chrono::steady_clock::now() + kCaptureAllLimit;
  for (const pid_t thread : signalled_threads()) {
    debug_info_progress.fetch_add(1, std::memory_order_relaxed);
    if (thread == except || thread == this_thread()) continue;
    if (std::chrono::steady_clock::now() >= end) break;
    Snapshot snapshot;
    if (!capture_running(thread, snapshot, kCaptureLimit)) continue;
    for_each_stack_pool([&](const StackPool& pool) {
      const auto* const sp = reinterpret_cast<const void*>(snapshot.registers.sp());
      if (const G* const g = pool.owner_of(sp)) captured.emplace(g, std::move(snapshot));
    });
  }
  return captured;
}

// Prints each part as soon as it is made: what a report has printed before it breaks off is worth having.
class Report {
 public:
  explicit Report(Level level) : frames_(level >= Level::system ? Frames::all : Frames::user), info_(kDebugInfoLimit) {}

  // Returns false when the debug information can't be had, and so no stack.
  bool usable() const noexcept { return static_cast<bool>(info_); }

  void crashed(const Record& r) {
    text_ = "\n";
    Frames frames = frames_;
    if (r.signal != 0 && frames == Frames::user) frames = Frames::relevant;
    if (r.crash.runtime_broken) frames = Frames::all;
    ListedGoroutine listed;
    Snapshot snapshot;
    snapshot.registers = r.registers;
    snapshot.exact_pc = r.exact_pc;
    if (r.g != nullptr) {
      list_goroutine(*r.g, listed);
      listed.status = Status::running;
      append_header(text_, listed);
    } else {
      fmt::format_to(std::back_inserter(text_), "thread {} [running, no goroutine]:\n", r.thread);
    }
    flush();
    append_frames(text_, *info_, snapshot, frames);
    if (r.g != nullptr) append_creator(text_, listed);
    flush();
  }

  void others(const G* except, pid_t except_thread) {
    const std::map<const G*, Snapshot> captured = capture_all_running(except_thread);
    Snapshot scratch;
    for (const ListedGoroutine& listed : list_goroutines()) {
      if (listed.g == except) continue;
      const auto running = listed.status == Status::running ? captured.find(listed.g) : captured.end();
      text_ += '\n';
      append_goroutine(text_, *info_, listed, running == captured.end() ? nullptr : &running->second, frames_, scratch);
      if (text_.size() > kPiece) flush();
    }
    flush();
  }

 private:
  static constexpr std::size_t kPiece = 16 * 1024;

  void flush() {
    print(text_);
    text_.clear();
  }

  const Frames frames_;
  DebugInfo::Use info_;
  std::string text_;
};

// Prints the report. Returns false when it is not complete.
bool report(const Record* r) noexcept {
  try {
    const Level level = state.level.load(std::memory_order_relaxed);
    print(r != nullptr ? first_lines(*r) : "SIGQUIT: quit\n");
    if (level == Level::none) return true;
    Report text(level);
    if (!text.usable()) return false;
    const bool all = r == nullptr || r->crash.all_goroutines || level >= Level::all;
    // A report on all goroutines that no goroutine makes has none of its own to start with.
    if (r != nullptr && (r->g != nullptr || !r->crash.all_goroutines)) text.crashed(*r);
    if (all) text.others(r != nullptr ? r->g : nullptr, r != nullptr ? r->thread : 0);
    return true;
  } catch (...) {
    return false;
  }
}

void report_record() noexcept {
  const bool printed = report(&state.record);
  state.finished.store(printed ? kPrinted : kFailed, std::memory_order_release);
  futex_wake(&state.finished, 1);
}

void block_all_signals(sigset_t& before) noexcept {
  sigset_t all;
  ::sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::sigdelset(&all, fault);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
}

void run_errand() noexcept {
  try {
    state.errand();
  } catch (...) {
    // There is no memory for it.
  }
}

void run_reporter() noexcept {
  ::pthread_setname_np(::pthread_self(), "weft-reporter");
  state.reporter.store(this_thread(), std::memory_order_release);
  // The allocator gives a thread that asks for the first time an arena of its own. That is not the one which a crash
  // may leave locked.
  std::free(std::malloc(1));
  for (;;) {
    const std::uint32_t wanted = state.wanted.exchange(0, std::memory_order_acquire);
    if ((wanted & kCrashWanted) != 0) {
      report_record();
      wait_for_the_end();
    }
    if ((wanted & kQuitWanted) != 0) {
      if (state.crashed.load(std::memory_order_acquire)) continue;  // somebody crashes: kCrashWanted comes
      report(nullptr);
      end_with_failure();
    }
    if ((wanted & kErrandWanted) != 0) run_errand();
    if ((wanted & kStopWanted) != 0) break;
    futex_wait(&state.wanted, 0);
  }
}

Level level_from_environment() {
  const char* const value = std::getenv("WEFT_TRACEBACK");
  const std::string_view text = value == nullptr ? "" : value;
  if (text.empty() || text == "single") return Level::single;
  if (text == "none" || text == "0") return Level::none;
  if (text == "all" || text == "1") return Level::all;
  if (text == "system" || text == "2") return Level::system;
  if (text == "crash") return Level::crash;
  print(fmt::format(
      "weft: WEFT_TRACEBACK is \"{}\"; it must be none, single, all, system or crash (or 0, 1, 2): using single\n",
      one_line(text)));
  return Level::single;
}

// An ignored signal is taken, too, as Go does: what a script starts with `&` ignores SIGQUIT, and nobody has decided
// that. (Go leaves SIGHUP and SIGINT ignored, which are not taken here.)
void take_signal(int signal, bool fault) noexcept {
  struct sigaction present = {};
  if (::sigaction(signal, nullptr, &present) != 0) return;
  if (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN) return;  // the program handles it
  // Written first: the handler may run as soon as it is in place.
  std::atomic<Before>& before = taken_signals[static_cast<std::size_t>(signal)];
  before.store(present.sa_handler == SIG_IGN ? Before::ignored : Before::default_action, std::memory_order_relaxed);
  struct sigaction action = {};
  ::sigemptyset(&action.sa_mask);
  if (fault) {
    action.sa_sigaction = &weft_on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  } else {
    action.sa_handler = &weft_on_quit;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
  }
  if (::sigaction(signal, &action, nullptr) != 0) before.store(Before::not_taken, std::memory_order_relaxed);
}

void give_signal_back(int signal) noexcept {
  // It stays, for a handler that comes back (weft_on_quit).
  const Before before = taken_signals[static_cast<std::size_t>(signal)].load(std::memory_order_relaxed);
  if (before == Before::not_taken) return;
  struct sigaction present = {};
  if (::sigaction(signal, nullptr, &present) != 0) return;
  // Somebody may have taken it from us since.
  if (present.sa_sigaction == &weft_on_fault || present.sa_handler == &weft_on_quit) action_from_before(signal, before);
}

void report_this_thread(const Crash& crash) noexcept {
  if (state.crashed.exchange(true, std::memory_order_acq_rel)) wait_for_the_end();
  Record& r = state.record;
  r = {};
  r.crash = crash;
  WEFT_CAPTURE_HERE(r.registers);
  bool overflow = false;
  r.g = goroutine_of(r.registers.sp(), 0, overflow);
  r.thread = this_thread();
  bool complete = false;
  if (const pid_t reporter = state.reporter.load(std::memory_order_acquire); reporter != 0 && reporter != r.thread) {
    want(kCrashWanted);
    complete = wait_for_report();
  } else {
    try {
      std::thread(&report_record).join();
      complete = state.finished.load(std::memory_order_acquire) == kPrinted;
    } catch (const std::system_error&) {
      print(crash.text);
    }
  }
  if (!complete) print_addresses(r.registers);
  if (crash.aborts) end_by_abort();
  end_with_failure();
}

// The linker takes this file in because control/run.cc uses CrashReports. A program that never calls run() has no
// stacks in its reports.
const bool reporter_is_set = (set_crash_reporter(&report_this_thread), true);

}  // namespace

CrashReports::CrashReports(bool enabled, Errand errand) {
  state.level.store(level_from_environment(), std::memory_order_relaxed);
  if (!enabled) return;
  state.errand = errand;
  state.wanted.store(0, std::memory_order_relaxed);
  state.first_quit.store(0, std::memory_order_relaxed);
  sigset_t before;
  block_all_signals(before);
  try {
    reporter_ = std::thread(&run_reporter);
  } catch (const std::system_error&) {
    // Without the reporter there are no reports on signals. Reports that need no signal start a thread when they are
    // made.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!reporter_.joinable()) return;
  while (state.reporter.load(std::memory_order_acquire) == 0) std::this_thread::yield();
  install_capture_handler();
  for (const int fault : kFaults) take_signal(fault, true);
  take_signal(SIGQUIT, false);
}

CrashReports::~CrashReports() {
  if (!reporter_.joinable()) return;
  for (const int fault : kFaults) give_signal_back(fault);
  give_signal_back(SIGQUIT);
  restore_capture_handler();
  state.reporter.store(0, std::memory_order_release);
  want(kStopWanted);
  reporter_.join();
}

void wake_reporter_for_errand() noexcept {
  if (state.reporter.load(std::memory_order_acquire) != 0) want(kErrandWanted);
}

bool report_under_way() noexcept {
  return state.crashed.load(std::memory_order_relaxed) || state.first_quit.load(std::memory_order_relaxed) != 0;
}

}  // namespace weft::rt
