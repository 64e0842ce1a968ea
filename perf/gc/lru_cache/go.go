// SPDX-License-Identifier: BSL-1.0

package main

import (
	"math/bits"

	"heddle.perf/common/gobench"
)

type cachedValue struct{ words [16]uint64 }

type entry struct {
	chained      *entry
	value        *cachedValue
	newer, older *entry
	key          uint64
}

// lruCache: its table is its own rather than Go's map, as in the other contenders.
type lruCache struct {
	capacity, size int
	mask           uint64
	table          []*entry
	ends           *entry
}

func newCache(capacity int) *lruCache {
	slots := 1 << bits.Len(uint(capacity-1))
	c := &lruCache{capacity: capacity, mask: uint64(slots - 1), table: make([]*entry, slots), ends: &entry{}}
	c.ends.newer, c.ends.older = c.ends, c.ends
	return c
}

func (c *lruCache) chain(key uint64) **entry { return &c.table[key*0x9e3779b97f4a7c15>>20&c.mask] }

func (c *lruCache) get(key uint64) *cachedValue {
	for at := *c.chain(key); at != nil; at = at.chained {
		if at.key == key {
			takeOut(at)
			c.putFirst(at)
			return at.value
		}
	}
	return nil
}

// put: the key is not there.
func (c *lruCache) put(key uint64) {
	if c.size == c.capacity {
		c.evict(c.ends.newer)
	}
	fresh, value := &entry{}, &cachedValue{}
	value.words[0], value.words[15] = key, ^key
	fresh.key, fresh.value = key, value
	first := c.chain(key)
	fresh.chained = *first
	c.putFirst(fresh)
	*first = fresh
	c.size++
}

func takeOut(at *entry) {
	newer, older := at.newer, at.older
	newer.older = older
	older.newer = newer
}

// putFirst: the list is a circle through ends, whose older is the entry used last and whose newer the one not used for
// longest.
func (c *lruCache) putFirst(at *entry) {
	first := c.ends.older
	at.newer, at.older = c.ends, first
	first.newer = at
	c.ends.older = at
}

func (c *lruCache) evict(at *entry) {
	takeOut(at)
	from := c.chain(at.key)
	for *from != at {
		from = &(*from).chained
	}
	*from = at.chained
	c.size--
}

// skewedKey: small numbers are the frequent ones.
func skewedKey(choice *gobench.Random, keys int) uint64 {
	one, two := choice.Below(keys), choice.Below(keys)
	return uint64(one * two / keys)
}

func main() {
	args := gobench.Arguments(map[string]int{"entries": 500000, "operations": 5000000})
	capacity, operations := args["entries"], args["operations"]
	gobench.Require(capacity > 0 && operations > 0, "--entries and --operations must be at least 1")
	cache, choice, hits := newCache(capacity), gobench.NewRandom(1), 0
	elapsed := gobench.Timed(func() {
		for i := 0; i < operations; i++ {
			key := skewedKey(choice, capacity*2)
			if found := cache.get(key); found != nil {
				gobench.Require(found.words[0] == key && found.words[15] == ^key, "a value was overwritten")
				hits++
			} else {
				cache.put(key)
			}
		}
	})
	gobench.Print(map[string]float64{
		"operation_ns": float64(elapsed.Nanoseconds()) / float64(operations),
		"hits_percent": 100 * float64(hits) / float64(operations),
	})
}
