// SPDX-License-Identifier: BSL-1.0

package main

import (
	"time"

	"heddle.perf/common/gobench"
)

type tree struct {
	left, right *tree
	value       uint64
}

func makeTree(depth int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{makeTree(depth - 1), makeTree(depth - 1), uint64(depth)}
}

//go:noinline
func (t *tree) sum() uint64 {
	if t == nil {
		return 0
	}
	return t.left.sum() + t.right.sum() + t.value
}

//go:noinline
func fibonacci(n int) uint64 {
	if n < 2 {
		return uint64(n)
	}
	return fibonacci(n-1) + fibonacci(n-2)
}

// down has a frame of some 100 bytes and goes n deep.
//
//go:noinline
func down(n int) uint64 {
	var frame [8]uint64
	frame[n%8] = uint64(n)
	if n == 0 {
		return 0
	}
	below := down(n - 1)
	if frame[n%8] != uint64(n) {
		return 0
	}
	return below + 1
}

// large has a frame that does not fit into what a goroutine begins with.
//
//go:noinline
func large(n int) uint64 {
	var frame [256]uint64
	frame[n%256] = uint64(n)
	return frame[n%256]
}

// inGoroutine gives f a goroutine of its own.
func inGoroutine(f func() uint64, rounds int, expected uint64) time.Duration {
	elapsed := make(chan time.Duration)
	var last uint64
	go func() {
		start := time.Now()
		for i := 0; i < rounds; i++ {
			last = f()
		}
		elapsed <- time.Since(start)
	}()
	took := <-elapsed
	gobench.Require(last == expected, "the result is wrong")
	return took
}

func main() {
	args := gobench.Arguments(map[string]int{"depth": 10000, "fibonacci": 25, "tree": 16})
	metrics := map[string]float64{}
	each := func(name string, steps, expected uint64, f func() uint64) {
		ns := gobench.Measure(args, func(rounds int) time.Duration { return inGoroutine(f, rounds, expected) }, 1)
		metrics[name] = ns / float64(steps)
	}
	depth, n := args["depth"], args["fibonacci"]
	root := makeTree(args["tree"])
	const calls = 1000
	each("down_ns", uint64(depth), uint64(depth), func() uint64 { return down(depth) })
	each("call_ns", calls, calls*(calls-1)/2, func() uint64 {
		var total uint64
		for i := 0; i < calls; i++ {
			total += large(i)
		}
		return total
	})
	each("fibonacci_ns", 2*fibonacci(n+1)-1, fibonacci(n), func() uint64 { return fibonacci(n) })
	each("tree_ns", 1<<args["tree"]-1, root.sum(), root.sum)
	gobench.Print(metrics)
}
