// SPDX-License-Identifier: BSL-1.0

package main

import (
	"bytes"
	"runtime"
	"time"

	"heddle.perf/common/gobench"
)

type message [1024]byte

// What message i has begins at place i % 251 of this.
var pattern [1024 + 251]byte

func contents(i int) []byte { return pattern[i%251 : i%251+1024] }

func pushMessages(size, messages int, times *gobench.Waits) {
	for i := range pattern {
		pattern[i] = byte(i % 251)
	}
	ring := make([]*message, size)
	for i := 0; i < size+messages; i++ {
		begin := time.Now()
		fresh := new(message)
		copy(fresh[:], contents(i))
		ring[i%size] = fresh
		if i >= size {
			times.Add(time.Since(begin))
		}
		if i%64 == 0 {
			runtime.Gosched()
		}
	}
	for i := messages; i < size+messages; i++ {
		gobench.Require(bytes.Equal(ring[i%size][:], contents(i)), "a message was overwritten")
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
