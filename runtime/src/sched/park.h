// Parking and readying: the one door through which a goroutine stops running and the one through which it comes back.
//
// Protocol. A goroutine that has to wait
//   1. fills in a waiter (on its own stack) that holds current_waiter(),
//   2. calls park(commit, arg, reason): it leaves its stack; on the machine's scheduler stack its state becomes waiting, then
//      commit(arg) runs. Commit makes the waiter visible to wakers (usually: it releases the lock under which the waiter was
//      queued). Nobody can wake the goroutine while it still runs on its stack, because nobody can see it.
//   3. commit may refuse (return false) when the event came first: the goroutine goes on at once.
// A waker, holding whatever makes the waiter visible, takes the Waiter out and calls ready(waiter), after releasing the lock.
//
// The epoch in a Waiter counts the goroutine's parks: ready() with an epoch that is over is a no-op and returns false, so that of
// several wakers that race (an event, a deadline, a close) the first wins and the rest do nothing.
#pragma once

#include <cstdint>

#include "weft/detail/waiter.h"

namespace weft::rt {

struct G;

// Why a goroutine waits; each text appears in dumps in Go's words. A value is never used for two things.
enum class WaitReason : std::uint8_t {
  none,
  chan_receive,       // "chan receive"
  chan_send,          // "chan send"
  chan_receive_nil,   // "chan receive (nil chan)"
  chan_send_nil,      // "chan send (nil chan)"
  select,             // "select"
  select_no_cases,    // "select (no cases)"
  sleep,              // "sleep"
  mutex_lock,         // "sync.Mutex.Lock"
  rwmutex_rlock,      // "sync.RWMutex.RLock"
  rwmutex_lock,       // "sync.RWMutex.Lock"
  wait_group_wait,    // "sync.WaitGroup.Wait"
  cond_wait,          // "sync.Cond.Wait"
  semaphore_acquire,  // "semaphore.Acquire"
  semacquire,         // "semacquire"
  io_wait,            // "IO wait"
  bubble_run,         // "synctest.Run"
  bubble_wait,        // "synctest.Wait"
};
const char* wait_reason_text(WaitReason reason) noexcept;

// One wait of one goroutine: its G, and the number of the park.
using weft::detail::Waiter;

// True in a goroutine; false on a plain thread, which may not park.
bool on_goroutine() noexcept;

// The waiter for the caller's next park. Goroutines only.
Waiter current_waiter() noexcept;

// Runs on the machine's scheduler stack: it may not park, throw, or touch the parked goroutine's locals after it made the
// waiter visible. Returns false to refuse the park.
using CommitFn = bool (*)(void* arg);

// Parks the calling goroutine until ready() is called with its waiter. The caller may hold a lock, for commit to release. Goroutines only.
void park(CommitFn commit, void* arg, WaitReason reason) noexcept;

// The same for a commit that needs the machine's processor. The caller holds no lock: it may have to wait for a processor first.
void park_with_processor(CommitFn commit, void* arg, WaitReason reason) noexcept;

// Makes the goroutine runnable if it still waits in that epoch, and says whether it did. From a goroutine or the scheduler it goes
// to the runnext slot of the current processor, from a plain thread to the global queue. Any thread; never blocks for long.
bool ready(Waiter waiter) noexcept;

// Queues a goroutine that its caller made runnable, as ready() does.
void submit(G* g) noexcept;

// Lets the other goroutines of this processor run: to the tail of the local queue.
void yield_local() noexcept;

// Behind what waits on this processor and in the global queue; at once when nothing does. Any thread.
void yield_global() noexcept;

}  // namespace weft::rt
