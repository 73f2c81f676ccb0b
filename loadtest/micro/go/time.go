// Measures timers and tickers.
package main

import (
	"runtime"
	"sync"
	"time"
)

const (
	farOff          = time.Hour
	periodPerTicker = 50 * time.Microsecond
	measuredPeriods = 2
)

func timerStartStop(ops int64) uint64 {
	var stopped uint64
	for i := int64(0); i < ops; i++ {
		timer := time.NewTimer(farOff)
		if timer.Stop() {
			stopped++
		}
	}
	return stopped
}

func timerReset(ops int64) uint64 {
	timer := time.NewTimer(farOff)
	var moved uint64
	for i := int64(0); i < ops; i++ {
		if timer.Reset(farOff) {
			moved++
		}
	}
	timer.Stop()
	return moved
}

// Gives way now and then, as the twin has to.
func afterFuncStop(ops int64) uint64 {
	var stopped uint64
	for i := int64(0); i < ops; i++ {
		if i%batch == 0 {
			runtime.Gosched()
		}
		timer := time.AfterFunc(farOff, func() { fail("after_func_stop: an hour has passed") })
		if timer.Stop() {
			stopped++
		}
	}
	return stopped
}

func afterFuncFire(ops int64) uint64 {
	results := make([]uint64, batch)
	var sum uint64
	var group sync.WaitGroup
	for first := int64(0); first < ops; first += batch {
		n := ops - first
		if n > batch {
			n = batch
		}
		for i := int64(0); i < n; i++ {
			group.Add(1)
			result, index := &results[i], uint64(first+i)
			time.AfterFunc(0, func() {
				*result = index
				group.Done()
			})
		}
		group.Wait()
		for i := int64(0); i < n; i++ {
			sum += results[i]
		}
	}
	return sum
}

func afterFuncFireOne(ops int64) uint64 {
	var sum uint64
	var group sync.WaitGroup
	for i := int64(0); i < ops; i++ {
		group.Add(1)
		value := uint64(i)
		time.AfterFunc(0, func() {
			sum += value
			group.Done()
		})
		group.Wait()
	}
	return sum
}

// Starts as many tickers as operations; the period is one second for 20,000 tickers. The measure is the CPU time that
// the process takes while all of them tick: from when each has ticked once until the first one ticks for the last time.
func runTickers(s *sample, betweenStarts time.Duration) {
	period := time.Duration(s.Ops) * periodPerTicker
	finished := make([]uint64, s.Ops)
	var warm, group sync.WaitGroup
	warm.Add(int(s.Ops))
	for i := int64(0); i < s.Ops; i++ {
		group.Add(1)
		go func(result *uint64, delay time.Duration) {
			time.Sleep(delay)
			ticker := time.NewTicker(period)
			<-ticker.C
			warm.Done()
			for tick := 0; tick <= measuredPeriods; tick++ {
				<-ticker.C
			}
			ticker.Stop()
			*result = 1
			group.Done()
		}(&finished[i], time.Duration(i)*betweenStarts)
	}
	warm.Wait()
	cpu := processCPU()
	start := time.Now()
	time.Sleep(measuredPeriods * period)
	spent := float64(processCPU() - cpu)
	s.Metrics["cpu_ms_per_s"] = 1000 * spent / float64(time.Since(start))
	group.Wait()
	for _, n := range finished {
		s.Checksum += n
	}
}

func tickers(s *sample)       { runTickers(s, 0) }
func tickersSpread(s *sample) { runTickers(s, periodPerTicker) }
