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

// yieldRounds lets `fibers` goroutines yield `rounds` times each. Timed from the moment the last one has started until
// the last has yielded for the last time.
func yieldRounds(fibers, rounds int) time.Duration {
	var started, finished, yields int64
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
			mine := 0
			for ; mine < rounds; mine++ {
				runtime.Gosched()
			}
			atomic.AddInt64(&yields, int64(mine))
			if atomic.AddInt64(&finished, 1) == int64(fibers) {
				end = time.Now()
			}
			done.Done()
		}()
	}
	done.Wait()
	gobench.Require(yields == int64(fibers*rounds), "yields were lost")
	return end.Sub(start)
}

func main() {
	args := gobench.Arguments(map[string]int{"few": 2, "some": 1000, "many": 100000})
	metrics := map[string]float64{}
	for _, size := range []string{"few", "some", "many"} {
		fibers := args[size]
		ns := gobench.Measure(args, func(rounds int) time.Duration { return yieldRounds(fibers, rounds) }, 4)
		metrics["fibers_"+strconv.Itoa(fibers)+"_ns"] = ns / float64(fibers)
	}
	gobench.Print(metrics)
}
