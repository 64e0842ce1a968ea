// SPDX-License-Identifier: BSL-1.0

package main

import (
	"sync"
	"time"

	"heddle.perf/common/gobench"
)

// roundTrips lets two goroutines take turns, n each: under one mutex, with one condition variable for both.
func roundTrips(n int) time.Duration {
	var mutex sync.Mutex
	changed := sync.NewCond(&mutex)
	turn := 0
	play := func(me int) {
		mutex.Lock()
		for i := 0; i < n; i++ {
			for turn%2 != me {
				changed.Wait()
			}
			turn++
			changed.Signal()
		}
		mutex.Unlock()
	}
	ended := make(chan bool)
	go func() {
		play(1)
		ended <- true
	}()
	elapsed := gobench.Timed(func() { play(0) })
	<-ended
	gobench.Require(turn == 2*n, "a turn was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(nil)
	gobench.Print(map[string]float64{"one_way_ns": gobench.Measure(args, roundTrips, 1) / 2})
}
