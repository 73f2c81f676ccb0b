// The scheduler's numbers, each with its reason. Most are Go's.
#pragma once

#include <cstdint>

namespace weft::rt {

#ifdef WEFT_PERTURB
inline constexpr bool kPerturb = true;
#else
inline constexpr bool kPerturb = false;
#endif

// The most processors that a runtime can have.
inline constexpr int kMaxProcs = 1024;

// Slots of the ring of a processor's own queue. What does not fit waits in the queue's backlog. The number is small
// under perturbation, so that queues in tests have one.
inline constexpr std::uint32_t kRunQueueSlots = kPerturb ? 8 : 256;

// Ring indexes start here, which is near the wrap-around under perturbation.
inline constexpr std::uint32_t kRunQueueStart = kPerturb ? 0xffffff00u : 0;

// Once in this many scheduling rounds the global queue goes first, so that two goroutines that respawn each other can't
// starve it. The number is a prime, so that it does not fall into step with the program.
inline constexpr std::uint32_t kGlobalQueueTick = 61;

// The most goroutines that are taken from the global queue at once. There are more of them than rounds between two
// looks at that queue, so it does not wait for longer than a processor's own queue does, however long both are.
inline constexpr std::size_t kGlobalGrab = 128;
static_assert(kGlobalGrab > kGlobalQueueTick);

// Once in this many rounds the oldest branch that waits apart has its turn (sched/ready_queue.h). The rarer that is,
// the fewer branches of a tree are alive at a time.
inline constexpr std::uint32_t kBranchTick = 16 * kGlobalQueueTick;

// Rounds over all processors before a searcher gives up. Timers and runnext are only taken in the last round.
inline constexpr int kStealRounds = 4;

// A goroutine in runnext is about to be run by its own processor, which takes some 50 ns. A thief sleeps this long
// before it takes the goroutine; in fact it sleeps for the kernel's timer slack of 50 us.
inline constexpr long kRunnextGraceNanoseconds = 3000;

// --- sysmon: how often it looks, and what it thinks too long ---

// After sysmon had to step in, it looks every kSysmonShortest nanoseconds. After kSysmonPatience looks in vain it
// doubles the time between two looks each time, up to kSysmonLongest. Go's longest time is 10 ms. Half of that finds a
// goroutine that computes within 15 ms of its start, and the I/O of others is promised within 20 ms.
inline constexpr std::int64_t kSysmonShortest = 20'000;
inline constexpr int kSysmonPatience = 50;
inline constexpr std::int64_t kSysmonLongest = 5'000'000;

// When every processor is idle for this many looks, sysmon sleeps until a machine does something, but at most for
// kSysmonDeepSleep.
inline constexpr int kSysmonIdleLooks = 5;
inline constexpr std::int64_t kSysmonDeepSleep = 60'000'000'000;

// Goroutines that wake each other share one time slice of this length. A goroutine that runs for longer without coming
// back loses its processor, and so does a blocking call, whatever else there is to do.
inline constexpr std::int64_t kTimeSlice = 10'000'000;

// Such a slice also ends after so many turns. So a goroutine that is ready waits for a bounded number of turns, and not
// for as many as fit in the time. Go has no such bound: a goroutine that a timer readies beside some that always find
// each other ready waits for 10 ms there, for each of those that are queued before it.
inline constexpr std::uint32_t kSliceTurns = 64;

// A goroutine that has run for so long yields at its next scheduling point. It is as long as sysmon may sleep, so that
// a goroutine which comes to such points is told before its slice is over.
inline constexpr std::int64_t kSliceWarning = kSysmonLongest;

// Timers that are overdue by this much, and that a busy processor does not come to, are worth waking another processor
// for.
inline constexpr std::int64_t kTimerLate = 1'000'000;

// The least time between two wake-ups of an idle processor by timers, if several timers become due meanwhile. To sleep
// and wake takes some 15 us. When each tick woke the processor for itself, 20,000 tickers of a second each, spread over
// that second, took a third of a core. They take 3 % in Go, whose sleeps are rounded up to 1 ms. A timer that is alone
// still fires within the kernel's precision.
inline constexpr std::int64_t kTimerGap = 1'000'000;

// How often the default number of processors is worked out again.
inline constexpr std::int64_t kProcsEvery = 1'000'000'000;

// Stacks that nobody used for one to two of these periods give their memory back. To do so, and to touch the stack
// again, takes some 2 us.
inline constexpr std::int64_t kStackAge = 2'000'000'000;

// A processor that has run something and then slept for so long gives its dead goroutines to the pool, and the memory
// of its queue and what the allocator keeps to the kernel (base/heap.h). Go's scavenger works all the time.
inline constexpr std::int64_t kReleaseAfter = kPerturb ? 100'000'000 : 2'000'000'000;

// Dead goroutines that a processor keeps, and how many it trades with the pool at a time.
inline constexpr std::size_t kFreeGoroutines = 64;
inline constexpr std::size_t kFreeGoroutinesBatch = 32;

// Goroutine ids that a processor reserves at a time.
inline constexpr std::uint64_t kIdBatch = 16;

}  // namespace weft::rt
