// SPDX-License-Identifier: BSL-1.0

package main

import (
	"sync"
	"time"

	"heddle.perf/common/gobench"
)

// Four producers, four consumers, and `rounds` messages from each producer through a channel with room for `capacity`.
func transfer(rounds, pairs, capacity int) time.Duration {
	channel := make(chan int, capacity)
	sums := make(chan int, pairs)
	sum := 0
	elapsed := gobench.Timed(func() {
		var producers sync.WaitGroup
		for p := 0; p < pairs; p++ {
			go func() {
				mine := 0
				for value := range channel {
					mine += value
				}
				sums <- mine
			}()
			producers.Add(1)
			go func() {
				for i := 1; i <= rounds; i++ {
					channel <- i
				}
				producers.Done()
			}()
		}
		producers.Wait()
		close(channel)
		for p := 0; p < pairs; p++ {
			sum += <-sums
		}
	})
	gobench.Require(sum == pairs*(rounds*(rounds+1)/2), "a message was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(map[string]int{"pairs": 4, "capacity": 128})
	pairs := args["pairs"]
	ns := gobench.Measure(args, func(rounds int) time.Duration { return transfer(rounds, pairs, args["capacity"]) }, 1000)
	gobench.Print(map[string]float64{"message_ns": ns / float64(pairs)})
}
