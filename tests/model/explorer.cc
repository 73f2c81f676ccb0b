#include "model/explorer.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "runtime/src/arch/fiber_switch.h"

namespace weft::model {
namespace {

constexpr std::size_t kStackSize = 256 * 1024;

// What a thread has seen. `at` has the index of a value for each object. `clock` has each thread's clock, which orders
// accesses to Plains.
struct View {
  std::array<std::int16_t, kMaxThreads> clock{};
  std::array<std::int16_t, kMaxObjects> at{};

  void join(const View& other) noexcept {
    for (std::size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], other.clock[i]);
    join_values(other);
  }
  void join_values(const View& other) noexcept {
    for (std::size_t i = 0; i < at.size(); ++i) at[i] = std::max(at[i], other.at[i]);
  }
};

enum class OpKind : std::uint8_t {
  start,
  load,
  store,
  rmw,
  compare_exchange,
  fence,
  heavy_barrier,
  pause,
  lock,
  try_lock,
  unlock,
  sleep,
  interrupt,
  futex_wait,
  futex_asleep,
  futex_wake,
  end,
};

struct Op {
  OpKind kind = OpKind::start;
  bool seq_cst = false;
  int object = -1;
};

bool is_barrier(const Op& op) noexcept { return op.kind == OpKind::heavy_barrier; }
bool changes_something(const Op& op) noexcept {
  return op.object >= 0 && op.kind != OpKind::load;  // an exchange that fails changes nothing; this is known only later
}

// Returns true when `now` then `explored_first` is covered, because `explored_first` then `now` is explored.
bool covered(const Op& explored_first, const Op& now) noexcept {
  if (is_barrier(explored_first) || is_barrier(now)) return false;
  const bool both_seq_cst = explored_first.seq_cst && now.seq_cst;
  if (explored_first.kind == OpKind::fence || now.kind == OpKind::fence) return !both_seq_cst;
  if (explored_first.kind == OpKind::pause) return !changes_something(now);
  if (now.kind == OpKind::pause) return !changes_something(explored_first);
  if (explored_first.object < 0 || explored_first.object != now.object) return true;
  return now.kind == OpKind::load && !both_seq_cst;
}

struct Message {
  std::uint64_t value = 0;
  View view;
};

struct Object {
  const char* group = nullptr;
  const char* field = nullptr;
  int index = -1;  // printed when not negative
  bool alive = true;
  // For atomics.
  std::vector<Message> messages;
  std::size_t count = 0;  // messages in use; the rest are kept for the next execution
  // For mutexes: the holder. For sleeps: 0 when interrupted.
  int holder = -1;
  View view;

  void push(std::uint64_t value, const View& v) {
    if (count == messages.size()) messages.emplace_back();
    messages[count].value = value;
    messages[count].view = v;
    ++count;
  }
};

// One line of the printed schedule.
struct Event {
  int thread = -1;
  OpKind kind = OpKind::start;
  int object = -1;
  std::memory_order order = std::memory_order_seq_cst;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  int older = 0;  // how many newer values there were than the value read
  bool done = false;
};

// A branching point of the search: the choice is among the threads in `options`, or among `count` values.
struct Choice {
  std::array<std::int8_t, kMaxThreads> options{};
  int count = 0;
  int next = 0;        // index of the option taken
  unsigned sleep = 0;  // threads whose step from here is covered elsewhere
  bool of_value = false;
};

struct Thread {
  const char* name = nullptr;
  rt::Fiber fiber;
  std::unique_ptr<char[]> stack;
  Op pending;
  bool done = false;
  View view;
  View acquired;  // seen by relaxed loads, for an acquire fence
  View released;  // the view at the last release fence
  View seen;      // seen by pause(); this orders nothing
  std::int64_t pause_mark = -1;
  bool woken = false;
};

bool acquires(std::memory_order order) noexcept {
  return order == std::memory_order_acquire || order == std::memory_order_consume ||
         order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}
bool releases(std::memory_order order) noexcept {
  return order == std::memory_order_release || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}

const char* order_text(std::memory_order order) noexcept {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_consume:
      return "consume";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_seq_cst:
      return "seq_cst";
  }
  return "?";
}

// Ends quiet() or check() after a failure.
struct Stopped {};

class Explorer {
 public:
  Explorer(const std::vector<const char*>& names, const std::function<std::unique_ptr<Program>()>& make,
           const Options& options);
  ~Explorer();
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  // Returns true when the program holds. After false the explorer must not be destroyed, because threads are in the
  // middle of their stacks.
  bool run(Report& report);

  [[noreturn]] void stop_here(std::string text);
  void fail(std::string text);
  std::string schedule() const;

  int self() const noexcept { return self_; }
  int make(const char* kind);
  void set_label(const char* group, std::vector<const char*> fields, const char* rest);
  void end_object(int object);

  std::uint64_t load(int object, std::memory_order order);
  void store(int object, std::uint64_t value, std::memory_order order);
  std::uint64_t rmw(int object, detail::RmwKind kind, std::uint64_t operand, std::uint64_t mask,
                    std::memory_order order);
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
  void plain_read(detail::PlainAccess& access, const char* name);
  void plain_write(detail::PlainAccess& access, const char* name);

  void push_initial(int object, std::uint64_t value) { at(object).push(value, View()); }

 private:
  struct Start {
    Explorer* explorer;
    int thread;
  };

  static void thread_entry(void* start);
  Object& at(int object) noexcept { return objects_[static_cast<std::size_t>(object)]; }
  Thread& me() noexcept { return threads_[static_cast<std::size_t>(self_)]; }
  bool in_thread() const noexcept { return self_ >= 0; }

  bool execute_and_check();
  bool execute();
  bool next_branch();
  void point(Op op);
  void switch_to(int thread);
  int pick();
  int choose_thread(unsigned enabled);
  void order_options(Choice& choice, unsigned candidates) const;
  void narrow_sleep(unsigned slept, int chosen);
  int choose_value(int count);
  unsigned enabled_threads() noexcept;
  bool enabled(const Thread& t) noexcept;

  int floor_of(const Thread& t, int object, bool seq_cst) noexcept;
  void read_message(Thread& t, int object, int index, std::memory_order order);
  void write_message(Thread& t, int object, std::uint64_t value, std::memory_order order, bool continues_release);
  void full_fence(Thread& t) noexcept;
  View everything() const;
  void require_ordered_after_write(const detail::PlainAccess& access, const char* verb, const char* name);
  void note(OpKind kind, int object, std::memory_order order, std::uint64_t before, std::uint64_t after, int older = 0,
            bool done = true);
  std::string object_name(int object) const;
  std::string event_text(const Event& e) const;

  const std::function<std::unique_ptr<Program>()>& make_;
  const Options options_;
  std::vector<Thread> threads_;
  std::vector<Start> starts_;
  rt::Fiber main_;
  rt::ExceptionGlobals* const exception_globals_ = rt::thread_exception_globals();
  std::unique_ptr<Program> program_;

  // The state of the search.
  std::vector<Choice> choices_;
  std::size_t depth_ = 0;  // choices made in this execution

  // The state of one execution.
  int self_ = -1;     // the running thread; -1: none
  int running_ = -1;  // the thread that made the last step
  bool prelude_ = false;
  bool redundant_ = false;  // the rest of this execution is covered elsewhere, so it only runs to its end
  unsigned sleep_ = 0;
  int preemptions_ = 0;
  int steps_ = 0;
  std::int64_t writes_ = 0;
  std::vector<Object> objects_;
  std::size_t object_count_ = 0;
  View seq_cst_;
  std::vector<Event> events_;
  std::string failure_;

  const char* group_ = "";
  std::vector<const char*> fields_;
  const char* rest_ = "";
  std::size_t labelled_ = 0;
};

Explorer* current = nullptr;

// A check that fails inside a template under test aborts the process. This prints the schedule that led there first.
void print_schedule_on_abort(int) {
  if (current != nullptr) {
    const std::string text = current->schedule();
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
  }
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
}

Explorer::Explorer(const std::vector<const char*>& names, const std::function<std::unique_ptr<Program>()>& make,
                   const Options& options)
    : make_(make), options_(options), threads_(names.size()), objects_(kMaxObjects) {
  rt::adopt_thread(main_);
  starts_.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    Thread& t = threads_[i];
    t.name = names[i];
    t.stack = std::make_unique<char[]>(kStackSize);
    starts_.push_back({this, static_cast<int>(i)});
    const auto top = reinterpret_cast<std::uintptr_t>(t.stack.get() + kStackSize) & ~std::uintptr_t{15};
    rt::make_fiber(t.fiber, t.stack.get(), reinterpret_cast<void*>(top), &thread_entry, &starts_[i]);
  }
}

Explorer::~Explorer() {
  for (Thread& t : threads_) rt::destroy_fiber(t.fiber);
}

// One fiber serves all executions: it runs the body, hands over, and is resumed for the next execution.
void Explorer::thread_entry(void* start) {
  rt::fiber_started();
  Explorer& e = *static_cast<Start*>(start)->explorer;
  const int self = static_cast<Start*>(start)->thread;
  for (;;) {
    e.program_->run(self);
    e.me().done = true;
    e.switch_to(e.prelude_ ? -1 : e.pick());
  }
}

// --- the search ------------------------------------------------------------------------------------------------------

bool Explorer::run(Report& report) {
  bool more = true;
  while (more) {
    if (report.executions == options_.max_executions) {
      report.complete = false;
      failure_ = "not complete: the bound on executions was reached";
      break;
    }
    const bool held = execute_and_check();
    ++report.executions;
    report.redundant += redundant_ ? 1 : 0;
    report.steps += static_cast<std::uint64_t>(steps_);
    if (!held) break;
    more = next_branch();
  }
  report.holds = failure_.empty();
  if (!report.holds) report.failure = failure_ + "\n" + schedule();
  return report.holds;
}

bool Explorer::execute_and_check() {
  try {
    return execute();
  } catch (const Stopped&) {
    return false;
  }
}

bool Explorer::execute() {
  depth_ = 0;
  self_ = running_ = -1;
  redundant_ = false;
  sleep_ = 0;
  preemptions_ = steps_ = 0;
  writes_ = 0;
  object_count_ = 0;
  seq_cst_ = {};
  events_.clear();
  set_label("", {}, "atomic");

  for (Thread& t : threads_) t.view = {};
  program_ = make_();
  const View all = everything();
  for (Thread& t : threads_) {
    t.pending = {};
    t.done = t.woken = false;
    t.view = all;
    t.acquired = t.released = t.seen = {};
    t.pause_mark = -1;
  }
  prelude_ = true;
  for (std::size_t i = 0; i < threads_.size(); ++i) switch_to(static_cast<int>(i));
  prelude_ = false;

  const auto ended = [](const Thread& t) { return t.done; };
  for (;;) {
    const int next = pick();
    if (next >= 0) switch_to(next);
    if (!failure_.empty()) return false;
    if (std::ranges::all_of(threads_, ended)) break;
    program_->quiet();
    if (!failure_.empty()) return false;
    if (enabled_threads() == 0) {
      fail("deadlock or lost wake-up: nobody can go on");
      return false;
    }
  }
  program_->check();
  if (!failure_.empty()) return false;
  program_.reset();
  return true;
}

bool Explorer::next_branch() {
  while (!choices_.empty()) {
    Choice& c = choices_.back();
    if (!c.of_value) c.sleep |= 1u << c.options[static_cast<std::size_t>(c.next)];
    if (++c.next < c.count) return true;
    choices_.pop_back();
  }
  return false;
}

// --- scheduling ------------------------------------------------------------------------------------------------------

void Explorer::switch_to(int thread) {
  rt::Fiber& from = self_ < 0 ? main_ : me().fiber;
  const int self = self_;
  self_ = thread;
  rt::Fiber& to = thread < 0 ? main_ : me().fiber;
  if (&from != &to) rt::switch_fiber(from, to, exception_globals_);
  self_ = self;
}

// Returns when it is this thread's turn to do `op`.
void Explorer::point(Op op) {
  Thread& t = me();
  t.pending = op;
  switch_to(prelude_ ? -1 : pick());
  t.pending = {};
  // A futex may be woken by its former address: that is harmless.
  if (op.object >= 0 && op.kind != OpKind::futex_wake && !at(op.object).alive)
    stop_here(object_name(op.object) + " is used after its end");
  ++t.view.clock[static_cast<std::size_t>(self_)];
}

bool Explorer::enabled(const Thread& t) noexcept {
  if (t.done) return false;
  switch (t.pending.kind) {
    case OpKind::lock:
      return at(t.pending.object).holder < 0;
    case OpKind::sleep:
      return at(t.pending.object).holder == 0;
    case OpKind::futex_asleep:
      return t.woken;
    case OpKind::pause:
      return writes_ > t.pause_mark;
    default:
      return true;
  }
}

unsigned Explorer::enabled_threads() noexcept {
  unsigned set = 0;
  for (std::size_t i = 0; i < threads_.size(); ++i) set |= enabled(threads_[i]) ? 1u << i : 0u;
  return set;
}

// Returns the thread that makes the next step, or -1 when no thread can.
int Explorer::pick() {
  const unsigned enabled = enabled_threads();
  if (enabled == 0) return -1;
  if (++steps_ > options_.max_steps) {
    fail("livelock: the execution takes more than " + std::to_string(options_.max_steps) + " steps");
    return -1;
  }
  const int chosen = choose_thread(enabled);
  running_ = chosen;
  return chosen;
}

int Explorer::choose_thread(unsigned enabled) {
  const bool bounded = options_.preemptions >= 0;
  const bool may_stay = running_ >= 0 && (enabled & 1u << running_) != 0 &&
                        threads_[static_cast<std::size_t>(running_)].pending.kind != OpKind::pause;
  if (redundant_) return may_stay ? running_ : std::countr_zero(enabled);

  unsigned candidates = enabled & ~sleep_;
  if (bounded && may_stay && preemptions_ >= options_.preemptions) candidates = 1u << running_;
  if (candidates == 0) {
    redundant_ = true;
    return std::countr_zero(enabled);
  }
  int chosen = std::countr_zero(candidates);
  unsigned slept = sleep_;
  if (!std::has_single_bit(candidates)) {
    if (depth_ == choices_.size()) {
      Choice fresh;
      fresh.sleep = sleep_;
      order_options(fresh, candidates);
      choices_.push_back(fresh);
    }
    const Choice& choice = choices_[depth_++];
    chosen = choice.options[static_cast<std::size_t>(choice.next)];
    slept = choice.sleep;
  }
  if (bounded) {
    if (may_stay && chosen != running_) ++preemptions_;
  } else {
    narrow_sleep(slept, chosen);
  }
  return chosen;
}

// Without a bound, writers go first, because loads that follow cover the loads that come before. With a bound, the
// running thread goes first.
void Explorer::order_options(Choice& choice, unsigned candidates) const {
  const auto add = [&](unsigned set) {
    for (; set != 0; set &= set - 1)
      choice.options[static_cast<std::size_t>(choice.count++)] = static_cast<std::int8_t>(std::countr_zero(set));
  };
  unsigned first = 0;
  if (options_.preemptions >= 0) {
    if (running_ >= 0) first = candidates & 1u << running_;
  } else {
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      if (changes_something(threads_[i].pending)) first |= candidates & 1u << i;
    }
  }
  add(first);
  add(candidates & ~first);
}

// A thread stays asleep while the step that is taken now does not touch what was explored for that thread.
void Explorer::narrow_sleep(unsigned slept, int chosen) {
  const Op& now = threads_[static_cast<std::size_t>(chosen)].pending;
  sleep_ = 0;
  for (unsigned set = slept & ~(1u << chosen); set != 0; set &= set - 1) {
    const int thread = std::countr_zero(set);
    if (covered(threads_[static_cast<std::size_t>(thread)].pending, now)) sleep_ |= 1u << thread;
  }
}

int Explorer::choose_value(int count) {
  if (count == 1 || redundant_) return 0;
  if (depth_ == choices_.size()) {
    Choice fresh;
    fresh.of_value = true;
    fresh.count = count;
    choices_.push_back(fresh);
  }
  return choices_[depth_++].next;
}

// --- the memory ------------------------------------------------------------------------------------------------------

int Explorer::floor_of(const Thread& t, int object, bool seq_cst) noexcept {
  const auto i = static_cast<std::size_t>(object);
  const int floor = std::max(t.view.at[i], t.seen.at[i]);
  return seq_cst ? std::max<int>(floor, seq_cst_.at[i]) : floor;
}

void Explorer::read_message(Thread& t, int object, int index, std::memory_order order) {
  const auto i = static_cast<std::size_t>(object);
  const Message& m = at(object).messages[static_cast<std::size_t>(index)];
  t.view.at[i] = std::max(t.view.at[i], static_cast<std::int16_t>(index));
  if (acquires(order)) {
    t.view.join(m.view);
  } else {
    t.acquired.join(m.view);
  }
  if (order == std::memory_order_seq_cst) seq_cst_.at[i] = std::max(seq_cst_.at[i], static_cast<std::int16_t>(index));
}

void Explorer::write_message(Thread& t, int object, std::uint64_t value, std::memory_order order,
                             bool continues_release) {
  const auto i = static_cast<std::size_t>(object);
  Object& o = at(object);
  const auto index = static_cast<std::int16_t>(o.count);
  t.view.at[i] = index;
  o.push(value, releases(order) ? t.view : t.released);
  Message& m = o.messages[o.count - 1];
  m.view.at[i] = index;
  if (continues_release) m.view.join(o.messages[o.count - 2].view);
  if (order == std::memory_order_seq_cst) seq_cst_.at[i] = index;
  ++writes_;
}

std::uint64_t Explorer::load(int object, std::memory_order order) {
  if (!in_thread()) return at(object).messages[at(object).count - 1].value;
  const bool seq_cst = order == std::memory_order_seq_cst;
  point({OpKind::load, seq_cst, object});
  const int last = static_cast<int>(at(object).count) - 1;
  const int older = choose_value(last - floor_of(me(), object, seq_cst) + 1);
  read_message(me(), object, last - older, order);
  const std::uint64_t value = at(object).messages[static_cast<std::size_t>(last - older)].value;
  note(OpKind::load, object, order, value, 0, older);
  return value;
}

void Explorer::store(int object, std::uint64_t value, std::memory_order order) {
  if (!in_thread()) {
    at(object).push(value, everything());
    at(object).messages[at(object).count - 1].view.at[static_cast<std::size_t>(object)] =
        static_cast<std::int16_t>(at(object).count - 1);
    ++writes_;
    return;
  }
  point({OpKind::store, order == std::memory_order_seq_cst, object});
  write_message(me(), object, value, order, false);
  note(OpKind::store, object, order, 0, value);
}

std::uint64_t Explorer::rmw(int object, detail::RmwKind kind, std::uint64_t operand, std::uint64_t mask,
                            std::memory_order order) {
  if (in_thread()) point({OpKind::rmw, order == std::memory_order_seq_cst, object});
  const std::uint64_t before = at(object).messages[at(object).count - 1].value;
  std::uint64_t after = operand;
  switch (kind) {
    case detail::RmwKind::exchange:
      break;
    case detail::RmwKind::add:
      after = before + operand;
      break;
    case detail::RmwKind::sub:
      after = before - operand;
      break;
    case detail::RmwKind::bit_or:
      after = before | operand;
      break;
    case detail::RmwKind::bit_and:
      after = before & operand;
      break;
  }
  after &= mask;
  if (!in_thread()) {
    store(object, after, order);
    return before;
  }
  read_message(me(), object, static_cast<int>(at(object).count) - 1, order);
  write_message(me(), object, after, order, true);
  note(OpKind::rmw, object, order, before, after);
  return before;
}

bool Explorer::compare_exchange(int object, std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
                                std::memory_order failure) {
  if (!in_thread()) {
    const std::uint64_t before = load(object, success);
    if (before == expected) store(object, desired, success);
    return std::exchange(expected, before) == before;
  }
  const bool failure_seq_cst = failure == std::memory_order_seq_cst;
  point({OpKind::compare_exchange, success == std::memory_order_seq_cst || failure_seq_cst, object});
  const Object& o = at(object);
  const int last = static_cast<int>(o.count) - 1;
  // A compare-exchange succeeds only on the last value. It may fail on an older value that differs.
  std::array<int, 64> outcomes{};
  int n = 0;
  outcomes[static_cast<std::size_t>(n++)] = 0;
  const int floor = floor_of(me(), object, failure_seq_cst);
  for (int older = 1; last - older >= floor && n < static_cast<int>(outcomes.size()); ++older) {
    if (o.messages[static_cast<std::size_t>(last - older)].value != expected)
      outcomes[static_cast<std::size_t>(n++)] = older;
  }
  const int older = outcomes[static_cast<std::size_t>(choose_value(n))];
  const std::uint64_t before = o.messages[static_cast<std::size_t>(last - older)].value;
  if (older == 0 && before == expected) {
    read_message(me(), object, last, success);
    write_message(me(), object, desired, success, true);
    note(OpKind::compare_exchange, object, success, before, desired);
    return true;
  }
  read_message(me(), object, last - older, failure);
  note(OpKind::compare_exchange, object, failure, before, expected, older, false);
  expected = before;
  return false;
}

void Explorer::full_fence(Thread& t) noexcept {
  t.view.join(t.acquired);
  t.view.join_values(seq_cst_);
  seq_cst_.join_values(t.view);
  t.released = t.view;
}

// Only seq_cst fences are steps. The other fences concern no other thread.
void Explorer::fence(std::memory_order order) {
  if (!in_thread()) return;
  Thread& t = me();
  if (order == std::memory_order_seq_cst) {
    point({OpKind::fence, true, -1});
    full_fence(t);
  } else {
    if (acquires(order)) t.view.join(t.acquired);
    if (releases(order)) t.released = t.view;
  }
  note(OpKind::fence, -1, order, 0, 0);
}

// Every thread passes a fence at some time between the begin and the end of the barrier.
void Explorer::heavy_barrier() {
  if (!in_thread()) return;
  const int self = self_;
  for (int i = -1; i <= static_cast<int>(threads_.size()); ++i) {
    if (i == self) continue;
    const bool own = i < 0 || i == static_cast<int>(threads_.size());
    Thread& t = own ? me() : threads_[static_cast<std::size_t>(i)];
    point({OpKind::heavy_barrier, true, -1});
    full_fence(t);
    note(OpKind::heavy_barrier, own ? self : i, std::memory_order_seq_cst, 0, 0);
  }
}

void Explorer::pause() {
  if (!in_thread()) return;
  point({OpKind::pause, false, -1});
  for (std::size_t i = 0; i < object_count_; ++i)
    me().seen.at[i] = static_cast<std::int16_t>(objects_[i].count == 0 ? 0 : objects_[i].count - 1);
  me().pause_mark = writes_;
  note(OpKind::pause, -1, std::memory_order_relaxed, 0, 0);
}

// Returns what the main flow knows between the steps of executions, which is everything.
View Explorer::everything() const {
  View v;
  for (std::size_t i = 0; i < object_count_; ++i)
    v.at[i] = static_cast<std::int16_t>(objects_[i].count == 0 ? 0 : objects_[i].count - 1);
  for (std::size_t i = 0; i < threads_.size(); ++i) v.clock[i] = threads_[i].view.clock[i];
  return v;
}

// --- locks and sleep -------------------------------------------------------------------------------------------------

void Explorer::lock(int object) {
  if (!in_thread()) return;
  if (at(object).holder == self_) stop_here(object_name(object) + " is locked again by its holder");
  point({OpKind::lock, false, object});
  at(object).holder = self_;
  me().view.join(at(object).view);
  ++writes_;
  note(OpKind::lock, object, std::memory_order_acquire, 0, 0);
}

bool Explorer::try_lock(int object) {
  if (!in_thread()) return true;
  point({OpKind::try_lock, false, object});
  const bool free = at(object).holder < 0;
  if (free) {
    at(object).holder = self_;
    me().view.join(at(object).view);
    ++writes_;
  }
  note(OpKind::try_lock, object, std::memory_order_acquire, 0, 0, 0, free);
  return free;
}

void Explorer::unlock(int object) {
  if (!in_thread()) return;
  point({OpKind::unlock, false, object});
  if (at(object).holder != self_) stop_here(object_name(object) + " is unlocked by who does not hold it");
  at(object).holder = -1;
  at(object).view.join(me().view);
  ++writes_;
  note(OpKind::unlock, object, std::memory_order_release, 0, 0);
}

void Explorer::sleep(int object) {
  if (!in_thread()) return;
  point({OpKind::sleep, false, object});
  at(object).holder = -1;
  me().view.join(at(object).view);
  note(OpKind::sleep, object, std::memory_order_acquire, 0, 0);
}

void Explorer::interrupt(int object) {
  if (in_thread()) point({OpKind::interrupt, false, object});
  at(object).holder = 0;
  at(object).view.join(in_thread() ? me().view : everything());
  ++writes_;
  note(OpKind::interrupt, object, std::memory_order_release, 0, 0);
}

// The kernel compares and queues in one step. A second step follows when the thread was woken.
void Explorer::futex_wait(int object, std::uint64_t expected) {
  if (!in_thread()) return;
  point({OpKind::futex_wait, false, object});
  const std::uint64_t value = at(object).messages[at(object).count - 1].value;
  note(OpKind::futex_wait, object, std::memory_order_relaxed, value, expected, 0, value == expected);
  // The thread's own loads of the word do not return anything older than what the kernel read for the thread.
  me().seen.at[static_cast<std::size_t>(object)] = static_cast<std::int16_t>(at(object).count - 1);
  if (value != expected) return;
  me().woken = false;
  at(object).view.clock[static_cast<std::size_t>(self_)] = 1;  // queued
  point({OpKind::futex_asleep, false, -1});
  note(OpKind::futex_asleep, object, std::memory_order_relaxed, 0, 0);
}

void Explorer::futex_wake(int object, int threads) {
  if (in_thread()) point({OpKind::futex_wake, false, object});
  int woken = 0;
  for (std::size_t i = 0; i < threads_.size() && woken < threads; ++i) {
    std::int16_t& queued = at(object).view.clock[i];
    if (queued == 0) continue;
    queued = 0;
    threads_[i].woken = true;
    ++woken;
  }
  ++writes_;
  note(OpKind::futex_wake, object, std::memory_order_relaxed, static_cast<std::uint64_t>(woken), 0);
}

// --- plain variables -------------------------------------------------------------------------------------------------

void Explorer::require_ordered_after_write(const detail::PlainAccess& access, const char* verb, const char* name) {
  if (access.writer < 0 || access.writer == self_ ||
      me().view.clock[static_cast<std::size_t>(access.writer)] >= access.written) {
    return;
  }
  stop_here(std::string("data race: ") + me().name + verb + name + " without order after " +
            threads_[static_cast<std::size_t>(access.writer)].name + "'s write");
}

void Explorer::plain_read(detail::PlainAccess& access, const char* name) {
  if (!in_thread()) return;
  require_ordered_after_write(access, " reads ", name);
  access.read[static_cast<std::size_t>(self_)] = ++me().view.clock[static_cast<std::size_t>(self_)];
}

void Explorer::plain_write(detail::PlainAccess& access, const char* name) {
  if (!in_thread()) return;
  require_ordered_after_write(access, " writes ", name);
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (static_cast<int>(i) == self_ || access.read[i] <= me().view.clock[i]) continue;
    stop_here(std::string("data race: ") + me().name + " writes " + name + " without order after " + threads_[i].name +
              "'s read");
  }
  access.writer = self_;
  access.written = ++me().view.clock[static_cast<std::size_t>(self_)];
}

// --- objects and reports ---------------------------------------------------------------------------------------------

void Explorer::set_label(const char* group, std::vector<const char*> fields, const char* rest) {
  group_ = group;
  fields_ = std::move(fields);
  rest_ = rest;
  labelled_ = 0;
}

int Explorer::make(const char* kind) {
  if (object_count_ == kMaxObjects) {
    std::fputs("explorer: the program has more objects than kMaxObjects\n", stderr);
    std::abort();
  }
  Object& o = objects_[object_count_];
  const bool named = labelled_ < fields_.size();
  o.group = group_;
  o.field = named ? fields_[labelled_] : (kind != nullptr ? kind : rest_);
  o.index = named ? -1 : static_cast<int>(labelled_ - fields_.size());
  ++labelled_;
  o.alive = true;
  o.count = 0;
  o.holder = -1;
  o.view = {};
  return static_cast<int>(object_count_++);
}

void Explorer::end_object(int object) {
  if (in_thread()) {
    point({OpKind::end, false, object});
    note(OpKind::end, object, std::memory_order_relaxed, 0, 0);
  }
  at(object).alive = false;
}

void Explorer::fail(std::string text) {
  if (failure_.empty()) failure_ = std::move(text);
}

void Explorer::stop_here(std::string text) {
  fail(std::move(text));
  if (!in_thread()) throw Stopped();
  switch_to(-1);
  std::abort();  // nobody resumes a thread of an execution that failed
}

void Explorer::note(OpKind kind, int object, std::memory_order order, std::uint64_t before, std::uint64_t after,
                    int older, bool done) {
  events_.push_back({self_, kind, object, order, before, after, older, done});
}

std::string Explorer::object_name(int object) const {
  const Object& o = objects_[static_cast<std::size_t>(object)];
  std::string name = o.group;
  if (!name.empty()) name += '.';
  name += o.field;
  if (o.index >= 0) name += "[" + std::to_string(o.index) + "]";
  return name;
}

std::string number(std::uint64_t value) {
  std::ostringstream out;
  if (value > 0xffff) out << std::hex << std::showbase;
  out << value;
  return out.str();
}

std::string Explorer::event_text(const Event& e) const {
  std::string text = e.thread < 0 ? "-" : threads_[static_cast<std::size_t>(e.thread)].name;
  text.resize(std::max<std::size_t>(text.size() + 2, 14), ' ');
  const bool per_thread = e.kind == OpKind::heavy_barrier;
  if (e.object >= 0 && !per_thread) text += object_name(e.object) + " ";
  const std::string order = std::string(" (") + order_text(e.order) + ")";
  switch (e.kind) {
    case OpKind::load:
      text += "load -> " + number(e.before) + order;
      break;
    case OpKind::store:
      text += "store " + number(e.after) + order;
      break;
    case OpKind::rmw:
      text += number(e.before) + " => " + number(e.after) + order;
      break;
    case OpKind::compare_exchange:
      text += e.done ? "compare-exchange " + number(e.before) + " => " + number(e.after) + order
                     : "compare-exchange fails: " + number(e.before) + ", not " + number(e.after) + order;
      break;
    case OpKind::fence:
      text += std::string("fence") + order;
      break;
    case OpKind::heavy_barrier:
      text += std::string("heavy barrier in ") + threads_[static_cast<std::size_t>(e.object)].name;
      break;
    case OpKind::pause:
      text += "pause";
      break;
    case OpKind::lock:
      text += "lock";
      break;
    case OpKind::try_lock:
      text += e.done ? "try_lock" : "try_lock fails";
      break;
    case OpKind::unlock:
      text += "unlock";
      break;
    case OpKind::sleep:
      text += "wakes up";
      break;
    case OpKind::interrupt:
      text += "interrupt";
      break;
    case OpKind::futex_wait:
      text += e.done ? "futex wait: sleeps" : "futex wait: returns, it is " + number(e.before);
      break;
    case OpKind::futex_asleep:
      text += "futex wait: woken";
      break;
    case OpKind::futex_wake:
      text += "futex wake: " + number(e.before) + " threads";
      break;
    case OpKind::end:
      text += "ends";
      break;
    case OpKind::start:
      break;
  }
  if (e.older > 0) text += "   <- " + std::to_string(e.older) + " older than the last";
  return text;
}

std::string Explorer::schedule() const {
  constexpr std::size_t kMostLines = 100;
  const std::size_t skipped = events_.size() > kMostLines ? events_.size() - kMostLines : 0;
  std::string text = skipped == 0 ? "" : "  (" + std::to_string(skipped) + " steps)\n";
  for (std::size_t i = skipped; i < events_.size(); ++i) text += "  " + event_text(events_[i]) + "\n";
  for (const Thread& t : threads_) {
    if (t.done) continue;
    text += std::string("  ") + t.name + " has not ended";
    if (t.pending.object >= 0) text += "; its next step is on " + object_name(t.pending.object);
    text += "\n";
  }
  return text;
}

// The threads of an execution that failed are in the middle of their stacks. The stacks hold pointers to memory that
// nobody frees.
void keep_for_ever(std::unique_ptr<Explorer> explorer) {
  static auto* const failed = new std::vector<std::unique_ptr<Explorer>>;
  failed->push_back(std::move(explorer));
}

// Explores with few preemptions first, to get a schedule that a person can read.
void shorten(Report& report, const std::vector<const char*>& threads,
             const std::function<std::unique_ptr<Program>()>& make, const Options& options) {
  constexpr int kMostPreemptions = 3;
  constexpr std::uint64_t kMostExecutions = 200'000;
  for (int bound = 0; bound <= kMostPreemptions; ++bound) {
    Report shorter;
    auto explorer = std::make_unique<Explorer>(
        threads, make,
        Options{.preemptions = bound, .max_steps = options.max_steps, .max_executions = kMostExecutions});
    current = explorer.get();
    if (explorer->run(shorter)) continue;
    if (shorter.complete) report.failure = shorter.failure;
    keep_for_ever(std::move(explorer));
    return;
  }
}

}  // namespace

Report explore(const std::vector<const char*>& threads, const std::function<std::unique_ptr<Program>()>& make,
               const Options& options) {
  using Handler = void (*)(int);
  const Handler previous = std::signal(SIGABRT, &print_schedule_on_abort);
  Report report;
  auto explorer = std::make_unique<Explorer>(threads, make, options);
  current = explorer.get();
  if (!explorer->run(report)) {
    keep_for_ever(std::move(explorer));
    if (report.complete) shorten(report, threads, make, options);
  }
  current = nullptr;
  std::signal(SIGABRT, previous);
  return report;
}

void require(bool condition, const char* text) {
  if (!condition) current->stop_here(text);
}

int this_thread() noexcept { return current->self(); }

Label::Label(const char* group, std::vector<const char*> fields, const char* rest) {
  current->set_label(group, std::move(fields), rest);
}

namespace detail {

int make_atomic(std::uint64_t value) {
  const int object = current->make(nullptr);
  current->push_initial(object, value);
  return object;
}
int make_object(const char* kind) { return current->make(kind); }
void end_object(int object) noexcept {
  if (current != nullptr) current->end_object(object);
}
std::uint64_t load(int object, std::memory_order order) { return current->load(object, order); }
void store(int object, std::uint64_t value, std::memory_order order) { current->store(object, value, order); }
std::uint64_t rmw(int object, RmwKind kind, std::uint64_t operand, std::uint64_t mask, std::memory_order order) {
  return current->rmw(object, kind, operand, mask, order);
}
bool compare_exchange(int object, std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
                      std::memory_order failure) {
  return current->compare_exchange(object, expected, desired, success, failure);
}
void fence(std::memory_order order) { current->fence(order); }
void heavy_barrier() { current->heavy_barrier(); }
void pause() { current->pause(); }
void lock(int object) { current->lock(object); }
bool try_lock(int object) { return current->try_lock(object); }
void unlock(int object) { current->unlock(object); }
void sleep(int object) { current->sleep(object); }
void interrupt(int object) { current->interrupt(object); }
void futex_wait(int object, std::uint64_t expected) { current->futex_wait(object, expected); }
void futex_wake(int object, int threads) { current->futex_wake(object, threads); }
void plain_read(PlainAccess& access, const char* name) { current->plain_read(access, name); }
void plain_write(PlainAccess& access, const char* name) { current->plain_write(access, name); }

}  // namespace detail
}  // namespace weft::model
