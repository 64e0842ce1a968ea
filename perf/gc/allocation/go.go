// SPDX-License-Identifier: BSL-1.0

package main

import "heddle.perf/common/gobench"

type cell16 struct {
	other *cell16
	_     [8]byte
}

type cell32 struct {
	other *cell32
	_     [24]byte
}

type cell64 struct {
	other *cell64
	_     [56]byte
}

const window = 1024

// makeCells16 and the two below are one function: a generic one would call through a dictionary.
func makeCells16(objects int) {
	recent := make([]*cell16, window)
	for i := 0; i < objects; i++ {
		recent[i%window] = &cell16{}
	}
	for _, one := range recent {
		gobench.Require(one != nil && one.other == nil, "an object was overwritten")
	}
}

func makeCells32(objects int) {
	recent := make([]*cell32, window)
	for i := 0; i < objects; i++ {
		recent[i%window] = &cell32{}
	}
	for _, one := range recent {
		gobench.Require(one != nil && one.other == nil, "an object was overwritten")
	}
}

func makeCells64(objects int) {
	recent := make([]*cell64, window)
	for i := 0; i < objects; i++ {
		recent[i%window] = &cell64{}
	}
	for _, one := range recent {
		gobench.Require(one != nil && one.other == nil, "an object was overwritten")
	}
}

func measure(args map[string]int, makeCells func(objects int)) float64 {
	elapsed := gobench.Timed(func() {
		gobench.OnWorkers(args["procs"], func(int) { makeCells(args["objects"]) })
	})
	return float64(elapsed.Nanoseconds()) / float64(args["objects"])
}

func main() {
	args := gobench.Arguments(map[string]int{"objects": 20000000})
	gobench.Require(args["objects"] >= window, "--objects must be at least 1024")
	gobench.Print(map[string]float64{
		"object_16_ns": measure(args, makeCells16),
		"object_32_ns": measure(args, makeCells32),
		"object_64_ns": measure(args, makeCells64),
	})
}
