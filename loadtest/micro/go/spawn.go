// Measures starting goroutines, waiting for their end, and giving way.
package main

import (
	"runtime"
	"sync"
)

const (
	batch     = 1000 // goroutines between two waits
	taskSteps = 750
	taskSeeds = 64
)

//go:noinline
func task(x uint64) uint64 {
	for i := 0; i < taskSteps; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

func spawnJoin(ops int64) uint64 {
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
			go func(result *uint64, index uint64) {
				*result = index
				group.Done()
			}(&results[i], uint64(first+i))
		}
		group.Wait()
		for i := int64(0); i < n; i++ {
			sum += results[i]
		}
	}
	return sum
}

func spawnJoinOne(ops int64) uint64 {
	var sum uint64
	var group sync.WaitGroup
	for i := int64(0); i < ops; i++ {
		group.Add(1)
		go func(i int64) {
			sum += uint64(i)
			group.Done()
		}(i)
		group.Wait()
	}
	return sum
}

func spawnSteal(ops int64) uint64 {
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
			go func(result *uint64, index uint64) {
				*result = task(index % taskSeeds)
				group.Done()
			}(&results[i], uint64(first+i))
		}
		group.Wait()
		for i := int64(0); i < n; i++ {
			sum += results[i]
		}
	}
	return sum
}

func yieldIn(ops int64) uint64 {
	var yields uint64
	for i := int64(0); i < ops; i++ {
		runtime.Gosched()
		yields++
	}
	return yields
}

func yieldAmong(goroutines int, ops int64) uint64 {
	yields := make([]uint64, goroutines)
	var group sync.WaitGroup
	for g := range yields {
		group.Add(1)
		go func(result *uint64, n int64) {
			*result = yieldIn(n)
			group.Done()
		}(&yields[g], ops/int64(goroutines))
	}
	group.Wait()
	var sum uint64
	for _, n := range yields {
		sum += n
	}
	return sum
}

func yield1(ops int64) uint64 { return yieldIn(ops) }
func yield2(ops int64) uint64 { return yieldAmong(2, ops) }
func yield8(ops int64) uint64 { return yieldAmong(8, ops) }
