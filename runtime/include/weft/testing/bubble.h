// Bubble: tests of code that waits, with a clock of their own (Go's package testing/synctest).
//
//   weft::testing::bubble([] {
//     const auto start = weft::now();
//     weft::sleep(24h);                                     // takes no time
//     EXPECT_EQ(weft::now() - start, 24h);
//   });
//
// The goroutines of a bubble are the one that runs f, those that it starts, and so on. They share a clock that starts
// at kBubbleStart and moves only when all of them are durably blocked: then it jumps to the earliest time that one of
// them waits for. So code that waits runs at once. What happens at different times happens in the order of these times,
// and everything that follows from one of them happens before the next. What is due at one instant happens in any
// order, and goroutines that run at the same time are as concurrent as ever.
//
// On the bubble's clock are: sleep(), now(), timers and tickers, after_func(), the deadlines of contexts and
// connections. Its instants are std::chrono::steady_clock::time_point as elsewhere, so
// `with_deadline(ctx, weft::now() + 1s)` is right in a bubble and outside. std::chrono::steady_clock::now() is real
// time everywhere, and comparing the two makes no sense. Make timers, contexts and connections with deadlines inside,
// or outside, but don't carry them over.
//
// A goroutine is durably blocked in: a channel's send or receive, select, WaitGroup::wait(), Cond::wait(),
// Semaphore::acquire(), sleep(), wait() below, and what is made of these. It is not: in a lock of Mutex or RWMutex, or
// in a Once, because somebody who holds it runs; in I/O; in blocking() or any call that blocks its thread; while it
// computes, or gives way by yield(). So a deadline on real I/O never comes while a goroutine of the bubble waits for
// the I/O.
//
// Others may use the same channels and locks from outside. Go panics then; weft does not know to whom a channel
// belongs. A goroutine that waits for somebody outside counts as durably blocked all the same: the clock may jump, or a
// deadlock may be reported, before the one outside comes. A goroutine that is woken from outside runs, and the clock
// waits for it.
#pragma once

#include <chrono>
#include <memory>
#include <type_traits>

#include <weft/panic.h>
#include <weft/source_location.h>

namespace weft::testing {

// What now() returns when a bubble begins. On a wall clock it would be midnight UTC of 2000-01-01, as in Go.
inline constexpr std::chrono::steady_clock::time_point kBubbleStart{std::chrono::seconds(946'684'800)};

// Calls f() in a new goroutine, the main one of a new bubble, and returns when all goroutines of the bubble have ended.
// The clock stops when f has returned, or called exit_goroutine(): what still waits for a time then waits for ever.
// Goroutines only. Any number of bubbles may run at the same time, but not one inside another: that throws Panic.
// Throws what f throws, once the others have ended or are durably blocked; an exception of any other goroutine ends the
// process. Throws Panic("deadlock: ...") when all are durably blocked and nothing will wake them, with a line for each:
// its number, what it waits for, and where it was started. These goroutines, and those that f's exception left blocked,
// never run again: nothing on their stacks is destroyed, and they count as goroutines until the runtime ends. A
// goroutine that waits for a time later than the clock can show waits for ever.
template <typename F>
void bubble(F&& f, SourceLocation where = SourceLocation::current());

// Returns when all other goroutines of the bubble are durably blocked, at the present time: the clock does not move,
// but what is due has happened. What they did happens before the return. It is called in a bubble only, by one
// goroutine at a time; else it throws Panic.
void wait();

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {
void run_bubble(void (*call)(void* f), void* f, const SourceLocation& where);
}

template <typename F>
void bubble(F&& f, SourceLocation where) {
  using Fn = std::remove_reference_t<F>;
  static_assert(std::is_invocable_v<Fn&>, "weft::testing::bubble takes a function without parameters");
  detail::run_bubble([](void* fn) { (*static_cast<Fn*>(fn))(); },
                     const_cast<void*>(static_cast<const void*>(std::addressof(f))), where);
}

}  // namespace weft::testing
