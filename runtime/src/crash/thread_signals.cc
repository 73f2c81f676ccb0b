#include "runtime/src/crash/thread_signals.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <mutex>
#include <thread>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/futex.h"

namespace weft::rt {
namespace {

// The size of a handler's stack, beyond what the kernel pushes, which with the largest vector registers is some 12 KiB.
constexpr std::size_t kHandlerStack = 64 * 1024;

// Go's limit of threads is 10000. Threads beyond our limit are not captured in dumps.
constexpr std::size_t kListedThreads = 4096;

// Zero is a free place. A thread takes one by compare-and-swap and gives it back by a store.
constinit std::array<std::atomic<pid_t>, kListedThreads> listed_threads{};

// This much is copied of a running thread's stack. What lies deeper is read while the thread may change it.
constexpr std::size_t kCaptured = 64 * 1024;

pid_t this_thread() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

// Capturing. The requester fills the request, offers it, and then names the target (release). The target's handler
// finds its own name (acquire), takes the request by an exchange, fills it, and sets `done`. A requester that gives up
// takes the request back by the same exchange. If the request is gone, the handler has it, and will be done in no time.
struct Request {
  Snapshot* to = nullptr;
  std::atomic<std::uint32_t> done{0};
};
constinit Request request;
constinit std::atomic<Request*> offered{nullptr};
constinit std::atomic<pid_t> target{0};
constinit std::mutex requesting;
constinit std::atomic<bool> handler_installed{false};
bool was_ignored = false;  // SIGURG, before its handler was installed; only the two functions that change that use it

extern "C" void weft_on_capture(int, siginfo_t*, void* context) {
  if (target.load(std::memory_order_acquire) != this_thread()) return;
  const int saved_errno = last_errno();
  if (Request* const r = offered.exchange(nullptr, std::memory_order_acq_rel)) {
    Snapshot& to = *r->to;
    to.registers = registers_of(*static_cast<const ucontext_t*>(context));
    to.exact_pc = true;
    to.low = to.registers.sp();
    // `bytes` has its size; what was not filled is not part of the copy.
    const std::size_t n = read_memory(to.low, to.bytes.data(), to.bytes.size());
    to.low = n == 0 ? 0 : to.low;
    r->done.store(n == 0 ? 1 : static_cast<std::uint32_t>(n), std::memory_order_release);
    futex_wake(&r->done, 1);
  }
  set_errno(saved_errno);
}

// What with_thread_signals() does and undoes.
class ThreadSignals {
 public:
  ThreadSignals() noexcept;
  ~ThreadSignals();
  ThreadSignals(const ThreadSignals&) = delete;
  ThreadSignals& operator=(const ThreadSignals&) = delete;

 private:
  void* mapping_ = nullptr;
  std::size_t mapping_size_ = 0;
  std::size_t place_;  // in the list
};

ThreadSignals::ThreadSignals() noexcept : place_(kListedThreads) {
  stack_t present;
  if (::sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) != 0) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t pushed = static_cast<std::size_t>(std::max(::sysconf(_SC_MINSIGSTKSZ), 0L));
    const std::size_t size = (kHandlerStack + pushed + page - 1) / page * page;
    void* const mapping =
        ::mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping != MAP_FAILED) {
      ::mprotect(mapping, page, PROT_NONE);  // a handler that overflows must not write over its neighbour
      const stack_t ours{.ss_sp = static_cast<char*>(mapping) + page, .ss_flags = 0, .ss_size = size};
      if (::sigaltstack(&ours, nullptr) == 0) {
        mapping_ = mapping;
        mapping_size_ = size + page;
      } else {
        ::munmap(mapping, size + page);
      }
    }
  }
  const pid_t self = this_thread();
  for (std::size_t i = 0; i < listed_threads.size(); ++i) {
    pid_t free = 0;
    if (listed_threads[i].load(std::memory_order_relaxed) == 0 &&
        listed_threads[i].compare_exchange_strong(free, self, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      place_ = i;
      return;
    }
  }
}

ThreadSignals::~ThreadSignals() {
  if (place_ < listed_threads.size()) listed_threads[place_].store(0, std::memory_order_release);
  if (mapping_ == nullptr) return;
  const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
  ::sigaltstack(&none, nullptr);
  ::munmap(mapping_, mapping_size_);
}

}  // namespace

void with_thread_signals(void (*body)(void* arg) noexcept, void* arg) noexcept {
  const ThreadSignals signals;
  body(arg);
}

std::vector<pid_t> signalled_threads() {
  std::vector<pid_t> threads;
  for (const auto& listed : listed_threads) {
    if (const pid_t thread = listed.load(std::memory_order_acquire); thread != 0) threads.push_back(thread);
  }
  return threads;
}

void install_capture_handler() noexcept {
  struct sigaction present = {};
  // To be ignored is SIGURG's default action, so nothing of a program that ignores it is lost.
  if (::sigaction(SIGURG, nullptr, &present) != 0) return;
  if (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN) return;
  was_ignored = present.sa_handler == SIG_IGN;
  struct sigaction action = {};
  action.sa_sigaction = &weft_on_capture;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  handler_installed.store(::sigaction(SIGURG, &action, nullptr) == 0, std::memory_order_release);
}

void restore_capture_handler() noexcept {
  if (!handler_installed.exchange(false, std::memory_order_acq_rel)) return;
  struct sigaction present = {};
  if (::sigaction(SIGURG, nullptr, &present) != 0 || present.sa_sigaction != &weft_on_capture) return;
  struct sigaction action = {};
  action.sa_handler = was_ignored ? SIG_IGN : SIG_DFL;
  ::sigaction(SIGURG, &action, nullptr);
}

bool capture_running(pid_t thread, Snapshot& to, std::chrono::milliseconds limit) {
  if (!handler_installed.load(std::memory_order_acquire)) return false;
  const auto end = std::chrono::steady_clock::now() + limit;
  std::unique_lock lock(requesting, std::try_to_lock);
  while (!lock.owns_lock()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
    static_cast<void>(lock.try_lock());
  }
  to = Snapshot();
  to.bytes.resize(kCaptured);
  request.to = &to;
  request.done.store(0, std::memory_order_relaxed);
  offered.store(&request, std::memory_order_relaxed);
  target.store(thread, std::memory_order_release);
  const bool sent = ::syscall(SYS_tgkill, ::getpid(), thread, SIGURG) == 0;
  bool given_up = false;
  while (request.done.load(std::memory_order_acquire) == 0) {
    if (!given_up && (!sent || std::chrono::steady_clock::now() >= end)) {
      given_up = true;
      if (offered.exchange(nullptr, std::memory_order_acq_rel) != nullptr) break;
    }
    futex_wait_for(&request.done, 0, std::chrono::milliseconds(5));
  }
  target.store(0, std::memory_order_release);
  const std::uint32_t filled = request.done.load(std::memory_order_acquire);
  if (filled == 0) return false;
  to.bytes.resize(to.low == 0 ? 0 : filled);
  return true;
}

}  // namespace weft::rt
