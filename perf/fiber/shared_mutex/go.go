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

// visit lets `fibers` goroutines lock `rounds` times each, for reading or, one time in `every` (never: 0), for writing.
// Timed from the moment the last one has started until the last has ended.
func visit(fibers, every, rounds int) time.Duration {
	var mutex sync.RWMutex
	counter := 0
	var started, finished, written int64
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
			seen, writes, turn := 0, 0, every
			for n := 0; n < rounds; n++ {
				if every != 0 {
					turn--
				}
				if every != 0 && turn == 0 {
					mutex.Lock()
					counter++
					mutex.Unlock()
					turn = every
					writes++
				} else {
					mutex.RLock()
					now := counter
					mutex.RUnlock()
					gobench.Require(now >= seen, "a write was lost")
					seen = now
				}
			}
			atomic.AddInt64(&written, int64(writes))
			if atomic.AddInt64(&finished, 1) == int64(fibers) {
				end = time.Now()
			}
			done.Done()
		}()
	}
	done.Wait()
	gobench.Require(int64(counter) == written, "a write was lost")
	return end.Sub(start)
}

func main() {
	args := gobench.Arguments(map[string]int{"one": 1, "few": 2, "some": 8, "every": 10})
	metrics := map[string]float64{}
	for _, size := range []string{"one", "few", "some"} {
		fibers := args[size]
		ns := gobench.Measure(args, func(rounds int) time.Duration { return visit(fibers, 0, rounds) }, 1)
		metrics["read_"+strconv.Itoa(fibers)+"_ns"] = ns / float64(fibers)
	}
	fibers := args["some"]
	ns := gobench.Measure(args, func(rounds int) time.Duration { return visit(fibers, args["every"], rounds) }, 1)
	metrics["mixed_"+strconv.Itoa(fibers)+"_ns"] = ns / float64(fibers)
	gobench.Print(metrics)
}
