// SPDX-License-Identifier: BSL-1.0

package main

import (
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"heddle.perf/common/gobench"
)

const (
	sleepsEach   = 3
	longestSleep = 2000000 // us
	lateSleepers = 200
	lateSleeps   = 100
	halfPeriod   = 500 * time.Microsecond
)

func cpuSeconds() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec) + float64(u.Utime.Usec)*1e-6 + float64(u.Stime.Sec) + float64(u.Stime.Usec)*1e-6
}

// sleepAll lets many goroutines sleep until times of their own, again and again: processor time a sleep.
func sleepAll(sleepers int) float64 {
	begin := time.Now().Add(time.Duration(1000+sleepers*12/1000) * time.Millisecond)
	var ended sync.WaitGroup
	ended.Add(sleepers)
	for i := 0; i < sleepers; i++ {
		go func(i int) {
			row := gobench.NewRandom(i)
			next := begin
			for n := 0; n < sleepsEach; n++ {
				next = next.Add(time.Duration(row.Below(longestSleep)) * time.Microsecond)
				time.Sleep(time.Until(next))
			}
			ended.Done()
		}(i)
	}
	gobench.Require(time.Now().Before(begin), "the goroutines took too long to start")
	time.Sleep(time.Until(begin))
	before := cpuSeconds()
	ended.Wait()
	return (cpuSeconds() - before) * 1e9 / float64(sleepers*sleepsEach)
}

// lateness tells how late some sleepers wake while every processor is busy half of the time.
func lateness(procs int) (float64, float64) {
	var stop atomic.Bool
	var busy, sleepers sync.WaitGroup
	for p := 0; p < procs; p++ {
		busy.Add(1)
		go func() {
			for !stop.Load() {
				for end := time.Now().Add(halfPeriod); time.Now().Before(end); {
				}
				time.Sleep(halfPeriod)
			}
			busy.Done()
		}()
	}
	late := make([]float64, lateSleepers*lateSleeps)
	for i := 0; i < lateSleepers; i++ {
		sleepers.Add(1)
		go func(i int) {
			row := gobench.NewRandom(i + 1)
			for n := 0; n < lateSleeps; n++ {
				wait := time.Duration(100+row.Below(20000)) * time.Microsecond
				due := time.Now().Add(wait)
				time.Sleep(wait)
				late[i*lateSleeps+n] = float64(time.Since(due).Nanoseconds()) / 1e3
			}
			sleepers.Done()
		}(i)
	}
	sleepers.Wait()
	stop.Store(true)
	busy.Wait()
	sort.Float64s(late)
	return late[len(late)/2], late[len(late)*99/100]
}

func main() {
	args := gobench.Arguments(map[string]int{"sleepers": 1000000})
	half, most := lateness(args["procs"])
	cpu := sleepAll(args["sleepers"])
	gobench.Print(map[string]float64{"sleep_cpu_ns": cpu, "late_50_us": half, "late_99_us": most})
}
