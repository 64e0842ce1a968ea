// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"time"

	"heddle.perf/common/gobench"
)

type message [1024]byte

func fill(one *message, with byte) {
	for i := range one {
		one[i] = with
	}
}

func pushMessages(size, messages int, times *gobench.Waits) {
	ring := make([]*message, size)
	for i := 0; i < size+messages; i++ {
		begin := time.Now()
		fresh := new(message)
		fill(fresh, byte(i%251))
		ring[i%size] = fresh
		if i >= size {
			times.Add(time.Since(begin))
		}
		if i%64 == 0 {
			runtime.Gosched()
		}
	}
	for i := messages; i < size+messages; i++ {
		one := ring[i%size]
		gobench.Require(one[0] == byte(i%251) && one[1023] == byte(i%251), "a message was overwritten")
	}
}

func main() {
	args := gobench.Arguments(map[string]int{"size": 200000, "messages": 2000000})
	gobench.Require(args["size"] > 0, "--size must be at least 1")
	times := new(gobench.Waits)
	elapsed := gobench.Timed(func() { pushMessages(args["size"], args["messages"], times) })
	metrics := map[string]float64{"wall_ms": float64(elapsed.Nanoseconds()) / 1e6}
	times.Print(metrics, "push")
	gobench.Print(metrics)
}
