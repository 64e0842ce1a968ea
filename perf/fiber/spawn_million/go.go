// SPDX-License-Identifier: BSL-1.0

package main

import (
	"sync"
	"sync/atomic"
	"time"

	"heddle.perf/common/gobench"
)

// spawnAll starts n goroutines, then waits for all of them.
func spawnAll(n int) time.Duration {
	var sum int64
	elapsed := gobench.Timed(func() {
		var done sync.WaitGroup
		done.Add(n)
		for i := 0; i < n; i++ {
			go func(i int) {
				atomic.AddInt64(&sum, int64(i))
				done.Done()
			}(i)
		}
		done.Wait()
	})
	gobench.Require(sum == int64(n*(n-1)/2), "a goroutine was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(map[string]int{"fibers": 1000000})
	fibers := args["fibers"]
	spawnAll(fibers / 100) // warm up
	gobench.Print(map[string]float64{"spawn_ns": float64(spawnAll(fibers).Nanoseconds()) / float64(fibers)})
}
