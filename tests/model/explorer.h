// Explorer: runs a small concurrent program under every schedule, and with every value that a load may read.
//
// A program has two to four threads. Each thread is a fiber, and the threads run weft's own templates, instantiated
// with ModelAtomics. Each atomic operation, lock, sleep and wake-up is a scheduling point. explore() runs the program
// again and again from its start, each time along the next branch of a stack of choices (which thread goes next; which
// value a load reads), until no branch is left. This is a stateless, depth-first search.
//
// Memory model: that of C++20, by views. An atomic holds all values that were ever stored to it, in the order of the
// stores. A thread has a view, which says for each atomic how far the thread has seen. A load may read the last value,
// or any older one that the view allows. A release store takes the view along, and an acquire load joins it. Relaxed
// accesses with fences, release sequences, seq_cst accesses and seq_cst fences (a global view) are those of C++20. So a
// store that has not left the store buffer is a load elsewhere that reads the older value. The search explores
// everything that x86 (TSO) may do, and with it most of what a weaker machine may do. heavy_barrier() is membarrier(2):
// a seq_cst fence in each thread, one after the other.
//
// The explorer finds: a require() or WEFT_CHECK that fails; a deadlock or lost wake-up (nobody can go on, and quiet()
// has nobody to wake); a livelock (more than max_steps steps); a race on a Plain (accesses that no happens-before
// orders); an access to an atomic after its end.
//
// It does not cover these:
//   - Stores to one atomic take their places in its modification order as they are executed (no later store goes before
//     an earlier one), and no load reads from the future. Of the standard litmus tests, this loses 2+2W and load
//     buffering with relaxed stores, which x86 does not show either.
//   - compare_exchange_weak does not fail spuriously; sleep and futex waits are not woken spuriously.
//   - After pause() a thread sees the latest values, and goes on only when something was written. So a loop that polls
//     is not unrolled for ever.
//   - light_barrier() does nothing: the explorer never reorders as a compiler does.
//   - Sleeping, waking and Mutex are one step each, and order as a release and an acquire do.
//
// Reduction: sleep sets. Of two steps that commute, only one order is explored. A load commutes with a store to the
// same atomic that was explored first, because after the store the load may still read the older value (but not when
// both are seq_cst). With a bound on preemptions the sleep sets are off, because the two together would miss schedules.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace weft::model {

inline constexpr int kMaxThreads = 4;
inline constexpr int kMaxObjects = 60;

// What the threads share. It is made anew for each execution.
class Program {
 public:
  virtual ~Program() = default;
  // The body of the thread. It does the same operations in the same order whenever it reads the same values.
  virtual void run(int thread) = 0;
  // Called when nobody can go on. Checks that this is as it should be, and wakes those who sleep rightly, so that they
  // end. Waking nobody reports a deadlock.
  virtual void quiet() {}
  // Called when all threads have ended.
  virtual void check() {}
};

struct Options {
  int preemptions = -1;                       // switches away from a thread that could go on; -1: no bound
  int max_steps = 600;                        // steps of one execution; more are reported as a livelock
  std::uint64_t max_executions = 20'000'000;  // more are reported as a failure: the exploration is not complete
};

struct Report {
  bool holds = false;
  bool complete = true;  // false: max_executions ended the exploration
  std::string failure;   // what is wrong, then the schedule
  std::uint64_t executions = 0;
  std::uint64_t redundant = 0;  // how many of the executions were cut short as equal to others
  std::uint64_t steps = 0;
};

// `threads` are the names of the threads. Runs on the calling thread, which must not be a goroutine.
Report explore(const std::vector<const char*>& threads, const std::function<std::unique_ptr<Program>()>& make,
               const Options& options = {});

// Returns the running thread of the program, or -1 in constructors, quiet() and check().
int this_thread() noexcept;

// Ends the execution and the exploration with a report unless `condition` holds.
void require(bool condition, const char* text);

// A member that names the objects made after it in printed schedules. `fields` name the first objects; `rest` and a
// number name the others. All names are literals.
struct Label {
  explicit Label(const char* group, std::vector<const char*> fields = {}, const char* rest = "slot");
};

// --- what the templates under test are made of -----------------------------------------------------------------------

// The machine that the classes below call. Values are 64 bits wide.
namespace detail {

enum class RmwKind : std::uint8_t { exchange, add, sub, bit_or, bit_and };

int make_atomic(std::uint64_t value);
int make_object(const char* kind);
void end_object(int object) noexcept;
std::uint64_t load(int object, std::memory_order order);
void store(int object, std::uint64_t value, std::memory_order order);
// `mask` keeps the value to the width of the type.
std::uint64_t rmw(int object, RmwKind kind, std::uint64_t operand, std::uint64_t mask, std::memory_order order);
bool compare_exchange(int object, std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
                      std::memory_order failure);
void fence(std::memory_order order);
void heavy_barrier();
void pause();
void lock(int object);
bool try_lock(int object);
void unlock(int object);
void sleep(int object);
void interrupt(int object);
void futex_wait(int object, std::uint64_t expected);
void futex_wake(int object, int threads);

struct PlainAccess {
  int writer = -1;
  std::int16_t written = 0;
  std::array<std::int16_t, kMaxThreads> read{};
};
void plain_read(PlainAccess& access, const char* name);
void plain_write(PlainAccess& access, const char* name);

template <typename T>
std::uint64_t to_bits(T value) noexcept {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <typename T>
T from_bits(std::uint64_t bits) noexcept {
  T value{};
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

constexpr std::memory_order failure_order(std::memory_order order) noexcept {
  if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
  if (order == std::memory_order_release) return std::memory_order_relaxed;
  return order;
}

}  // namespace detail

// Has the interface of std::atomic, and calls the explorer. Outside the threads of a program (in constructors, quiet()
// and check()) it holds the last value.
template <typename T>
class Atomic {
 public:
  Atomic() : Atomic(T{}) {}
  Atomic(T value) : object_(detail::make_atomic(detail::to_bits(value))) {}  // NOLINT(google-explicit-constructor)
  ~Atomic() { detail::end_object(object_); }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order order) const { return detail::from_bits<T>(detail::load(object_, order)); }
  void store(T value, std::memory_order order) { detail::store(object_, detail::to_bits(value), order); }
  T exchange(T value, std::memory_order order) { return rmw(detail::RmwKind::exchange, value, order); }
  T fetch_add(T value, std::memory_order order) { return rmw(detail::RmwKind::add, value, order); }
  T fetch_sub(T value, std::memory_order order) { return rmw(detail::RmwKind::sub, value, order); }
  T fetch_or(T value, std::memory_order order) { return rmw(detail::RmwKind::bit_or, value, order); }
  T fetch_and(T value, std::memory_order order) { return rmw(detail::RmwKind::bit_and, value, order); }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure) {
    std::uint64_t bits = detail::to_bits(expected);
    const bool done = detail::compare_exchange(object_, bits, detail::to_bits(desired), success, failure);
    if (!done) expected = detail::from_bits<T>(bits);
    return done;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) {
    return compare_exchange_strong(expected, desired, success, failure);
  }

  int object() const noexcept { return object_; }

 private:
  T rmw(detail::RmwKind kind, T operand, std::memory_order order) {
    constexpr std::uint64_t kMask =
        sizeof(T) == sizeof(std::uint64_t) ? ~std::uint64_t{0} : (std::uint64_t{1} << (sizeof(T) * 8 % 64)) - 1;
    return detail::from_bits<T>(detail::rmw(object_, kind, detail::to_bits(operand), kMask, order));
  }

  int object_;
};

// The model's twin of rt::StdAtomics.
struct ModelAtomics {
  template <typename T>
  using Atomic = model::Atomic<T>;
  static void fence(std::memory_order order) { detail::fence(order); }
  static void fence_after_rmw() { detail::fence(std::memory_order_seq_cst); }
  static void light_barrier() noexcept {}
  static bool heavy_barrier() {
    detail::heavy_barrier();
    return true;
  }
  static void pause() { detail::pause(); }
  static void pause_long() { detail::pause(); }
};

// A lock that is right. It guards what a lock guards beside the protocol under test.
class Mutex {
 public:
  Mutex() : object_(detail::make_object("mutex")) {}
  ~Mutex() { detail::end_object(object_); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock() { detail::lock(object_); }
  bool try_lock() { return detail::try_lock(object_); }
  void unlock() { detail::unlock(object_); }

 private:
  int object_;
};

// A sticky wake-up for one sleeper, like that of a poller: an interrupt() that comes first is not lost, and two count
// as one.
class Sleep {
 public:
  Sleep() : object_(detail::make_object("sleep")) {}
  ~Sleep() { detail::end_object(object_); }
  Sleep(const Sleep&) = delete;
  Sleep& operator=(const Sleep&) = delete;
  void sleep() { detail::sleep(object_); }
  void interrupt() { detail::interrupt(object_); }

 private:
  int object_;
};

// Waits on an Atomic as on a futex.
template <typename T>
void futex_wait(const Atomic<T>& word, T expected) {
  detail::futex_wait(word.object(), detail::to_bits(expected));
}
template <typename T>
void futex_wake(const Atomic<T>& word, int threads) {
  detail::futex_wake(word.object(), threads);
}

// A variable that is not atomic. Each access must come after the accesses that conflict with it; otherwise there is a
// data race, as in C++.
template <typename T>
class Plain {
 public:
  explicit Plain(const char* name, T value = {}) : name_(name), value_(value) {}
  T get() const {
    detail::plain_read(access_, name_);
    return value_;
  }
  void set(T value) {
    detail::plain_write(access_, name_);
    value_ = value;
  }

 private:
  const char* name_;
  T value_;
  mutable detail::PlainAccess access_;
};

}  // namespace weft::model
