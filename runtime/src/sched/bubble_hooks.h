// BubbleHooks: what the scheduler tells the bubble of a goroutine (G::bubble), and asks of it. time/bubble.h implements it and says why each
// call comes when it does. A goroutine outside of bubbles costs a branch at each of these places.
#pragma once

#include "runtime/src/base/clock.h"

namespace weft::rt {

struct G;
class TimerHeap;

class BubbleHooks {
 public:
  // A member has made a goroutine, which does not run yet.
  virtual void join() noexcept = 0;
  // A member is about to park, before its state becomes waiting. True when it parks durably: departed() is called then, after its commit
  // function has returned.
  virtual bool departing(const G& g) noexcept = 0;
  // `parked` is false when the commit function refused.
  virtual void departed(bool parked) noexcept = 0;
  // A member is ready again; its waker has won, and queues it after this call. False when it must not run any more.
  virtual bool readied(G& g) noexcept = 0;
  // A member has ended. Its slot is in the pool already.
  virtual void exited() noexcept = 0;

  // The clock that members live by, and the heap of their timers.
  virtual ClockId clock() const noexcept = 0;
  virtual Nanos now() const noexcept = 0;
  virtual TimerHeap& timers() noexcept = 0;

 protected:
  ~BubbleHooks() = default;
};

}  // namespace weft::rt
