// Measures how long it takes until a goroutine that became ready, or whose time has come, runs.
package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	settle       = 200 * time.Microsecond // time for an idle processor to go to sleep
	answerWithin = 30 * time.Second
	sleepFor     = time.Millisecond
)

// The sender never gives up its processor. So another processor, which sleeps by then, must run the receiver.
func wake(s *sample) {
	if runtime.GOMAXPROCS(0) < 2 {
		fail("wake needs two processors: set GOMAXPROCS to 2 or more")
	}
	c := make(chan time.Time)
	late := make([]int64, 0, s.Ops)
	var answers int64
	go func() {
		for sent := range c {
			late = append(late, int64(time.Since(sent)))
			atomic.AddInt64(&answers, 1)
		}
	}()
	for i := int64(0); i < s.Ops; i++ {
		for start := time.Now(); time.Since(start) < settle; {
		}
		sent := time.Now()
		c <- sent
		for atomic.LoadInt64(&answers) == i {
			if time.Since(sent) > answerWithin {
				fail("wake: the receiver did not run within 30 s")
			}
		}
	}
	close(c)
	s.Checksum = uint64(len(late))
	s.addPercentiles("", late)
}

func sleepLate(s *sample) {
	late := make([]int64, 0, s.Ops)
	for i := int64(0); i < s.Ops; i++ {
		start := time.Now()
		time.Sleep(sleepFor)
		late = append(late, int64(time.Since(start)-sleepFor))
	}
	s.Checksum = uint64(len(late))
	s.addPercentiles("", late)
}
