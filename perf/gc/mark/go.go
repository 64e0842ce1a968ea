// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"sort"

	"heddle.perf/common/gobench"
)

type marked struct {
	other    *marked
	number   int
	contents [6]uint64
}

// collection returns the nanoseconds of the middle one of three collections.
func collection() float64 {
	ns := make([]float64, 3)
	for i := range ns {
		ns[i] = float64(gobench.Timed(runtime.GC).Nanoseconds())
	}
	sort.Float64s(ns)
	return ns[1]
}

func main() {
	args := gobench.Arguments(map[string]int{"objects": 8000000})
	objects := args["objects"]
	all := make([]*marked, objects)
	for i := range all {
		all[i] = &marked{number: i}
	}
	inOrder := collection() / float64(objects)
	choice := gobench.NewRandom(1)
	for i := objects - 1; i > 0; i-- {
		j := choice.Below(i + 1)
		all[i], all[j] = all[j], all[i]
	}
	shuffled := collection() / float64(objects)
	sum := 0
	for _, one := range all {
		sum += one.number
	}
	gobench.Require(sum == objects*(objects-1)/2, "an object was lost")
	gobench.Print(map[string]float64{"in_order_ns": inOrder, "shuffled_ns": shuffled})
}
