// SPDX-License-Identifier: BSL-1.0

package main

import (
	"time"

	"heddle.perf/common/gobench"
)

// fib makes one of its two calls a goroutine of its own, all the way down.
func fib(n int) int {
	if n < 2 {
		return n
	}
	left := make(chan int, 1)
	go func() { left <- fib(n - 1) }()
	right := fib(n - 2)
	return <-left + right
}

func fibonacci(n int) int {
	a, b := 0, 1
	for ; n > 0; n-- {
		a, b = b, a+b
	}
	return a
}

// timedFib returns nanoseconds per spawn; fib(n) spawns s(n) = s(n-1) + s(n-2) + 1 times, s(0) = s(1) = 0.
func timedFib(n int) float64 {
	start := time.Now()
	result := fib(n)
	elapsed := time.Since(start)
	gobench.Require(result == fibonacci(n), "the number is wrong")
	return float64(elapsed.Nanoseconds()) / float64(fibonacci(n+1)-1)
}

func main() {
	args := gobench.Arguments(map[string]int{"n": 27})
	timedFib(args["n"] - 7) // warm up
	gobench.Print(map[string]float64{"spawn_ns": timedFib(args["n"])})
}
