// SPDX-License-Identifier: BSL-1.0

package main

import (
	"sync/atomic"

	"heddle.perf/common/gobench"
)

type tree struct{ left, right *tree }

func bottomUp(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	left := bottomUp(depth - 1)
	right := bottomUp(depth - 1)
	return &tree{left, right}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

func nodes(depth int) int { return 2<<depth - 1 }

func allTreesOf(depth, deepest, workers int) {
	trees := 1 << (deepest - depth + 4)
	var counted int64
	gobench.OnWorkers(workers, func(worker int) {
		mine := 0
		for i := worker; i < trees; i += workers {
			mine += bottomUp(depth).count()
		}
		atomic.AddInt64(&counted, int64(mine))
	})
	gobench.Require(int(counted) == trees*nodes(depth), "a tree has lost a node")
}

func main() {
	args := gobench.Arguments(map[string]int{"depth": 18})
	deepest := args["depth"]
	elapsed := gobench.Timed(func() {
		gobench.Require(bottomUp(deepest+1).count() == nodes(deepest+1), "the stretch tree has lost a node")
		longLived := bottomUp(deepest)
		for depth := 4; depth <= deepest; depth += 2 {
			allTreesOf(depth, deepest, args["procs"])
		}
		gobench.Require(longLived.count() == nodes(deepest), "the tree that stays has lost a node")
	})
	gobench.Print(map[string]float64{"wall_ms": float64(elapsed.Nanoseconds()) / 1e6})
}
