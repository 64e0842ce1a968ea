// SPDX-License-Identifier: BSL-1.0

package main

import (
	"encoding/binary"
	"os"
	"sync"
	"syscall"
	"time"

	"heddle.perf/common/gobench"
)

// As in common/cold_file.hpp.
const (
	blockBytes = 4096
	random     = 1
	dontNeed   = 4
)

type coldFile struct {
	*os.File
	blocks int
}

func newColdFile(mib int) *coldFile {
	f, err := os.CreateTemp("/var/tmp", "heddle-cold-")
	gobench.Require(err == nil && os.Remove(f.Name()) == nil, "no file in /var/tmp")
	c := &coldFile{f, mib << 8}
	const atOnce = 256
	memory := make([]byte, atOnce*blockBytes)
	for n := 0; n != c.blocks; n += atOnce {
		for i := 0; i != atOnce; i++ {
			binary.LittleEndian.PutUint64(memory[i*blockBytes:], uint64(n+i))
		}
		_, err := f.Write(memory)
		gobench.Require(err == nil, "the disk is full")
	}
	gobench.Require(f.Sync() == nil, "fsync failed")
	c.advise(random)
	return c
}

func (c *coldFile) advise(what uintptr) {
	syscall.Syscall6(syscall.SYS_FADVISE64, c.Fd(), 0, 0, what, 0, 0)
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// readAll lets goroutines read n blocks together, of which none is in memory.
func readAll(c *coldFile, fibers, n int) (time.Duration, float64) {
	c.advise(dontNeed)
	before := cpu()
	elapsed := gobench.Timed(func() {
		var done sync.WaitGroup
		done.Add(fibers)
		for i := 0; i < fibers; i++ {
			go func(i int) {
				memory := make([]byte, blockBytes)
				for k := i; k < n; k += fibers {
					block := k * 40503 % c.blocks
					c.ReadAt(memory, int64(block)*blockBytes)
					gobench.Require(binary.LittleEndian.Uint64(memory) == uint64(block), "a block was not read")
				}
				done.Done()
			}(i)
		}
		done.Wait()
	})
	return elapsed, float64((cpu() - before).Nanoseconds()) / float64(n)
}

func main() {
	args := gobench.Arguments(map[string]int{"fibers": 64, "mib": 512})
	c := newColdFile(args["mib"])
	var cpuEach float64
	ns := gobench.Measure(args, func(n int) (elapsed time.Duration) {
		elapsed, cpuEach = readAll(c, args["fibers"], n)
		return
	}, args["fibers"])
	gobench.Print(map[string]float64{"read_ns": ns, "read_cpu_ns": cpuEach})
}
