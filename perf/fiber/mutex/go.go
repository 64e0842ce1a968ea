// SPDX-License-Identifier: BSL-1.0

package main

import (
	"strconv"
	"sync"
	"time"

	"heddle.perf/common/gobench"
)

// count lets `fibers` goroutines count to `rounds` each, together and under one lock.
func count(fibers, rounds int) time.Duration {
	var mutex sync.Mutex
	counter := 0
	elapsed := gobench.Timed(func() {
		var done sync.WaitGroup
		done.Add(fibers)
		for i := 0; i < fibers; i++ {
			go func() {
				for n := 0; n < rounds; n++ {
					mutex.Lock()
					counter++
					mutex.Unlock()
				}
				done.Done()
			}()
		}
		done.Wait()
	})
	gobench.Require(counter == fibers*rounds, "an increment was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(map[string]int{"one": 1, "few": 2, "some": 8, "many": 1000})
	metrics := map[string]float64{}
	for _, size := range []string{"one", "few", "some", "many"} {
		fibers := args[size]
		ns := gobench.Measure(args, func(rounds int) time.Duration { return count(fibers, rounds) }, 1)
		metrics["fibers_"+strconv.Itoa(fibers)+"_ns"] = ns / float64(fibers)
	}
	gobench.Print(metrics)
}
