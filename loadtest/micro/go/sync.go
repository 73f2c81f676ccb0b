// What goroutines share: locks, wait groups, once, pools and maps.
package main

import (
	"runtime"
	"sync"
)

const (
	contenders = 4
	mapUsers   = 4
	keys       = 1000
	storeEvery = 10
)

type buffer struct {
	at    int64
	bytes [1024]byte
}

// Key k has the value k, always. How many operations found it so.
func useMap(m *sync.Map, seed uint64, ops int64) uint64 {
	x := seed
	var good uint64
	for i := int64(0); i < ops; i++ {
		x = x*6364136223846793005 + 1442695040888963407
		key := int64((x >> 33) % keys)
		if i%storeEvery == 0 {
			m.Store(key, key)
			good++
		} else if value, ok := m.Load(key); ok && value.(int64) == key {
			good++
		}
	}
	return good
}

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

func rwMutexReadShared(ops int64) uint64 {
	var mutex sync.RWMutex
	reads := make([]uint64, runtime.GOMAXPROCS(0))
	readers := int64(len(reads))
	var group sync.WaitGroup
	for r := int64(0); r < readers; r++ {
		n := ops / readers
		if r < ops%readers {
			n++
		}
		group.Add(1)
		go func(result *uint64) {
			var counter uint64
			for i := int64(0); i < n; i++ {
				mutex.RLock()
				counter++
				mutex.RUnlock()
			}
			*result = counter
			group.Done()
		}(&reads[r])
	}
	group.Wait()
	var sum uint64
	for _, n := range reads {
		sum += n
	}
	return sum
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

func concurrentMap(ops int64) uint64 {
	var m sync.Map
	for key := int64(0); key < keys; key++ {
		m.Store(key, key)
	}
	var results [mapUsers]uint64
	var group sync.WaitGroup
	for user := range results {
		group.Add(1)
		go func(result *uint64, seed uint64) {
			*result = useMap(&m, seed, ops/mapUsers)
			group.Done()
		}(&results[user], uint64(user))
	}
	group.Wait()
	var sum uint64
	for _, good := range results {
		sum += good
	}
	return sum
}
