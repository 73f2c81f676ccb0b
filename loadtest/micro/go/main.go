// micro NAME OPS runs one benchmark, once, at the width that GOMAXPROCS gives. It is the twin of ../weft, file by file;
// ../run calls both.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"syscall"
	"time"
)

// pass does ops operations and returns a checksum over them.
type pass func(ops int64) uint64

type sample struct {
	Procs    int                `json:"procs"`
	Ops      int64              `json:"ops"`
	Checksum uint64             `json:"checksum"`
	WallNs   int64              `json:"wall_ns"`
	CPUNs    int64              `json:"cpu_ns"` // of the whole process, user and kernel
	Metrics  map[string]float64 `json:"metrics"`
}

func (s *sample) time(p pass, warmOps int64) {
	if warmOps > 0 {
		p(warmOps)
	}
	cpu := processCPU()
	start := time.Now()
	s.Checksum = p(s.Ops)
	s.WallNs = int64(time.Since(start))
	s.CPUNs = processCPU() - cpu
}

// addPercentiles adds the metrics p50, p99 and max, with the prefix before each name.
func (s *sample) addPercentiles(prefix string, ns []int64) {
	sort.Slice(ns, func(i, j int) bool { return ns[i] < ns[j] })
	last := len(ns) - 1
	s.Metrics[prefix+"p50"] = float64(ns[last*50/100])
	s.Metrics[prefix+"p99"] = float64(ns[last*99/100])
	s.Metrics[prefix+"max"] = float64(ns[last])
}

func timed(p pass) func(*sample) {
	return func(s *sample) {
		warm := s.Ops / 10
		if warm < 1024 {
			warm = 1024
		}
		if warm > s.Ops {
			warm = s.Ops
		}
		s.time(p, warm)
	}
}

func timedCold(p pass) func(*sample) {
	return func(s *sample) { s.time(p, 0) }
}

func timedAfterOneLikeIt(p pass) func(*sample) {
	return func(s *sample) { s.time(p, s.Ops) }
}

var benchmarks = map[string]func(*sample){
	"spawn_join":          timed(spawnJoin),
	"spawn_join_one":      timed(spawnJoinOne),
	"spawn_steal":         timed(spawnSteal),
	"yield_1":             timed(yield1),
	"yield_2":             timed(yield2),
	"yield_8":             timed(yield8),
	"ping_pong":           timed(pingPong),
	"chan_buffered":       timed(chanBuffered),
	"chan_uncontended":    timed(chanUncontended),
	"chan_4x4_unbuffered": timed(chan4x4Unbuffered),
	"chan_4x4_buffered":   timed(chan4x4Buffered),
	"skynet":              timedCold(skynet),
	"skynet_warm":         timedAfterOneLikeIt(skynet),
	"select_ready":        timed(selectReady),
	"select_default":      timed(selectDefault),
	"select_blocked":      timed(selectBlocked),
	"select_timeout":      timed(selectTimeout),
	"timer_start_stop":    timed(timerStartStop),
	"timer_reset":         timed(timerReset),
	"after_func_stop":     timed(afterFuncStop),
	"after_func_fire":     timed(afterFuncFire),
	"after_func_fire_one": timed(afterFuncFireOne),
	"tickers":             tickers,
	"tickers_spread":      tickersSpread,
	"mutex_free":          timed(mutexFree),
	"mutex_contended":     timed(mutexContended),
	"wait_group":          timed(waitGroup),
	"rwmutex_read":        timed(rwMutexRead),
	"rwmutex_read_shared": timed(rwMutexReadShared),
	"once":                timed(once),
	"pool":                timed(pool),
	"pool_shared":         timed(poolShared),
	"pool_two_shared":     timed(poolTwoShared),
	"list_shared":         timed(listShared),
	"new_shared":          timed(newShared),
	"concurrent_map":      timed(concurrentMap),
	"mutex_map":           timed(mutexMap),
	"atomic_value_shared": timed(atomicValueShared),
	"mutex_value_shared":  timed(mutexValueShared),
	"atomic_shared":       timed(atomicShared),
	"context_cancel":      timed(contextCancel),
	"context_child":       timed(contextChild),
	"context_value":       timed(contextValue),
	"wake":                wake,
	"sleep_late":          sleepLate,
	"hog_echo":            hogEcho,
	"blocking_tick":       blockingTick,
	"parked":              parked,
}

func processCPU() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, "micro: "+what)
	os.Exit(1)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: [GOMAXPROCS=N] micro NAME OPS")
	os.Exit(2)
}

func main() {
	if len(os.Args) != 3 {
		usage()
	}
	ops, err := strconv.ParseInt(os.Args[2], 10, 64)
	body := benchmarks[os.Args[1]]
	if err != nil || ops < 1 || body == nil {
		usage()
	}
	s := &sample{Procs: runtime.GOMAXPROCS(0), Ops: ops, Metrics: map[string]float64{}}
	body(s)
	line, err := json.Marshal(s)
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(string(line))
}
