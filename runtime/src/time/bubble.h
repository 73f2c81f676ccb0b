// Bubble: goroutines with a clock of their own (weft/testing/bubble.h).
//
// Members are the goroutine that called bubble(), the root, and all goroutines that members started (G::bubble,
// inherited in go()). The root moves the clock and fires the timers; the others run user code.
//
// mutex_ guards
//   live_     members that have not ended
//   running_  members that are not durably blocked. A goroutine counts from go() on. It counts no more when it has
//             parked for a durable reason, or has ended; it counts again with the ready() that wakes it.
//   waiter_   the member that waits in wait()
//   root_     the root, while it is parked
//   dead_     the deadlock was declared: nobody runs any more
// now_ is written by the root, with mutex_ held.
//
// Leaving and coming back.
//
//   parks (finish_park, on the scheduler stack)       wakes (ready)
//     1. state = waiting                                1. state: waiting -> runnable; one waker wins
//     2. commit: wakers may see the waiter              2. running_ + 1
//     3. running_ - 1; at zero, settle                  3. queue the goroutine
//
// 3 on the left comes after 2. So a goroutine that was woken, and even runs already, may be counted twice for a moment,
// but is never uncounted: while running_ is zero, every member is parked or ended, and every step that was on its way
// is done. By 3 the goroutine is its waker's, or runs, so the machine keeps the bubble's address from before. The
// bubble is still there, because it does not end before running_ has come to zero. A waker inside the bubble is itself
// counted between 1 and 2 on the right. A waker outside may find the bubble at zero there: its wake-up has come too
// late to keep the clock from moving, as if it had come after the clock moved.
//
// At zero (settle), one goroutine is woken and counted in the same critical section, so one at a time acts on a zero:
// the root when a timer is due; else the member in wait(); else the root. The root and that member put themselves into
// root_ and waiter_ before they park, when they still count, so nobody takes them out before they have parked. Before
// it moves the clock, the root looks again under the mutex (running_ is 1 for the root itself), because somebody may
// have been woken from outside since. If so, the root parks again, and the next zero is its next turn.
//
// Timers of members lie in a heap of the bubble. Only the root fires them, on its goroutine's stack, with a Pin: a
// callback sees a machine in runtime mode as on a scheduler stack, and goroutines that it starts are members. The
// commit of a sleep arms its timer, so the timer can't fire before the sleeper has parked.
//
// The runtime's own deadlock detector. Only the root wakes a member that sleeps, so such a member is no hope by itself.
// But between steps 1 and 3 on the left, all members may be waiting although the root will be woken. `departures`
// counts that time, from before step 1.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>

#include "runtime/src/base/clock.h"
#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/timer.h"
#include "weft/testing/bubble.h"

namespace weft::rt {

class Bubble final : public BubbleHooks {
 public:
  Bubble(G& root, TimerHeap& timers) noexcept : root_goroutine_(root), timers_(timers) {}
  Bubble(const Bubble&) = delete;
  Bubble& operator=(const Bubble&) = delete;

  // Returns the calling goroutine's bubble; null outside of bubbles, on scheduler stacks and on plain threads.
  static Bubble* current() noexcept { return static_cast<Bubble*>(bubble_of(current_machine())); }

  // --- for the scheduler: sched/bubble_hooks.h ---
  void join() noexcept override;
  bool departing(const G& g) noexcept override;
  void departed(bool parked) noexcept override;
  bool readied(G& g) noexcept override;
  void exited() noexcept override;
  ClockId clock() const noexcept override { return clock_; }
  Nanos now() const noexcept override { return now_.load(std::memory_order_acquire); }
  TimerHeap& timers() noexcept override { return timers_; }

  // Tells whether some member is about to wake another, although no state may show that.
  static bool any_departing() noexcept { return departures.load(std::memory_order_acquire) != 0; }

  // --- the root ---
  // Returns when all other members have ended (true) or are blocked for ever (false).
  bool drive() noexcept;
  // Called when drive() has returned: they tell what main threw, and who is blocked.
  std::exception_ptr take_thrown() noexcept { return std::exchange(thrown_, nullptr); }
  std::string describe_deadlock() const;

  // --- members ---
  void wait();
  void main_ended() noexcept { main_ended_.store(true, std::memory_order_relaxed); }
  void main_threw(std::exception_ptr thrown) noexcept { thrown_ = std::move(thrown); }

 private:
  void settle_and_unlock() noexcept WEFT_RELEASE(mutex_);
  enum class Next { fire, park_again, all_ended, deadlock };
  Next next_step() noexcept;

  static std::atomic<int> departures;  // of all bubbles
  static std::atomic<std::uint64_t> clocks;

  const ClockId clock_{clocks.fetch_add(1, std::memory_order_relaxed) + 1};
  const G& root_goroutine_;
  TimerHeap& timers_;
  std::atomic<Nanos> now_{to_nanos(testing::kBubbleStart)};
  // Written by main while it counts, read by the root when running_ has been zero.
  std::atomic<bool> main_ended_{false};
  std::exception_ptr thrown_;

  SpinMutex mutex_;
  std::size_t live_ WEFT_GUARDED_BY(mutex_) = 1;
  std::size_t running_ WEFT_GUARDED_BY(mutex_) = 1;
  Waiter waiter_ WEFT_GUARDED_BY(mutex_);
  Waiter root_ WEFT_GUARDED_BY(mutex_);
  bool dead_ WEFT_GUARDED_BY(mutex_) = false;
};

}  // namespace weft::rt
