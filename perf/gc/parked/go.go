// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"heddle.perf/common/gobench"
)

type kept struct {
	number   int
	contents [7]uint64
}

// escaped makes objects that are on the heap: one that only its own stack names would be put there.
//
//go:noinline
func escaped(number int) *kept { return &kept{number: number} }

// beatBeside returns how late the heartbeat was while f ran.
func beatBeside(period time.Duration, f func()) *gobench.Waits {
	var over int32
	late := new(gobench.Waits)
	gobench.OnWorkers(2, func(worker int) {
		if worker == 0 {
			f()
			atomic.StoreInt32(&over, 1)
			return
		}
		for due := time.Now().Add(period); atomic.LoadInt32(&over) == 0; {
			time.Sleep(time.Until(due))
			now := time.Now()
			late.Add(now.Sub(due))
			due = due.Add(period)
			if due.Before(now) {
				due = now
			}
		}
	})
	return late
}

func main() {
	args := gobench.Arguments(map[string]int{"fibers": 1000000, "collections": 3, "beat_us": 250})
	n, collections := args["fibers"], args["collections"]
	gobench.Require(n > 0 && collections > 0, "--fibers and --collections must be at least 1")
	gate := make(chan int)
	var done sync.WaitGroup
	var parked, sum int64
	before := gobench.MemoryInUse()
	done.Add(n)
	for i := 0; i < n; i++ {
		go func(number int) {
			mine := escaped(number)
			atomic.AddInt64(&parked, 1)
			<-gate
			atomic.AddInt64(&sum, int64(mine.number))
			done.Done()
		}(i)
	}
	for atomic.LoadInt64(&parked) < int64(n) {
		runtime.Gosched()
	}
	metrics := map[string]float64{"bytes": float64(gobench.MemoryInUse()-before) / float64(n)}
	var elapsed time.Duration
	late := beatBeside(time.Duration(args["beat_us"])*time.Microsecond, func() {
		elapsed = gobench.Timed(func() {
			for i := 0; i < collections; i++ {
				runtime.GC()
			}
		})
	})
	metrics["fiber_ns"] = float64(elapsed.Nanoseconds()) / float64(n*collections)
	late.Print(metrics, "beat")
	close(gate)
	done.Wait()
	gobench.Require(int(sum) == n*(n-1)/2, "a goroutine lost its object")
	gobench.Print(metrics)
}
