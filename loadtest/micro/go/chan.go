// Channels.
package main

const (
	capacity = 128
	branches = 10
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

func skynet(leaves int64) uint64 {
	root := make(chan int64)
	go skynetNode(root, 0, leaves)
	return uint64(<-root)
}
