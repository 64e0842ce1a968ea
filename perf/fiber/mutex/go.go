// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"heddle.perf/common/gobench"
)

// count lets `fibers` goroutines count to `rounds` each, together and under one lock. Timed from the moment the last one
// has started until the last has ended.
func count(fibers, rounds int) time.Duration {
	var mutex sync.Mutex
	counter := 0
	var started, finished int64
	var start, end time.Time
	var done sync.WaitGroup
	done.Add(fibers)
	for i := 0; i < fibers; i++ {
		go func() {
			if atomic.AddInt64(&started, 1) == int64(fibers) {
				start = time.Now()
			}
			for atomic.LoadInt64(&started) < int64(fibers) {
				runtime.Gosched()
			}
			for n := 0; n < rounds; n++ {
				mutex.Lock()
				counter++
				mutex.Unlock()
			}
			if atomic.AddInt64(&finished, 1) == int64(fibers) {
				end = time.Now()
			}
			done.Done()
		}()
	}
	done.Wait()
	gobench.Require(counter == fibers*rounds, "an increment was lost")
	return end.Sub(start)
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
