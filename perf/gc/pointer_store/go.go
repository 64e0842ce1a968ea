// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"sort"
	"sync/atomic"
	"time"

	"heddle.perf/common/gobench"
)

type target struct {
	other    *target
	contents [7]uint64
}

const (
	slots = 1024
	batch = 20000
)

// storeCost returns the nanoseconds of a store in the middle one of all batches while goOn(batches) is true.
func storeCost(into []*target, values *[2]*target, goOn func(batches int) bool) float64 {
	var costs []float64
	for goOn(len(costs)) {
		begin := time.Now()
		for i := 0; i < batch; i++ {
			into[i%slots] = values[i/slots%2]
		}
		costs = append(costs, float64(time.Since(begin).Nanoseconds())/batch)
		runtime.Gosched()
	}
	gobench.Require(len(costs) > 0, "nothing was measured")
	sort.Float64s(costs)
	return costs[len(costs)/2]
}

// storeCostMarking is the same while another worker collects.
func storeCostMarking(into []*target, values *[2]*target, collections int) float64 {
	var begun, over int32
	cost := 0.0
	gobench.OnWorkers(2, func(worker int) {
		if worker == 0 {
			atomic.StoreInt32(&begun, 1)
			for i := 0; i < collections; i++ {
				runtime.GC()
			}
			atomic.StoreInt32(&over, 1)
			return
		}
		for atomic.LoadInt32(&begun) == 0 {
			runtime.Gosched()
		}
		cost = storeCost(into, values, func(batches int) bool {
			return batches == 0 || atomic.LoadInt32(&over) == 0
		})
	})
	return cost
}

func main() {
	args := gobench.Arguments(map[string]int{"objects": 4000000, "collections": 20})
	gobench.Require(args["objects"] > 0 && args["collections"] > 0, "--objects and --collections must be at least 1")
	into := make([]*target, slots)
	values := &[2]*target{{}, {}}
	storeCost(into, values, func(batches int) bool { return batches < 100 })
	idle := storeCost(into, values, func(batches int) bool { return batches < 1000 })
	heap := make([]*target, args["objects"])
	for i := range heap {
		heap[i] = &target{}
	}
	marking := storeCostMarking(into, values, args["collections"])
	gobench.Require(heap[len(heap)-1] != nil, "an object was lost")
	for _, one := range into {
		gobench.Require(one == values[0] || one == values[1], "a store was lost")
	}
	gobench.Print(map[string]float64{"idle_ns": idle, "marking_ns": marking})
}
