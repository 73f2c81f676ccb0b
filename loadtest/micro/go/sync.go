// Locks and wait groups.
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
