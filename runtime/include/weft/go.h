// Goroutines: start one, give way, ask who you are.
//
// A goroutine has a stack of its own (RuntimeOptions::stack_size, 256 KiB by default), so any function called from it
// may block: only the goroutine waits, and its thread goes on with another one. Go's "go statement" section is the
// contract.
//
// Thread safety: every function here may be called from any goroutine; the functions that say so may be called from any
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/labels.h>
#include <weft/log.h>
#include <weft/source_location.h>

namespace weft {

// Which kernel interface carries I/O. `automatic` tries the full io_uring, then a plain ring, then epoll. `io_uring`
// takes either kind of ring; `io_uring_plain` is a ring without the features that came after Linux 5.11.
enum class PollerChoice { automatic, io_uring, io_uring_plain, epoll };

struct RuntimeOptions {
  // Processors (Ps): how many goroutines run at the same time. 0: WEFT_PROCS decides, else the affinity mask and the
  // cgroup's CPU quota.
  int procs = 0;
  // `automatic`: WEFT_POLLER (auto|io_uring|io_uring_plain|epoll) decides, else weft takes the best that the kernel
  // allows.
  PollerChoice poller = PollerChoice::automatic;
  // Bytes reserved for each goroutine's stack, committed as they are touched. Rounded up to pages; at least 16 KiB.
  std::size_t stack_size = 256 * 1024;
  // Threads that may run goroutines, including those inside blocking(). One more thread ends the process ("thread
  // exhaustion"), as in Go: it is the sign of a leak.
  std::size_t max_threads = 10'000;
  // Ends the process with a report when every goroutine waits for another one. It never does so while a timer, I/O, a
  // blocking call or a signal subscription is pending, nor when the process has threads of its own beside the one that
  // called run().
  bool deadlock_detection = true;
  // Where the runtime's own warnings go, those of hogs for example. Empty: they go to stderr.
  LogSink log = {};
  // Reports on crashes. If true, the runtime handles signals while it runs. On SIGSEGV, SIGBUS, SIGFPE, SIGILL and
  // SIGABRT it prints the stack, and then the signal takes its default action. On SIGQUIT it prints every goroutine and
  // ends with status 2. By SIGURG it asks a thread for its stack. A signal that the program handles already is left
  // alone. One that is ignored when the runtime starts is handled all the same, as in Go, because a script's `&` has
  // SIGQUIT ignored; a program that wants it ignored says so in `main`. The actions from before are back when run()
  // returns. The runtime keeps a thread for the printing. If false, for a program with a reporter of its own, no signal
  // is touched. WEFT_TRACEBACK (none|single|all|system|crash) says how much is printed.
  bool crash_reports = true;
};

struct GoOptions {
  // These labels are added to those that the goroutine inherits. For a key in both, the value given here counts.
  Labels labels{};
  // Bytes reserved for this goroutine's stack, committed as they are touched. Rounded up to pages; at least 16 KiB. 0:
  // RuntimeOptions::stack_size. Stacks of another size are pooled too, but for all processors together, so starting
  // such a goroutine takes a lock.
  std::size_t stack_size = 0;
};

namespace detail {

// Calls and then destroys the closure it is given.
using ClosureEntry = void (*)(void* closure);

// Called when a goroutine has ended, by the thread that ran it. The goroutine is not counted any more then. `call` must
// not wait.
struct AfterEnd {
  void (*call)(void* arg) noexcept = nullptr;
  void* arg = nullptr;
};

// A goroutine that is made but not yet runnable; its closure lives on the goroutine's own stack.
struct Spawn {
  void* goroutine;
  void* closure;
};
Spawn prepare_goroutine(std::size_t size, std::size_t alignment, ClosureEntry entry, const SourceLocation& where,
                        const GoOptions* options, const AfterEnd& after);
void start_goroutine(Spawn spawn) noexcept;

int run_main(ClosureEntry entry, void* closure, const RuntimeOptions& options);

// What exit_goroutine() throws.
class GoroutineExit {
 public:
  explicit GoroutineExit(const void* goroutine) noexcept : goroutine_(goroutine) {}
  GoroutineExit(const GoroutineExit&) = delete;
  GoroutineExit& operator=(const GoroutineExit&) = delete;
  ~GoroutineExit();
  // Called at a goroutine's outermost frame.
  void arrived_at(const void* goroutine) noexcept;

 private:
  const void* const goroutine_;
  std::atomic<bool> arrived_{false};  // others may hold the exception, too
};

class BlockingRegion {
 public:
  BlockingRegion() noexcept;
  ~BlockingRegion();
  BlockingRegion(const BlockingRegion&) = delete;
  BlockingRegion& operator=(const BlockingRegion&) = delete;

 private:
  bool outermost_ = false;
};

// The largest closure that is kept on the goroutine's own stack; a larger one goes to the heap.
inline constexpr std::size_t kMaxInlineClosure = 1024;

}  // namespace detail

// Starts `fn()` in a new goroutine and returns at once. The closure is moved or copied in the caller; what it captures
// by reference must outlive the goroutine. An exception that leaves `fn` ends the process with status 2.
// May be called from any thread while the runtime runs. Throws std::bad_alloc when there is no memory for a stack.
// Where each guard costs a mapping (kernels before 6.13) and no more mappings may be had, the process ends with a line
// that names vm.max_map_count. `where` is what dumps call the goroutine's creator; leave it to the default, or pass on
// your own caller's.
template <typename F>
void go(F&& fn, SourceLocation where = SourceLocation::current());

// Does the same, with options for this goroutine:
//   weft::go({.labels = {{"job", "index"}}}, [] { ... });
template <typename F>
void go(const GoOptions& options, F&& fn, SourceLocation where = SourceLocation::current());

// Lets the goroutines that wait to run on this processor run first (runtime.Gosched). When there are none, returns at
// once.
void yield();

// Ends the calling goroutine: unwinds its stack, so that destructors run, and lets the others go on (runtime.Goexit).
// It unwinds by an exception of a type of its own. A `catch (...)` on the way must rethrow the exception, in the same
// goroutine, else the process ends with a line that says so. When main calls it, the others go on until the last has
// ended, which is reported as a deadlock. Goroutines only.
[[noreturn]] void exit_goroutine();

// Calls fn(), which may block its thread: a system call that has no goroutine form, or a library that waits. Meanwhile
// the goroutine's processor runs other goroutines on another thread: at once when others wait, else as soon as somebody
// needs it. Returns what fn returns; an exception passes through. Calls may nest. A call costs some nanoseconds when
// nobody needs the processor, so library code may use it freely. Inside fn, everything of weft's may be called. As
// always, a signal may interrupt fn's system calls (EINTR). On a plain thread it just calls fn.
template <typename F>
decltype(auto) blocking(F&& fn) {
  const detail::BlockingRegion region;
  return std::forward<F>(fn)();
}

// Reserves the calling goroutine's thread for it (runtime.LockOSThread). The goroutine runs on no other thread, and
// nothing else runs on this one, until unlock_os_thread() was called as many times. It is for what is bound to a
// thread: the signal mask, affinity, namespaces, or the thread-locals of a library. A goroutine that ends while it is
// locked ends the thread, too. Each switch to or from such a goroutine is a switch of threads.
void lock_os_thread();
// Does nothing when there is no lock_os_thread() to undo.
void unlock_os_thread();

// Starts the runtime, runs `main` in the first goroutine, and returns the status of `main` (0 when it returns void) as
// soon as `main` returns; other goroutines are not waited for. One runtime runs at a time; it may be run again after it
// returned. When the runtime can't start, because one runs already, or because the kernel has no descriptors, memory or
// threads to give, then one line on stderr says why and the status is 1. (In a child that was forked while a runtime
// ran, it ends the process: docs/fork.md.)
//
// Goroutines that are left never run again. Their stacks are not unwound, so what they own is not destroyed: memory,
// locks, files that are not the runtime's. The runtime closes what is its own: its pollers, every connection and
// listener, and every Pollable with a wait in flight. Handles that are left over may be used, closed and destroyed;
// their operations find that they are closed. Only when a goroutine is still in the middle of a computation, or inside
// blocking(), 100 ms after `main` returned, does all of that stay open, because that goroutine may still use it.
template <typename F>
int run(F&& main, RuntimeOptions options = {});

// Returns the number of processors of the running runtime; 0 when none runs. Any thread.
int procs() noexcept;

// Changes the number of processors while everything goes on (runtime.GOMAXPROCS), to at most 1024, and returns the
// number before. n < 1 changes nothing. Goroutines that run on a processor which retires go on until they next give
// way. When the kernel refuses a poller for a new processor, there are fewer processors than asked for, and a warning
// says why. Any thread. When no runtime runs, it returns 0 and has no effect.
int set_procs(int n);

// Undoes the choice of set_procs(), of WEFT_PROCS and of RuntimeOptions::procs. From now on the number follows the
// affinity mask and the cgroup's quota, as it does when nobody chose (runtime.SetDefaultGOMAXPROCS).
void follow_default_procs();

// Returns the processor that runs the caller, from 0 (inside blocking(), the one that did before); -1 outside a
// goroutine.
int processor_id() noexcept;

// Returns the thread (M) that runs the caller, from 0; -1 outside a goroutine.
int machine_id() noexcept;

namespace this_goroutine {

// Ids of goroutines: main has 1, and the others count up from there; 0 outside a goroutine.
std::uint64_t id() noexcept;
std::uint64_t parent_id() noexcept;

}  // namespace this_goroutine

// `syscall` means inside blocking().
enum class GoroutineState { runnable, running, syscall, waiting };

// "runnable", "running", "syscall", "waiting".
std::string_view to_string(GoroutineState state) noexcept;

struct GoroutineInfo {
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;
  GoroutineState state = GoroutineState::runnable;
  std::string wait_reason;                 // Go's words ("chan receive", "IO wait"); empty unless waiting
  std::chrono::nanoseconds waiting_for{};  // since it parked; zero unless waiting
  bool locked_to_thread = false;           // by lock_os_thread()
  SourceLocation creator;                  // where go() was called; nowhere for main
  Labels labels{};
  std::string stack;                 // its frames as weft::stack() prints them; empty unless asked for
  std::size_t stack_high_water = 0;  // bytes, whole pages; zero unless asked for

  // What the goroutine is at, as Go's dumps say it: its wait reason while it waits, else its state.
  std::string status() const { return state == GoroutineState::waiting ? wait_reason : std::string(to_string(state)); }
};

// Returns every live goroutine, in the order of their ids. It is a snapshot that may be out of date as soon as it is
// taken. Any thread.
std::vector<GoroutineInfo> goroutines();

struct GoroutinesOptions {
  // Fill in GoroutineInfo::stack. This blocks the thread, for about 10 us a frame; no goroutine is stopped.
  bool stacks = false;
  // Fill in GoroutineInfo::stack_high_water: how much of the goroutine's stack is in memory, counted from its top to
  // the deepest page that was ever touched. Stacks are pooled and stay committed, so it tells how deep this goroutine,
  // or any that had the stack before it, went. A page that was swapped out does not count. It takes one system call for
  // each goroutine.
  bool high_water = false;
};

// Returns the same, with the parts that cost more. Any thread.
std::vector<GoroutineInfo> goroutines(GoroutinesOptions options);

// Returns the number of live goroutines; 0 when no runtime runs. Any thread.
std::size_t goroutine_count() noexcept;

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// Destroys the object at the end of the scope, also when exit_goroutine() ends the scope.
template <typename T>
struct DestroyAtEnd {
  T* object;
  ~DestroyAtEnd() { object->~T(); }
};

template <typename F>
void go(const GoOptions* options, F&& fn, const SourceLocation& where, const AfterEnd& after = {}) {
  using Fn = std::decay_t<F>;
  static_assert(std::is_invocable_v<Fn&>, "weft::go takes a function without parameters");
  if constexpr (sizeof(Fn) <= kMaxInlineClosure && alignof(Fn) <= alignof(std::max_align_t) &&
                std::is_nothrow_constructible_v<Fn, F&&>) {
    const auto entry = [](void* closure) {
      const DestroyAtEnd<Fn> body{static_cast<Fn*>(closure)};
      (*body.object)();
    };
    const Spawn spawn = prepare_goroutine(sizeof(Fn), alignof(Fn), entry, where, options, after);
    ::new (spawn.closure) Fn(std::forward<F>(fn));
    start_goroutine(spawn);
  } else {
    detail::go(
        options, [body = std::make_unique<Fn>(std::forward<F>(fn))] { (*body)(); }, where, after);
  }
}

}  // namespace detail

template <typename F>
void go(F&& fn, SourceLocation where) {
  detail::go(nullptr, std::forward<F>(fn), where);
}

template <typename F>
void go(const GoOptions& options, F&& fn, SourceLocation where) {
  detail::go(&options, std::forward<F>(fn), where);
}

template <typename F>
int run(F&& main, RuntimeOptions options) {
  struct Frame {
    std::decay_t<F>* main;
    int status;
  };
  std::decay_t<F> body(std::forward<F>(main));
  Frame frame{&body, 0};
  const int started = detail::run_main(
      [](void* closure) {
        Frame* const f = static_cast<Frame*>(closure);
        if constexpr (std::is_convertible_v<std::invoke_result_t<std::decay_t<F>&>, int>) {
          f->status = (*f->main)();
        } else {
          (*f->main)();
        }
      },
      &frame, options);
  return started != 0 ? started : frame.status;
}

}  // namespace weft
