// Scheduling points of operations that often have nothing to wait for.
//
// A goroutine that parks lets others run. One whose reads and writes always find something to do, or whose dials are
// always refused at once, would never park, and be taken for one that computes. So every such operation begins with a
// scheduling point.
//
// When sysmon finds half a time slice gone within one round, it sets the processor's slice_over. The next scheduling
// point sees that, and the goroutine goes to the end of the line, before the slice is over and its processor is taken
// away. The flag is a hint: whoever misses it sees it at the next point, and whoever sees that of the round before
// yields once too often.
#pragma once

namespace weft::rt {

// Yields when the goroutine has run for long and gets it a processor when it has lost its own; nearly always it does
// neither, and costs a few nanoseconds. The caller holds no lock. It does nothing outside of goroutines, and inside
// blocking(), where others may have the processor anyway.
void scheduling_point() noexcept;

}  // namespace weft::rt
