// Measures how long a goroutine that keeps its thread makes the others wait.
package main

import (
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	clientCount = 4
	spellCount  = 3 // how often the hog computes for a second
	askEvery    = time.Millisecond
	pause       = 100 * time.Millisecond // between two spells
	tick        = 10 * time.Millisecond
)

var computed uint64

// Times of round trips, in nanoseconds.
type times struct {
	delays []int64 // from when a trip was due
	trips  []int64 // from when a client asked
}

// Computes without a call of the runtime. It looks at the clock about each microsecond.
func computeUntil(end time.Time) {
	x := uint64(0)
	for time.Now().Before(end) {
		for i := 0; i < 1000; i++ {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	computed = x
}

func answer(conn net.Conn) {
	var b [1]byte
	for {
		if n, _ := conn.Read(b[:]); n != 1 {
			break
		}
		if _, err := conn.Write(b[:]); err != nil {
			fail("hog_echo: the server could not answer")
		}
	}
	conn.Close()
}

func ask(conn net.Conn, b byte) {
	asked, answered := [1]byte{b}, [1]byte{}
	if _, err := conn.Write(asked[:]); err != nil {
		fail("hog_echo: a byte did not come back")
	}
	if n, _ := conn.Read(answered[:]); n != 1 || answered != asked {
		fail("hog_echo: a byte did not come back")
	}
}

// While one goroutine computes, clients ask at fixed times, whether or not the last answer came late. The delay counts
// from the fixed time, so a stall delays all requests that were due during the stall. The metrics trip_* count from
// when a client did ask.
func hogEcho(s *sample) {
	if s.Ops%(clientCount*spellCount) != 0 {
		fail("hog_echo: OPS must be a multiple of 12")
	}
	asks := s.Ops / (clientCount * spellCount) // of each client in each spell
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("hog_echo: cannot listen on 127.0.0.1")
	}
	var servers sync.WaitGroup
	servers.Add(1)
	go func() {
		defer servers.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			servers.Add(1)
			go func() {
				defer servers.Done()
				answer(conn)
			}()
		}
	}()

	var starts []chan time.Time
	all := make([]times, clientCount)
	var clients, spell sync.WaitGroup
	for c := 0; c < clientCount; c++ {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			fail("hog_echo: cannot connect to 127.0.0.1")
		}
		mine := &all[c]
		mine.delays = make([]int64, 0, asks*spellCount)
		mine.trips = make([]int64, 0, asks*spellCount)
		spells := make(chan time.Time, 1)
		starts = append(starts, spells)
		offset := time.Duration(c) * (askEvery / clientCount)
		clients.Add(1)
		go func() {
			defer clients.Done()
			for start := range spells {
				for i := int64(0); i < asks; i++ {
					due := start.Add(time.Duration(i)*askEvery + offset)
					time.Sleep(time.Until(due))
					asked := time.Now()
					ask(conn, byte(i))
					answered := time.Now()
					mine.delays = append(mine.delays, int64(answered.Sub(due)))
					mine.trips = append(mine.trips, int64(answered.Sub(asked)))
				}
				spell.Done()
			}
			conn.Close()
		}()
	}
	for i := 0; i < spellCount; i++ {
		time.Sleep(pause)
		spell.Add(clientCount)
		start := time.Now()
		for _, client := range starts {
			client <- start
		}
		computeUntil(start.Add(time.Duration(asks) * askEvery))
		spell.Wait()
	}
	for _, client := range starts {
		close(client)
	}
	clients.Wait()
	listener.Close()
	servers.Wait()

	var sum times
	for _, each := range all {
		sum.delays = append(sum.delays, each.delays...)
		sum.trips = append(sum.trips, each.trips...)
	}
	s.Checksum = uint64(len(sum.delays))
	s.addPercentiles("", sum.delays)
	s.addPercentiles("trip_", sum.trips)
}

// The call begins between two ticks, when nobody waits for the processor. So the processor has to be taken from the
// goroutine that sits in the call.
func blockingTick(s *sample) {
	late := make([]int64, 0, s.Ops)
	start := time.Now()
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		time.Sleep(time.Until(start.Add(tick / 2)))
		left := syscall.NsecToTimespec(s.Ops * int64(tick))
		for syscall.Nanosleep(&left, &left) == syscall.EINTR {
		}
	}()
	for i := int64(1); i <= s.Ops; i++ {
		due := start.Add(time.Duration(i) * tick)
		time.Sleep(time.Until(due))
		late = append(late, int64(time.Since(due)))
	}
	group.Wait()
	s.Checksum = uint64(len(late))
	s.addPercentiles("", late)
}
