// SPDX-License-Identifier: BSL-1.0

package main

import (
	"runtime"
	"sync"
	"time"

	"heddle.perf/common/gobench"
)

type entry struct {
	older    *entry
	key      uint64
	contents [10]uint64
}

const (
	entryBytes  = 96
	entriesEach = 10
)

func fill(to **entry, key uint64) {
	for i := uint64(0); i < entriesEach; i++ {
		fresh := &entry{older: *to, key: key + i}
		fresh.contents[9] = ^(key + i)
		*to = fresh
	}
}

// empty checks the entries, and lets go of them.
func empty(from **entry) {
	entries := 0
	for at := *from; at != nil; at = at.older {
		gobench.Require(at.contents[9] == ^at.key, "an entry was overwritten")
		entries++
	}
	gobench.Require(entries == entriesEach, "a bucket has lost an entry")
	*from = nil
}

func makeStore(mib int) []*entry {
	size := mib << 20 / (entryBytes * entriesEach)
	gobench.Require(size > 0, "--mib is too small")
	buckets := make([]*entry, size)
	for i := range buckets {
		fill(&buckets[i], uint64(i))
	}
	return buckets
}

// work replaces what is in the buckets of one worker.
func work(buckets []*entry, seed int, until time.Time, times *gobench.Waits) {
	choice := gobench.NewRandom(seed)
	for begin := time.Now(); begin.Before(until); {
		for i := 0; i < 8; i++ {
			one := &buckets[choice.Below(len(buckets))]
			empty(one)
			fill(one, choice.Next())
			end := time.Now()
			times.Add(end.Sub(begin))
			begin = end
		}
		runtime.Gosched()
		begin = time.Now()
	}
}

// beat sleeps, and notes how much later than asked for it goes on.
func beat(period time.Duration, until time.Time, late *gobench.Waits) {
	for due := time.Now().Add(period); due.Before(until); {
		time.Sleep(time.Until(due))
		now := time.Now()
		late.Add(now.Sub(due))
		due = due.Add(period)
		if due.Before(now) {
			due = now
		}
	}
}

func main() {
	args := gobench.Arguments(map[string]int{"mib": 954, "seconds": 5, "beat_us": 250})
	all := makeStore(args["mib"])
	workers, share := args["procs"], len(all)/args["procs"]
	until := time.Now().Add(time.Duration(args["seconds"]) * time.Second)
	var mutex sync.Mutex
	operations, beats := new(gobench.Waits), new(gobench.Waits)
	gobench.OnWorkers(workers+1, func(i int) {
		if i == workers {
			beat(time.Duration(args["beat_us"])*time.Microsecond, until, beats)
			return
		}
		times := new(gobench.Waits)
		work(all[i*share:(i+1)*share], i+1, until, times)
		mutex.Lock()
		operations.AddAll(times)
		mutex.Unlock()
	})
	metrics := map[string]float64{
		"kops":               float64(operations.Count()) / 1e3 / float64(args["seconds"]),
		"resident_over_live": float64(gobench.MemoryInUse()) / float64(args["mib"]<<20),
	}
	operations.Print(metrics, "operation")
	beats.Print(metrics, "beat")
	for i := range all {
		empty(&all[i])
	}
	gobench.Print(metrics)
}
