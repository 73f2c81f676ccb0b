// Measures what a goroutine costs that waits on a channel and does nothing.
package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Returns a field of a file under /proc/self, in bytes.
func procBytes(path, field string) int64 {
	text, _ := os.ReadFile(path)
	words := strings.Fields(string(text))
	for i, word := range words {
		if word == field && i+1 < len(words) {
			if kib, err := strconv.ParseInt(words[i+1], 10, 64); err == nil {
				return kib * 1024
			}
		}
	}
	fail("parked: /proc/self has no resident memory to read")
	return 0
}

// Returns how many mappings the process has. The kernel calls them VMAs; vm.max_map_count bounds their number.
func mappings() int64 {
	text, _ := os.ReadFile("/proc/self/maps")
	return int64(strings.Count(string(text), "\n"))
}

func residentBytes() int64  { return procBytes("/proc/self/smaps_rollup", "Rss:") }
func pageTableBytes() int64 { return procBytes("/proc/self/status", "VmPTE:") }

func parked(s *sample) {
	resident := residentBytes()
	pageTables := pageTableBytes()
	mapped := mappings()
	gate := make(chan int)
	var arrived, released int64
	var group sync.WaitGroup
	for i := int64(0); i < s.Ops; i++ {
		group.Add(1)
		go func() {
			atomic.AddInt64(&arrived, 1)
			if _, open := <-gate; !open {
				atomic.AddInt64(&released, 1)
			}
			group.Done()
		}()
	}
	for atomic.LoadInt64(&arrived) != s.Ops {
		runtime.Gosched()
	}
	time.Sleep(20 * time.Millisecond) // until the last goroutine has parked; its memory is touched by now anyway
	s.Metrics["bytes"] = float64(residentBytes()-resident) / float64(s.Ops)
	s.Metrics["page_tables"] = float64(pageTableBytes()-pageTables) / float64(s.Ops)
	s.Metrics["mappings"] = float64(mappings()-mapped) / float64(s.Ops)
	close(gate)
	group.Wait()
	s.Checksum = uint64(atomic.LoadInt64(&released))
}
