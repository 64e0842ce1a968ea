// SPDX-License-Identifier: BSL-1.0

package main

import (
	"time"

	"heddle.perf/common/gobench"
)

func select2(c []chan int) (int, int) {
	select {
	case v := <-c[0]:
		return v, 0
	case v := <-c[1]:
		return v, 1
	}
}

func select4(c []chan int) (int, int) {
	select {
	case v := <-c[0]:
		return v, 0
	case v := <-c[1]:
		return v, 1
	case v := <-c[2]:
		return v, 2
	case v := <-c[3]:
		return v, 3
	}
}

func channels(size, capacity int) []chan int {
	all := make([]chan int, size)
	for i := range all {
		all[i] = make(chan int, capacity)
	}
	return all
}

// blocking: one goroutine sends to the channels in turns, another selects over them: it waits, or the other one does.
func blocking(n, size int, choose func([]chan int) (int, int)) time.Duration {
	c := channels(size, 0)
	ended := make(chan bool)
	go func() {
		for i := 0; i < n; i++ {
			c[i%size] <- i
		}
		ended <- true
	}()
	sum := 0
	elapsed := gobench.Timed(func() {
		for i := 0; i < n; i++ {
			value, _ := choose(c)
			sum += value
		}
	})
	<-ended
	gobench.Require(sum == n*(n-1)/2, "a message was lost")
	return elapsed
}

// ready: each of the channels has a value at any time: the one that is taken is put back.
func ready(n, size int, choose func([]chan int) (int, int)) time.Duration {
	c := channels(size, 1)
	for _, one := range c {
		one <- 0
	}
	elapsed := gobench.Timed(func() {
		for i := 0; i < n; i++ {
			value, index := choose(c)
			c[index] <- value + 1
		}
	})
	sum := 0
	for _, one := range c {
		sum += <-one
	}
	gobench.Require(sum == n, "a message was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(nil)
	measure := func(size int, choose func([]chan int) (int, int),
		batch func(n, size int, choose func([]chan int) (int, int)) time.Duration) float64 {
		return gobench.Measure(args, func(n int) time.Duration { return batch(n, size, choose) }, 1)
	}
	gobench.Print(map[string]float64{
		"blocking_2_ns": measure(2, select2, blocking),
		"ready_2_ns":    measure(2, select2, ready),
		"blocking_4_ns": measure(4, select4, blocking),
		"ready_4_ns":    measure(4, select4, ready),
	})
}
