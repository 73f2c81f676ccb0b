#include "runtime/src/time/bubble.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/go.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sched/stack_pool.h"
#include "weft/go.h"
#include "weft/lock_guard.h"
#include "weft/panic.h"
#include "weft/time.h"

namespace weft {
namespace rt {
namespace {

// Tells whether a wait is one that only another member, or the clock, ends. A wait for a mutex lasts until its holder
// has done its work, and that may be anything; each of the others lasts until something outside happens.
bool is_durable(WaitReason reason) noexcept {
  switch (reason) {
    case WaitReason::chan_receive:
    case WaitReason::chan_send:
    case WaitReason::chan_receive_nil:
    case WaitReason::chan_send_nil:
    case WaitReason::select:
    case WaitReason::select_no_cases:
    case WaitReason::sleep:
    case WaitReason::wait_group_wait:
    case WaitReason::cond_wait:
    case WaitReason::semaphore_acquire:
    case WaitReason::bubble_run:
    case WaitReason::bubble_wait:
      return true;
    case WaitReason::none:
    case WaitReason::mutex_lock:
    case WaitReason::rwmutex_rlock:
    case WaitReason::rwmutex_lock:
    case WaitReason::semacquire:
    case WaitReason::io_wait:
      return false;
  }
  return false;
}

// The commit of a goroutine that its waker finds through the bubble.
bool commit_nothing(void*) noexcept { return true; }

// Keeps the bubble of a deadlock: goroutines that never run again belong to it, and somebody outside may still try to
// wake one.
void keep_for_ever(std::unique_ptr<Bubble> bubble) {
  static SpinMutex mutex;
  static auto* const kept = new std::vector<std::unique_ptr<Bubble>>;
  const LockGuard lock(mutex);
  kept->push_back(std::move(bubble));
}

}  // namespace

std::atomic<int> Bubble::departures{0};
std::atomic<std::uint64_t> Bubble::clocks{0};

void Bubble::join() noexcept {
  const LockGuard lock(mutex_);
  ++live_;
  ++running_;
}

bool Bubble::departing(const G& g) noexcept {
  if (!is_durable(g.reason.load(std::memory_order_relaxed))) return false;
  // Whoever sees the goroutine waiting (acquire of its state, which is stored after this) sees it counted here, too.
  departures.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Bubble::departed(bool parked) noexcept {
  if (parked) {
    mutex_.lock();
    --running_;
    settle_and_unlock();  // after this, nothing of the bubble is touched
  }
  // Release: whoever sees the departure gone sees whom it woke.
  departures.fetch_sub(1, std::memory_order_release);
}

bool Bubble::readied(G& g) noexcept {
  // The goroutine can't go on before it is queued, so the reason is still that of the park which ends.
  if (!is_durable(g.reason.load(std::memory_order_relaxed))) return true;
  {
    const LockGuard lock(mutex_);
    if (!dead_) {
      ++running_;
      return true;
    }
  }
  g.set_status(Status::dead);  // but its slot is in no pool
  return false;
}

void Bubble::exited() noexcept {
  mutex_.lock();
  --live_;
  --running_;
  settle_and_unlock();
}

// Called with mutex_ held, by whoever has made running_ smaller. After the unlock the bubble may be gone, unless
// somebody is woken: then it is there until the wake-up.
void Bubble::settle_and_unlock() noexcept {
  if (running_ != 0) {
    mutex_.unlock();
    return;
  }
  const bool timer_due = timers_.next() <= now_.load(std::memory_order_relaxed);
  const Waiter woken = std::exchange(waiter_.g != nullptr && !timer_due ? waiter_ : root_, Waiter());
  WEFT_CHECK(woken.g != nullptr, "a bubble has lost its root");
  running_ = 1;  // for the goroutine that is woken
  mutex_.unlock();
  G* const g = static_cast<G*>(woken.g);
  const bool won = g->try_ready(woken.key);
  WEFT_CHECK(won, "somebody else woke a bubble's root");
  submit(g);
}

bool Bubble::drive() noexcept {
  for (;;) {
    {
      const LockGuard lock(mutex_);
      root_ = current_waiter();
    }
    park(&commit_nothing, nullptr, WaitReason::bubble_run);
    switch (next_step()) {
      case Next::park_again:
        break;
      case Next::fire: {
        const Pin pin;
        timers_.fire_due(now());
        break;
      }
      case Next::all_ended:
        return true;
      case Next::deadlock:
        return false;
    }
  }
}

Bubble::Next Bubble::next_step() noexcept {
  const LockGuard lock(mutex_);
  if (running_ > 1) return Next::park_again;
  if (live_ == 1) return Next::all_ended;
  const Nanos next = timers_.next();
  if (next <= now_.load(std::memory_order_relaxed)) return Next::fire;
  if (waiter_.g != nullptr) return Next::park_again;
  if (next >= kEndOfClock || main_ended_.load(std::memory_order_relaxed)) {
    dead_ = true;
    return Next::deadlock;
  }
  now_.store(next, std::memory_order_release);
  return Next::fire;
}

std::string Bubble::describe_deadlock() const {
  struct Blocked {
    std::uint64_t id, parent_id;
    WaitReason reason;
    SourceLocation creator;
  };
  std::vector<Blocked> blocked;
  for_each_goroutine_slot([&](const G& g) {
    if (&g == &root_goroutine_ || g.bubble.load(std::memory_order_relaxed) != this || g.status() == Status::dead)
      return;
    blocked.push_back({g.id.load(std::memory_order_acquire), g.parent_id.load(std::memory_order_acquire),
                       g.reason.load(std::memory_order_relaxed), g.creator()});
  });
  std::ranges::sort(blocked, {}, &Blocked::id);
  std::string text = main_ended_.load(std::memory_order_relaxed)
                         ? "deadlock: main bubble goroutine has exited but blocked goroutines remain"
                         : "deadlock: all goroutines in bubble are blocked";
  for (const Blocked& b : blocked) {
    text += "\ngoroutine " + std::to_string(b.id) + " [" + wait_reason_text(b.reason) + "], started by goroutine " +
            std::to_string(b.parent_id) + " at " + b.creator.file + ":" + std::to_string(b.creator.line);
  }
  return text;
}

void Bubble::wait() {
  bool taken = false;
  {
    const LockGuard lock(mutex_);
    taken = waiter_.g != nullptr;
    if (!taken) waiter_ = current_waiter();
  }
  if (taken) panic("testing::wait: wait already in progress");
  park(&commit_nothing, nullptr, WaitReason::bubble_wait);
}

}  // namespace rt

namespace testing {
namespace {

class HeapLoan {
 public:
  HeapLoan() = default;
  ~HeapLoan() { heap_.give_back(); }
  HeapLoan(const HeapLoan&) = delete;
  HeapLoan& operator=(const HeapLoan&) = delete;
  rt::TimerHeap& heap() noexcept { return heap_; }

 private:
  rt::TimerHeap& heap_ = rt::TimerHeap::take();
};

class RootMembership {
 public:
  RootMembership(rt::G& root, rt::Bubble& bubble) noexcept : root_(root) {
    root_.bubble.store(&bubble, std::memory_order_relaxed);
  }
  ~RootMembership() { root_.bubble.store(nullptr, std::memory_order_relaxed); }
  RootMembership(const RootMembership&) = delete;
  RootMembership& operator=(const RootMembership&) = delete;

 private:
  rt::G& root_;
};

void run_main(rt::Bubble& bubble, void (*call)(void*), void* f) {
  struct AtEnd {
    rt::Bubble& bubble;
    ~AtEnd() { bubble.main_ended(); }
  };
  const AtEnd at_end{bubble};
  try {
    call(f);
  } catch (const weft::detail::GoroutineExit&) {
    throw;
  } catch (...) {
    bubble.main_threw(std::current_exception());
  }
}

}  // namespace

void detail::run_bubble(void (*call)(void* f), void* f, const SourceLocation& where) {
  if (!rt::on_goroutine()) rt::fatal("testing::bubble outside a goroutine: call it inside weft::run");
  if (rt::Bubble::current() != nullptr) panic("testing::bubble inside a bubble: bubbles don't nest");
  rt::G& root = *rt::current_goroutine();
  HeapLoan timers;
  auto owned = std::make_unique<rt::Bubble>(root, timers.heap());
  rt::Bubble& bubble = *owned;
  bool all_ended = false;
  {
    const RootMembership membership(root, bubble);
    go([&bubble, call, f] { run_main(bubble, call, f); }, where);
    all_ended = bubble.drive();
  }
  const std::exception_ptr thrown = bubble.take_thrown();
  std::string deadlock;
  if (!all_ended) {
    deadlock = bubble.describe_deadlock();
    rt::keep_for_ever(std::move(owned));
  }
  if (thrown != nullptr) std::rethrow_exception(thrown);
  if (!all_ended) panic(deadlock);
}

void wait() {
  rt::Bubble* const bubble = rt::Bubble::current();
  if (bubble == nullptr) panic("testing::wait outside a bubble: call it inside testing::bubble");
  bubble->wait();
}

}  // namespace testing
}  // namespace weft
