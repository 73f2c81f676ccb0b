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

// Slots of a processor's own queue. A full queue moves half of itself to the global one; small under perturbation, so that tests do.
inline constexpr std::uint32_t kRunQueueSlots = kPerturb ? 8 : 256;

// Ring indexes start here; near the wrap-around under perturbation.
inline constexpr std::uint32_t kRunQueueStart = kPerturb ? 0xffffff00u : 0;

// Every so many scheduling rounds the global queue goes first, so that two goroutines that respawn each other can't starve it. A
// prime, so that it does not fall into step with the program.
inline constexpr std::uint32_t kGlobalQueueTick = 61;

// Goroutines taken from the global queue at once, at the most.
inline constexpr std::size_t kGlobalGrab = kRunQueueSlots / 2;

// Rounds over all processors before a searcher gives up; timers and runnext are only taken in the last.
inline constexpr int kStealRounds = 4;

// A goroutine in runnext is about to be run by its own processor, which takes some 50 ns; a thief sleeps this long, and in fact for the
// kernel's timer slack of 50 us, before it takes it.
inline constexpr long kRunnextGraceNanoseconds = 3000;

// --- sysmon: how often it looks, and what it thinks too long ---

// After it had to step in it looks this often; after so many looks in vain twice as seldom each time, down to the longest. Go's longest is
// 10 ms; half of that finds a goroutine that computes within 15 ms of its start, and others' I/O is promised within 20.
inline constexpr std::int64_t kSysmonShortest = 20'000;
inline constexpr int kSysmonPatience = 50;
inline constexpr std::int64_t kSysmonLongest = 5'000'000;

// With every processor idle for this many looks it sleeps until a machine does something, at most kSysmonDeepSleep.
inline constexpr int kSysmonIdleLooks = 5;
inline constexpr std::int64_t kSysmonDeepSleep = 60'000'000'000;

// Goroutines that wake each other share one time slice of this length; a goroutine that runs for longer without coming back loses its
// processor, and so does a blocking call, whatever else there is to do.
inline constexpr std::int64_t kTimeSlice = 10'000'000;

// Timers that are overdue by this much on a processor that is busy are worth waking another for.
inline constexpr std::int64_t kTimerLate = 1'000'000;

// Between two wake-ups of an idle processor by timers. To sleep and wake takes some 15 us: 20,000 tickers of a second each,
// spread over it, took a third of a core when each tick woke for itself, against 3 % in Go, whose sleeps are rounded up to
// 1 ms. A timer that is alone still comes within the kernel's precision.
inline constexpr std::int64_t kTimerGap = 500'000;

// How often the default number of processors is worked out again.
inline constexpr std::int64_t kProcsEvery = 1'000'000'000;

// Dead goroutines that a processor keeps, and how many it trades with the pool at a time.
inline constexpr std::size_t kFreeGoroutines = 64;
inline constexpr std::size_t kFreeGoroutinesBatch = 32;

// Goroutine ids that a processor reserves at a time.
inline constexpr std::uint64_t kIdBatch = 16;

}  // namespace weft::rt
