// SPDX-License-Identifier: BSL-1.0

package gobench

import (
	"math/bits"
	"time"
)

// Waits is the distribution of many times, to 1/64 of each; as gc/common/waits.hpp for C++.
type Waits struct {
	buckets [40 * 64]int
	count   int
	worst   int
}

// Add notes one; those below 0 count as 0.
func (w *Waits) Add(wait time.Duration) {
	ns := int(wait)
	if ns < 0 {
		ns = 0
	}
	if ns > w.worst {
		w.worst = ns
	}
	w.count++
	w.buckets[index(ns)]++
}

// AddAll adds those of another.
func (w *Waits) AddAll(other *Waits) {
	for i, n := range other.buckets {
		w.buckets[i] += n
	}
	w.count += other.count
	if other.worst > w.worst {
		w.worst = other.worst
	}
}

// Count returns how many there are.
func (w *Waits) Count() int { return w.count }

// at returns the time that a share of q of all does not exceed.
func (w *Waits) at(q float64) float64 {
	rank, seen := int(q*float64(w.count)), 0
	for i, n := range w.buckets {
		seen += n
		if seen > rank {
			if value := valueOf(i); value < w.worst {
				return float64(value)
			}
			break
		}
	}
	return float64(w.worst)
}

// Print adds the distribution to the metrics.
func (w *Waits) Print(metrics map[string]float64, what string) {
	metrics[what+"_p50_ns"] = w.at(0.5)
	metrics[what+"_p90_ns"] = w.at(0.9)
	metrics[what+"_p99_ns"] = w.at(0.99)
	metrics[what+"_p999_ns"] = w.at(0.999)
	metrics[what+"_p9999_ns"] = w.at(0.9999)
	metrics[what+"_worst_ns"] = float64(w.worst)
}

func index(ns int) int {
	if most := 1<<44 - 1; ns > most {
		ns = most
	}
	shift := bits.Len(uint(ns)) - 7
	if shift < 0 {
		shift = 0
	}
	return shift*64 + ns>>shift
}

func valueOf(i int) int {
	if i < 128 {
		return i
	}
	return (i%64+65)<<(i/64-1) - 1
}
