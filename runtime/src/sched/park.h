// Parking and readying: the one door through which a goroutine stops running and the one through which it comes back.
//
// Protocol. A goroutine that has to wait
//   1. fills in a waiter (on its own stack) that holds current_waiter(),
//   2. calls park(commit, arg, reason): the goroutine leaves its stack. On the machine's scheduler stack its state
//      becomes waiting, then commit(arg) runs. Commit makes the waiter visible to wakers (usually: it releases the lock
//      under which the waiter was queued). Nobody can wake the goroutine while it still runs on its stack, because
//      nobody can see it.
//   3. goes on at once when commit refuses (returns false), because the event came first.
// A waker holds what makes the waiter visible, takes the Waiter out, releases the lock, and calls ready(waiter).
//
// The epoch in a Waiter counts the goroutine's parks: ready() with an epoch that is over is a no-op and returns false.
// So of several wakers that race (an event, a deadline, a close) the first wins and the rest do nothing.
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

// Returns true in a goroutine; false on a plain thread, which may not park.
bool on_goroutine() noexcept;

// Returns the waiter for the caller's next park. For goroutines only.
Waiter current_waiter() noexcept;

// Runs on the machine's scheduler stack: it may not park, throw, or touch the parked goroutine's locals after it has
// made the waiter visible. Returns false to refuse the park.
using CommitFn = bool (*)(void* arg);

// Parks the calling goroutine until ready() is called with its waiter. The caller may hold a lock, for commit to
// release. For goroutines only.
void park(CommitFn commit, void* arg, WaitReason reason) noexcept;

// Does the same for a commit that needs the machine's processor. The caller holds no lock, because it may have to wait
// for a processor first.
void park_with_processor(CommitFn commit, void* arg, WaitReason reason) noexcept;

// Makes the goroutine runnable if it still waits in that epoch, and says whether it did. Called from a goroutine or the
// scheduler, it puts the goroutine into the runnext slot of the current processor; from a plain thread, into the global
// queue. Any thread may call it; it never blocks for long.
bool ready(Waiter waiter) noexcept;

// Queues a goroutine that its caller made runnable, as ready() does.
void submit(G* g) noexcept;

// Lets the other goroutines of this processor run: the caller goes to the tail of the local queue.
void yield_local() noexcept;

// Lets the goroutines run that wait on this processor and in the global queue; returns at once when none does. Any
// thread may call it.
void yield_global() noexcept;

}  // namespace weft::rt
