// SPDX-License-Identifier: BSL-1.0

package main

import (
	"time"

	"heddle.perf/common/gobench"
)

// skynet is a goroutine with ten children, each with ten children ... until there are `leaves`; every leaf sends its
// number and everyone else the sum of its children.
func skynet(result chan int, first, leaves int) {
	if leaves <= 1 {
		result <- first
		return
	}
	sums := make(chan int)
	for i := 0; i < 10; i++ {
		go skynet(sums, first+i*(leaves/10), leaves/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-sums
	}
	result <- sum
}

func timedSkynet(leaves int) time.Duration {
	sum := 0
	elapsed := gobench.Timed(func() {
		result := make(chan int)
		go skynet(result, 0, leaves)
		sum = <-result
	})
	gobench.Require(sum == leaves*(leaves-1)/2, "the sum is wrong")
	return elapsed
}

func main() {
	args := gobench.Arguments(map[string]int{"leaves": 1000000})
	leaves := args["leaves"]
	timedSkynet(leaves / 100) // warm up
	gobench.Print(map[string]float64{"leaf_ns": float64(timedSkynet(leaves).Nanoseconds()) / float64(leaves)})
}
