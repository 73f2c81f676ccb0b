// BubbleHooks: what the scheduler tells the bubble of a goroutine (G::bubble), and asks of the bubble. time/bubble.h
// implements the interface and says why each call comes when it does. A goroutine outside of bubbles costs a branch at
// each of these places.
#pragma once

#include "runtime/src/base/clock.h"

namespace weft::rt {

struct G;
class TimerHeap;

class BubbleHooks {
 public:
  // A member has made a goroutine, which does not run yet.
  virtual void join() noexcept = 0;
  // A member is about to park; its state is not waiting yet. Returns true when the member parks durably: then
  // departed() is called after the member's commit function has returned.
  virtual bool departing(const G& g) noexcept = 0;
  // `parked` is false when the commit function refused.
  virtual void departed(bool parked) noexcept = 0;
  // A member is ready again. Its waker has won, and queues the member after this call. Returns false when the member
  // must not run any more.
  virtual bool readied(G& g) noexcept = 0;
  // A member has ended. Its slot is in the pool already.
  virtual void exited() noexcept = 0;

  // Return the clock that members live by, and the heap of their timers.
  virtual ClockId clock() const noexcept = 0;
  virtual Nanos now() const noexcept = 0;
  virtual TimerHeap& timers() noexcept = 0;

 protected:
  ~BubbleHooks() = default;
};

}  // namespace weft::rt
