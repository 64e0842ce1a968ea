// SPDX-License-Identifier: BSL-1.0

package main

import (
	"time"

	"heddle.perf/common/gobench"
)

func main() {
	args := gobench.Arguments(nil)
	ns := gobench.Measure(args, func(n int) time.Duration {
		sum := 0
		result := make(chan int) // Go has no join: the result comes over a channel
		elapsed := gobench.Timed(func() {
			for i := 0; i < n; i++ {
				go func(i int) { result <- i }(i)
				sum += <-result
			}
		})
		gobench.Require(sum == n*(n-1)/2, "a result was lost")
		return elapsed
	}, 1)
	gobench.Print(map[string]float64{"spawn_join_ns": ns})
}
