// What weft tells about the thread that runs a goroutine is true after every kind of park, however hard the compiler
// optimises.
//
// Goroutines migrate between the threads of four processors. Before and after each park they look at every accessor
// that reads a thread-local, in one function in which everything may be inlined. The accessors must agree with the
// thread that the kernel names as the running one. The program prints one line and ends with status 0 when all
// accessors agreed, and when at least kMigrations parks ended on another thread than they began on.
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "runtime/src/arch/fiber_switch.h"
#include "runtime/src/base/errno.h"
#include "runtime/src/sched/go.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sched/processor.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

constexpr int kProcs = 4;
constexpr int kGoroutines = 16;
constexpr int kParks = 4000;  // at least so many for each goroutine
constexpr std::uint64_t kMigrations = 2000;
constexpr std::chrono::seconds kPatience{150};
constexpr std::size_t kMaxMachines = 4096;

std::atomic<std::uint64_t> migrations{0};
std::atomic<std::uint64_t> parks{0};
std::atomic<std::uint64_t> stale{0};  // counts the looks at which the compiler's address of errno was another thread's

// By machine: what its thread had when that thread was first seen.
std::array<std::atomic<long>, kMaxMachines> threads;
std::array<std::atomic<long>, kMaxMachines> exception_globals;

[[gnu::noinline]] int* address_of_errno() {
  asm volatile("");
  return &errno;
}

[[noreturn]] void fail(const char* what, long got, long want) {
  std::fprintf(stderr, "thread_locals: %s: got %ld, want %ld\n", what, got, want);
  std::_Exit(1);
}

void expect(const char* what, long got, long want) {
  if (got != want) fail(what, got, want);
}

[[gnu::always_inline]] inline long thread_id() { return ::syscall(SYS_gettid); }

// The first caller sets the value. The others must have the same value.
[[gnu::always_inline]] inline void expect_same(const char* what, std::atomic<long>& known, long value) {
  long seen = known.load(std::memory_order_relaxed);
  if (seen == 0 && known.compare_exchange_strong(seen, value, std::memory_order_relaxed)) return;
  if (seen != value) fail(what, value, seen);
}

struct Self {
  std::uint64_t id;
  std::uint64_t parent;
};

// Looks at all accessors on one thread: nothing in this function parks.
[[gnu::always_inline]] inline long look(const Self& self, int round) {
  const long thread = thread_id();
  const int machine = weft::machine_id();
  if (machine < 0 || static_cast<std::size_t>(machine) >= kMaxMachines) fail("machine id", machine, 0);
  const auto m = static_cast<std::size_t>(machine);
  expect_same("thread of the machine", threads[m], thread);
  expect("current_machine", weft::rt::current_machine()->id(), machine);

  // The processor that the machine held last; it may have been taken away since.
  const int before = weft::processor_id();
  const int between = weft::rt::current_machine()->last_processor();
  const int after = weft::processor_id();
  if (before == after) expect("processor of the machine", between, before);
  if (before >= kProcs) fail("processor id", before, kProcs);

  expect("goroutine id", static_cast<long>(weft::this_goroutine::id()), static_cast<long>(self.id));
  expect("parent id", static_cast<long>(weft::this_goroutine::parent_id()), static_cast<long>(self.parent));
  expect("current goroutine", static_cast<long>(weft::rt::current_goroutine()->id.load(std::memory_order_relaxed)),
         static_cast<long>(self.id));
  expect("on_goroutine", weft::rt::on_goroutine(), true);

  const bool odd = round % 2 != 0;
  static_cast<void>(odd ? ::close(-1) : ::chdir(""));
  expect("errno", weft::rt::last_errno(), odd ? EBADF : ENOENT);
  weft::rt::set_errno(odd ? EPERM : EINTR);
  expect("errno that was set", *address_of_errno(), odd ? EPERM : EINTR);

  expect_same("exception globals of the machine", exception_globals[m],
              reinterpret_cast<long>(weft::rt::thread_exception_globals()));
  expect("thread after all", thread_id(), thread);

  // A user might write this. It is not asserted, because it depends on the compiler. The count shows what the accessors
  // are for.
  if (&errno != address_of_errno()) stale.fetch_add(1, std::memory_order_relaxed);
  return thread;
}

struct Shared {
  weft::Mutex mutex;
  weft::Chan<int> ping[kGoroutines / 2];
  weft::Chan<int> pong[kGoroutines / 2];
};

// Suspends the goroutine in every possible way. Goroutines 2k and 2k + 1 are partners: they make the same number of
// parks.
[[gnu::always_inline]] inline void suspend(Shared& shared, int me, int round) {
  switch (round % 8) {
    case 0: {
      const std::lock_guard lock(shared.mutex);
      weft::yield();
      break;
    }
    case 1:
      weft::sleep(std::chrono::microseconds(1));
      break;
    case 2:
    case 3:
      if (me % 2 == 0) {
        shared.ping[me / 2].send(round);
        expect("pong", *shared.pong[me / 2].recv(), round);
      } else {
        expect("ping", *shared.ping[me / 2].recv(), round);
        shared.pong[me / 2].send(round);
      }
      break;
    case 4: {
      weft::WaitGroup child;
      child.go([] { weft::yield(); });
      child.wait();
      break;
    }
    default:
      weft::yield();
      break;
  }
}

void body(Shared& shared, int me) {
  const Self self{weft::this_goroutine::id(), weft::this_goroutine::parent_id()};
  for (int round = 0; round < kParks; ++round) {
    const long before = look(self, round);
    if (round % 5 == 0) {
      try {
        throw me * kParks + round;
      } catch (int value) {
        suspend(shared, me, round);
        expect("caught value", value, me * kParks + round);
        expect("current exception", std::current_exception() != nullptr, true);
      }
      expect("no exception", std::current_exception() == nullptr, true);
    } else {
      suspend(shared, me, round);
    }
    expect("uncaught exceptions", std::uncaught_exceptions(), 0);
    const long after = look(self, round + 1);
    parks.fetch_add(1, std::memory_order_relaxed);
    if (before != after) migrations.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace

int main() {
  return weft::run(
      [] {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        do {
          Shared shared;
          for (auto& ch : shared.ping) ch = weft::make_chan<int>();
          for (auto& ch : shared.pong) ch = weft::make_chan<int>();
          weft::WaitGroup all;
          for (int i = 0; i < kGoroutines; ++i) all.go([&shared, i] { body(shared, i); });
          all.wait();
          if (std::chrono::steady_clock::now() > end) {
            fail("migrations in time", static_cast<long>(migrations.load(std::memory_order_relaxed)),
                 static_cast<long>(kMigrations));
          }
        } while (migrations.load(std::memory_order_relaxed) < kMigrations);
        std::printf("%llu of %llu parks ended on another thread; a plain errno was another thread's %llu times\n",
                    static_cast<unsigned long long>(migrations.load(std::memory_order_relaxed)),
                    static_cast<unsigned long long>(parks.load(std::memory_order_relaxed)),
                    static_cast<unsigned long long>(stale.load(std::memory_order_relaxed)));
        return 0;
      },
      {.procs = kProcs});
}
