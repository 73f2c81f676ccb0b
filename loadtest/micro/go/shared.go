// Measures what goroutines on all processors use at the same time: pools, maps, values and counters, beside the plain
// ways to do the same. A weft::Sharded has no counterpart in Go.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	mapUsers   = 4
	keys       = 1000
	storeEvery = 10
)

type buffer struct {
	at    int64
	bytes [1024]byte
}

// onEachProcessor runs use(n) in as many goroutines as there are processors, and returns the sum of what the calls
// return. The numbers n are parts of ops.
func onEachProcessor(ops int64, use func(n int64) uint64) uint64 {
	results := make([]uint64, runtime.GOMAXPROCS(0))
	users := int64(len(results))
	var group sync.WaitGroup
	for user := int64(0); user < users; user++ {
		n := ops / users
		if user < ops%users {
			n++
		}
		group.Add(1)
		go func(result *uint64) {
			*result = use(n)
			group.Done()
		}(&results[user])
	}
	group.Wait()
	var sum uint64
	for _, result := range results {
		sum += result
	}
	return sum
}

// touch writes to the buffer and returns 1. It is not inlined, so that the compiler can't see that nobody reads the
// buffer.
//
//go:noinline
func touch(b *buffer, i int64) uint64 {
	b.at = i
	return 1
}

// newBuffer is not inlined, so that the buffer is allocated on the heap.
//
//go:noinline
func newBuffer() *buffer { return new(buffer) }

// A map with one mutex around it.
type mutexedMap struct {
	mutex sync.Mutex
	m     map[int64]int64
}

func (m *mutexedMap) store(key, value int64) {
	m.mutex.Lock()
	m.m[key] = value
	m.mutex.Unlock()
}

func (m *mutexedMap) load(key int64) (int64, bool) {
	m.mutex.Lock()
	value, ok := m.m[key]
	m.mutex.Unlock()
	return value, ok
}

// A list of free buffers with one mutex around it.
type mutexList struct {
	mutex sync.Mutex
	free  []*buffer
}

func (l *mutexList) get() *buffer {
	l.mutex.Lock()
	if last := len(l.free) - 1; last >= 0 {
		b := l.free[last]
		l.free = l.free[:last]
		l.mutex.Unlock()
		return b
	}
	l.mutex.Unlock()
	return newBuffer()
}

func (l *mutexList) put(b *buffer) {
	l.mutex.Lock()
	l.free = append(l.free, b)
	l.mutex.Unlock()
}

// random is the generator of the twin's use_map().
func random(x uint64) uint64 { return x*6364136223846793005 + 1442695040888963407 }

// Key k always has the value k. useSyncMap and useMutexMap return how many operations found it so. Each type has a
// function of its own, because a call through an interface would be part of what is measured.
func useSyncMap(m *sync.Map, seed uint64, ops int64) uint64 {
	x := seed
	var good uint64
	for i := int64(0); i < ops; i++ {
		x = random(x)
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

func useMutexMap(m *mutexedMap, seed uint64, ops int64) uint64 {
	x := seed
	var good uint64
	for i := int64(0); i < ops; i++ {
		x = random(x)
		key := int64((x >> 33) % keys)
		if i%storeEvery == 0 {
			m.store(key, key)
			good++
		} else if value, ok := m.load(key); ok && value == key {
			good++
		}
	}
	return good
}

// fromMapUsers runs use(seed) in the goroutines that use a map and returns the sum of what the calls return.
func fromMapUsers(use func(seed uint64) uint64) uint64 {
	var results [mapUsers]uint64
	var group sync.WaitGroup
	for user := range results {
		group.Add(1)
		go func(result *uint64, seed uint64) {
			*result = use(seed)
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

func rwMutexReadShared(ops int64) uint64 {
	var mutex sync.RWMutex
	return onEachProcessor(ops, func(n int64) uint64 {
		var counter uint64
		for i := int64(0); i < n; i++ {
			mutex.RLock()
			counter++
			mutex.RUnlock()
		}
		return counter
	})
}

func poolShared(ops int64) uint64 {
	pool := sync.Pool{New: func() any { return new(buffer) }}
	return onEachProcessor(ops, func(n int64) uint64 {
		var touched uint64
		for i := int64(0); i < n; i++ {
			b := pool.Get().(*buffer)
			touched += touch(b, i)
			pool.Put(b)
		}
		return touched
	})
}

func poolTwoShared(ops int64) uint64 {
	pool := sync.Pool{New: func() any { return new(buffer) }}
	return onEachProcessor(ops, func(n int64) uint64 {
		var touched uint64
		for i := int64(0); i < n; i++ {
			first := pool.Get().(*buffer)
			second := pool.Get().(*buffer)
			touch(first, i)
			touched += touch(second, i)
			pool.Put(second)
			pool.Put(first)
		}
		return touched
	})
}

func listShared(ops int64) uint64 {
	var list mutexList
	return onEachProcessor(ops, func(n int64) uint64 {
		var touched uint64
		for i := int64(0); i < n; i++ {
			b := list.get()
			touched += touch(b, i)
			list.put(b)
		}
		return touched
	})
}

func newShared(ops int64) uint64 {
	return onEachProcessor(ops, func(n int64) uint64 {
		var touched uint64
		for i := int64(0); i < n; i++ {
			touched += touch(newBuffer(), i)
		}
		return touched
	})
}

func concurrentMap(ops int64) uint64 {
	var m sync.Map
	for key := int64(0); key < keys; key++ {
		m.Store(key, key)
	}
	return fromMapUsers(func(seed uint64) uint64 { return useSyncMap(&m, seed, ops/mapUsers) })
}

func mutexMap(ops int64) uint64 {
	m := mutexedMap{m: map[int64]int64{}}
	for key := int64(0); key < keys; key++ {
		m.store(key, key)
	}
	return fromMapUsers(func(seed uint64) uint64 { return useMutexMap(&m, seed, ops/mapUsers) })
}

func atomicValueShared(ops int64) uint64 {
	var value atomic.Value
	value.Store(uint64(1))
	return onEachProcessor(ops, func(n int64) uint64 {
		var sum uint64
		for i := int64(0); i < n; i++ {
			sum += value.Load().(uint64)
		}
		return sum
	})
}

func mutexValueShared(ops int64) uint64 {
	var mutex sync.Mutex
	value := new(uint64)
	*value = 1
	return onEachProcessor(ops, func(n int64) uint64 {
		var sum uint64
		for i := int64(0); i < n; i++ {
			mutex.Lock()
			mine := value
			mutex.Unlock()
			sum += *mine
		}
		return sum
	})
}

func atomicShared(ops int64) uint64 {
	var counter uint64
	onEachProcessor(ops, func(n int64) uint64 {
		for i := int64(0); i < n; i++ {
			atomic.AddUint64(&counter, 1)
		}
		return 0
	})
	return counter
}
