// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"sort"
	"time"

	"heddle.perf/common/gobench"
)

// direct lets two goroutines yield n times each to each other.
func direct(n int) time.Duration {
	ended := make(chan bool)
	go func() {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
		ended <- true
	}()
	elapsed := gobench.Timed(func() {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
	})
	<-ended
	return elapsed
}

// A coldWatch is what perf::cold_watch is in common/switching.hpp, with the clock that Go has.
type coldWatch struct {
	ballast []byte
	left    time.Time
	samples []time.Duration
}

func (w *coldWatch) leave() {
	for i := 0; i < len(w.ballast); i += 64 {
		w.ballast[i]++
	}
	w.left = time.Now()
}

func (w *coldWatch) arrive() {
	w.samples = append(w.samples, time.Since(w.left))
}

func (w *coldWatch) median() float64 {
	sort.Slice(w.samples, func(a, b int) bool { return w.samples[a] < w.samples[b] })
	return float64(w.samples[len(w.samples)/2].Nanoseconds())
}

// cold lets two goroutines yield n times each to each other around leave and arrive.
func cold(w *coldWatch, n int) {
	ended := make(chan bool)
	go func() {
		for i := 0; i < n; i++ {
			w.arrive()
			w.leave()
			runtime.Gosched()
		}
		ended <- true
	}()
	for i := 0; i < n; i++ {
		w.leave()
		runtime.Gosched()
		w.arrive()
	}
	<-ended
}

func main() {
	args := gobench.Arguments(map[string]int{"samples": 1000, "evict_kib": 4096})
	runtime.GOMAXPROCS(1)
	samples := args["samples"]
	metrics := map[string]float64{"direct_ns": gobench.Measure(args, direct, 100) / 2}

	watch := coldWatch{ballast: make([]byte, args["evict_kib"]*1024), samples: make([]time.Duration, 0, samples)}
	for i := 0; i < samples; i++ { // what leaving and arriving cost without a switch
		watch.leave()
		watch.arrive()
	}
	nothing := watch.median()
	watch.samples = watch.samples[:0]
	cold(&watch, samples/2)
	gobench.Require(len(watch.samples) == samples/2*2, "switches were lost")
	metrics["cold_ns"] = watch.median() - nothing
	gobench.Print(metrics)
}
