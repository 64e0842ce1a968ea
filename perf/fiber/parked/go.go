// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"sync"
	"sync/atomic"

	"heddle.perf/common/gobench"
)

// park lets n goroutines wait for a channel to be closed; it is closed once all of them wait.
func park(n int) map[string]float64 {
	gate := make(chan int)
	var done sync.WaitGroup
	var parked, woken int64
	memory := gobench.MemoryInUse()
	create := gobench.Timed(func() {
		done.Add(n)
		for i := 0; i < n; i++ {
			go func() {
				atomic.AddInt64(&parked, 1)
				<-gate
				atomic.AddInt64(&woken, 1)
				done.Done()
			}()
		}
		for atomic.LoadInt64(&parked) < int64(n) {
			runtime.Gosched()
		}
	})
	grown := gobench.MemoryInUse() - memory
	gobench.Require(atomic.LoadInt64(&woken) == 0, "a goroutine did not wait")
	wake := gobench.Timed(func() {
		close(gate)
		done.Wait()
	})
	gobench.Require(woken == int64(n), "a goroutine was lost")
	return map[string]float64{
		"bytes":     float64(grown) / float64(n),
		"create_ns": float64(create.Nanoseconds()) / float64(n),
		"wake_ns":   float64(wake.Nanoseconds()) / float64(n),
	}
}

func main() {
	args := gobench.Arguments(map[string]int{"fibers": 1000000})
	few := args["fibers"] / 10
	if few > 1000 {
		few = 1000
	}
	park(few) // warm up, and leave few to reuse
	gobench.Print(park(args["fibers"]))
}
