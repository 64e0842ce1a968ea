// SPDX-License-Identifier: BSL-1.0

package main

import (
	"time"

	"heddle.perf/common/gobench"
)

// roundTrips sends a number n times to a second goroutine, from where it comes back one larger, each way over an
// unbuffered channel.
func roundTrips(n int) time.Duration {
	there, back := make(chan int), make(chan int)
	ended := make(chan bool)
	go func() {
		for value := range there {
			back <- value + 1
		}
		ended <- true
	}()
	value := 0
	elapsed := gobench.Timed(func() {
		for i := 0; i < n; i++ {
			there <- value
			value = <-back
		}
	})
	close(there)
	<-ended
	gobench.Require(value == n, "a message was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(nil)
	gobench.Print(map[string]float64{"one_way_ns": gobench.Measure(args, roundTrips, 1) / 2})
}
