// Measures locks, wait groups, once and pools.
package main

import "sync"

const contenders = 4

func mutexFree(ops int64) uint64 {
	var mutex sync.Mutex
	var counter uint64
	for i := int64(0); i < ops; i++ {
		mutex.Lock()
		counter++
		mutex.Unlock()
	}
	return counter
}

func mutexContended(ops int64) uint64 {
	var mutex sync.Mutex
	var counter uint64
	var group sync.WaitGroup
	for g := 0; g < contenders; g++ {
		group.Add(1)
		go func(n int64) {
			for i := int64(0); i < n; i++ {
				mutex.Lock()
				counter++
				mutex.Unlock()
			}
			group.Done()
		}(ops / contenders)
	}
	group.Wait()
	return counter
}

func waitGroup(ops int64) uint64 {
	var group sync.WaitGroup
	var rounds uint64
	for i := int64(0); i < ops; i++ {
		group.Add(1)
		group.Done()
		group.Wait()
		rounds++
	}
	return rounds
}

func rwMutexRead(ops int64) uint64 {
	var mutex sync.RWMutex
	var counter uint64
	for i := int64(0); i < ops; i++ {
		mutex.RLock()
		counter++
		mutex.RUnlock()
	}
	return counter
}

func once(ops int64) uint64 {
	var once sync.Once
	var runs, sum uint64
	for i := int64(0); i < ops; i++ {
		once.Do(func() { runs++ })
		sum += runs
	}
	return sum
}

func pool(ops int64) uint64 {
	pool := sync.Pool{New: func() any { return new(buffer) }}
	var sum uint64
	for i := int64(0); i < ops; i++ {
		b := pool.Get().(*buffer)
		b.at = i
		sum += uint64(b.at)
		pool.Put(b)
	}
	return sum
}
