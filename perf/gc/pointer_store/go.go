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

// costs: nanoseconds of a store, in the middle one of all batches, and on the average.
type costs struct{ middle, mean float64 }

// storeCost stores while goOn(batches so far) is true.
func storeCost(into []*target, values *[2]*target, goOn func(batches int) bool) costs {
	var each []float64
	first := time.Now()
	for goOn(len(each)) {
		begin := time.Now()
		for i := 0; i < batch; i++ {
			into[i%slots] = values[i/slots%2]
		}
		each = append(each, float64(time.Since(begin).Nanoseconds())/batch)
		runtime.Gosched()
	}
	gobench.Require(len(each) > 0, "nothing was measured")
	mean := float64(time.Since(first).Nanoseconds()) / float64(batch*len(each))
	sort.Float64s(each)
	return costs{each[len(each)/2], mean}
}

// storeCostMarking is the same while another worker collects.
func storeCostMarking(into []*target, values *[2]*target, collections int) costs {
	var begun, over int32
	var cost costs
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
	objects, collections := args["objects"], args["collections"]
	gobench.Require(objects > 0 && collections > 0, "--objects and --collections must be at least 1")
	into := make([]*target, slots)
	values := &[2]*target{{}, {}}
	storeCost(into, values, func(batches int) bool { return batches < 100 })
	idle := storeCost(into, values, func(batches int) bool { return batches < 1000 })
	heap := make([]*target, objects)
	for i := range heap {
		heap[i] = &target{}
	}
	marking := storeCostMarking(into, values, collections)
	gobench.Require(heap[len(heap)-1] != nil, "an object was lost")
	for _, one := range into {
		gobench.Require(one == values[0] || one == values[1], "a store was lost")
	}
	gobench.Print(map[string]float64{
		"idle_ns":         idle.middle,
		"marking_ns":      marking.middle,
		"marking_mean_ns": marking.mean,
	})
}
