// SPDX-License-Identifier: BSL-1.0

package main

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"heddle.perf/common/gobench"
)

// group has the shape of golang.org/x/sync/errgroup, as it is for Go 1.19, which Debian 12 has.
type group struct {
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	errOnce sync.Once
	err     error
}

func withContext(ctx context.Context) (*group, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	return &group{cancel: cancel}, ctx
}

func (g *group) Go(f func() error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		if err := f(); err != nil {
			g.errOnce.Do(func() {
				g.err = err
				g.cancel()
			})
		}
	}()
}

func (g *group) Wait() error {
	g.wg.Wait()
	g.cancel()
	return g.err
}

// inGroups starts and awaits `children` goroutines, `n` times.
func inGroups(n, children int) time.Duration {
	var sum int64
	elapsed := gobench.Timed(func() {
		for i := 0; i < n; i++ {
			g, _ := withContext(context.Background())
			for c := 0; c < children; c++ {
				g.Go(func() error { atomic.AddInt64(&sum, 1); return nil })
			}
			gobench.Require(g.Wait() == nil, "a child failed")
		}
	})
	gobench.Require(sum == int64(n*children), "a child was lost")
	return elapsed
}

// withWaitGroups does the same without what an errgroup does.
func withWaitGroups(n, children int) time.Duration {
	var sum int64
	elapsed := gobench.Timed(func() {
		for i := 0; i < n; i++ {
			var g sync.WaitGroup
			for c := 0; c < children; c++ {
				g.Add(1)
				go func() { atomic.AddInt64(&sum, 1); g.Done() }()
			}
			g.Wait()
		}
	})
	gobench.Require(sum == int64(n*children), "a child was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(map[string]int{"few": 2, "many": 1000})
	metrics := map[string]float64{}
	for _, size := range []string{"few", "many"} {
		children := args[size]
		add := func(how string, batch func(n, children int) time.Duration) {
			ns := gobench.Measure(args, func(n int) time.Duration { return batch(n, children) }, 1)
			metrics[how+strconv.Itoa(children)+"_ns"] = ns / float64(children)
		}
		add("group_", inGroups)
		add("wait_group_", withWaitGroups)
	}
	gobench.Print(metrics)
}
