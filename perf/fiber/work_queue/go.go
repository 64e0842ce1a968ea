// SPDX-License-Identifier: BSL-1.0

package main

import (
	"strconv"
	"sync"
	"time"

	"heddle.perf/common/gobench"
)

type set[T comparable] map[T]struct{}

func (s set[T]) has(item T) bool { _, ok := s[item]; return ok }
func (s set[T]) insert(item T)   { s[item] = struct{}{} }
func (s set[T]) delete(item T)   { delete(s, item) }

// queue has the shape of client-go's typed work queue without metrics.
type queue[T comparable] struct {
	line         []T
	dirty        set[T]
	processing   set[T]
	cond         *sync.Cond
	shuttingDown bool
}

func newQueue[T comparable]() *queue[T] {
	return &queue[T]{dirty: set[T]{}, processing: set[T]{}, cond: sync.NewCond(&sync.Mutex{})}
}

func (q *queue[T]) Add(item T) {
	q.cond.L.Lock()
	defer q.cond.L.Unlock()
	if q.shuttingDown || q.dirty.has(item) {
		return
	}
	q.dirty.insert(item)
	if q.processing.has(item) {
		return
	}
	q.line = append(q.line, item)
	q.cond.Signal()
}

func (q *queue[T]) Get() (item T, shutdown bool) {
	q.cond.L.Lock()
	defer q.cond.L.Unlock()
	for len(q.line) == 0 && !q.shuttingDown {
		q.cond.Wait()
	}
	if len(q.line) == 0 {
		return item, true
	}
	item = q.line[0]
	q.line[0] = *new(T)
	q.line = q.line[1:]
	q.processing.insert(item)
	q.dirty.delete(item)
	return item, false
}

func (q *queue[T]) Done(item T) {
	q.cond.L.Lock()
	defer q.cond.L.Unlock()
	q.processing.delete(item)
	if q.dirty.has(item) {
		q.line = append(q.line, item)
		q.cond.Signal()
	} else if len(q.processing) == 0 {
		q.cond.Signal()
	}
}

func (q *queue[T]) ShutDown() {
	q.cond.L.Lock()
	defer q.cond.L.Unlock()
	q.shuttingDown = true
	q.cond.Broadcast()
}

// process lets `fibers` producers, each with its share of the keys, add all of them, wait until they have been
// processed, and begin again, `rounds` times; as many workers process them.
func process(rounds, fibers, keys int) time.Duration {
	q := newQueue[int]()
	share := keys / fibers
	left := make([]sync.WaitGroup, fibers)
	processed := make([]int, fibers)
	elapsed := gobench.Timed(func() {
		var workers, producers sync.WaitGroup
		for w := 0; w < fibers; w++ {
			workers.Add(1)
			go func(w int) {
				mine := 0
				for {
					key, shutdown := q.Get()
					if shutdown {
						break
					}
					q.Done(key)
					mine++
					left[key/share].Done()
				}
				processed[w] = mine
				workers.Done()
			}(w)
		}
		for p := 0; p < fibers; p++ {
			producers.Add(1)
			go func(p int) {
				for r := 0; r < rounds; r++ {
					left[p].Add(share)
					for k := p * share; k < (p+1)*share; k++ {
						q.Add(k)
					}
					left[p].Wait()
				}
				producers.Done()
			}(p)
		}
		producers.Wait()
		q.ShutDown()
		workers.Wait()
	})
	sum := 0
	for _, mine := range processed {
		sum += mine
	}
	gobench.Require(sum == rounds*fibers*share, "an item was lost")
	return elapsed
}

func main() {
	args := gobench.Arguments(map[string]int{"keys": 1000, "few": 1, "many": 4})
	metrics := map[string]float64{}
	for _, size := range []string{"few", "many"} {
		fibers := args[size]
		ns := gobench.Measure(args, func(rounds int) time.Duration { return process(rounds, fibers, args["keys"]) }, 1)
		metrics["pairs_"+strconv.Itoa(fibers)+"_ns"] = ns / float64(args["keys"])
	}
	gobench.Print(metrics)
}
