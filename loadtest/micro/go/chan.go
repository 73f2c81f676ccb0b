// Measures channels.
package main

import "sync"

const (
	capacity      = 128
	smallCapacity = 100
	producers     = 4
	consumers     = 4
	branches      = 10
)

func skynetNode(parent chan int64, first, leaves int64) {
	if leaves == 1 {
		parent <- first
		return
	}
	children := make(chan int64)
	share := leaves / branches
	for i := int64(0); i < branches; i++ {
		go skynetNode(children, first+i*share, share)
	}
	var sum int64
	for i := 0; i < branches; i++ {
		sum += <-children
	}
	parent <- sum
}

func manyToMany(capacity int, ops int64) uint64 {
	c := make(chan int64, capacity)
	share := ops / producers
	var sums [consumers]uint64
	var receiving sync.WaitGroup
	for i := range sums {
		receiving.Add(1)
		go func(result *uint64) {
			var sum uint64
			for value := range c {
				sum += uint64(value)
			}
			*result = sum
			receiving.Done()
		}(&sums[i])
	}
	var sending sync.WaitGroup
	for p := int64(0); p < producers; p++ {
		sending.Add(1)
		go func(first int64) {
			for i := int64(0); i < share; i++ {
				c <- first + i
			}
			sending.Done()
		}(p * share)
	}
	sending.Wait()
	close(c)
	receiving.Wait()
	var sum uint64
	for _, s := range sums {
		sum += s
	}
	return sum
}

func pingPong(ops int64) uint64 {
	ping, pong := make(chan int64), make(chan int64)
	go func() {
		for value := range ping {
			pong <- value + 1
		}
		close(pong)
	}()
	var sum uint64
	for i := int64(0); i < ops; i++ {
		ping <- i
		sum += uint64(<-pong)
	}
	close(ping)
	<-pong
	return sum
}

func chanBuffered(ops int64) uint64 {
	c := make(chan int64, capacity)
	go func() {
		for i := int64(0); i < ops; i++ {
			c <- i
		}
		close(c)
	}()
	var sum uint64
	for value := range c {
		sum += uint64(value)
	}
	return sum
}

func chanUncontended(ops int64) uint64 {
	c := make(chan int64, capacity)
	var sum uint64
	for i := int64(0); i < ops; i++ {
		c <- i
		sum += uint64(<-c)
	}
	return sum
}

func chan4x4Unbuffered(ops int64) uint64 { return manyToMany(0, ops) }
func chan4x4Buffered(ops int64) uint64   { return manyToMany(smallCapacity, ops) }

func skynet(leaves int64) uint64 {
	root := make(chan int64)
	go skynetNode(root, 0, leaves)
	return uint64(<-root)
}
