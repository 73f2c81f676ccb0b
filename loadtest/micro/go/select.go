// Measures select with a case that is ready, without such a case, and waiting.
package main

import "time"

const timeout = time.Second

func selectReady(ops int64) uint64 {
	full, empty := make(chan int64, 1), make(chan int64, 1)
	var sum uint64
	for i := int64(0); i < ops; i++ {
		full <- i
		select {
		case value := <-full:
			sum += uint64(value)
		case <-empty:
			fail("select_ready: received from an empty channel")
		}
	}
	return sum
}

func selectDefault(ops int64) uint64 {
	first, second := make(chan int64, 1), make(chan int64, 1)
	var defaults uint64
	for i := int64(0); i < ops; i++ {
		select {
		case <-first:
			fail("select_default: received from an empty channel")
		case <-second:
			fail("select_default: received from an empty channel")
		default:
			defaults++
		}
	}
	return defaults
}

func selectBlocked(ops int64) uint64 {
	ping, pong, quit := make(chan int64), make(chan int64), make(chan int64)
	go func() {
		for on := true; on; {
			select {
			case value := <-ping:
				pong <- value + 1
			case <-quit:
				on = false
			}
		}
		close(pong)
	}()
	var sum uint64
	for i := int64(0); i < ops; i++ {
		ping <- i
		select {
		case value := <-pong:
			sum += uint64(value)
		case <-quit:
			fail("select_blocked: nobody has quit")
		}
	}
	close(quit)
	<-pong
	return sum
}

func selectTimeout(ops int64) uint64 {
	c := make(chan int64, 1)
	var sum uint64
	for i := int64(0); i < ops; i++ {
		c <- i
		// On a machine that stops for a second both cases are ready, and the timeout may win. Then the value is still there.
		select {
		case value := <-c:
			sum += uint64(value)
		case <-time.After(timeout):
			sum += uint64(<-c)
		}
	}
	return sum
}
