// SPDX-License-Identifier: BSL-1.0

// Package gobench is what every Go contender needs: arguments, the clock, the report. The same as
// common/bench.hpp is for C++.
package gobench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Fail says on stderr what went wrong and ends the program.
func Fail(what string) {
	fmt.Fprintln(os.Stderr, "error: "+what)
	os.Exit(1)
}

// Require fails unless holds is true.
func Require(holds bool, what string) {
	if !holds {
		Fail(what)
	}
}

// Arguments are the `--name value` pairs of the command line; defaults lists the names.
// Sets GOMAXPROCS to --procs.
func Arguments(defaults map[string]int) map[string]int {
	values := map[string]int{"procs": 1, "ms": 100}
	for name, value := range defaults {
		values[name] = value
	}
	for i := 1; i < len(os.Args); i += 2 {
		name := strings.TrimPrefix(os.Args[i], "--")
		_, known := values[name]
		Require(known && name != os.Args[i], "unknown option '"+os.Args[i]+"'")
		Require(i+1 < len(os.Args), os.Args[i]+" needs a number")
		value, err := strconv.ParseUint(os.Args[i+1], 10, 62)
		Require(err == nil, os.Args[i]+" needs a number, not '"+os.Args[i+1]+"'")
		values[name] = int(value)
	}
	Require(values["procs"] > 0, "--procs must be at least 1")
	runtime.GOMAXPROCS(values["procs"])
	return values
}

// Measure returns nanoseconds per operation: batch(n) performs n of them and returns the time they took. It is called
// once to warm up and then with growing n until a batch lasts --ms. A first batch that lasts four times that needs no
// warming up.
func Measure(args map[string]int, batch func(n int) time.Duration, first int) float64 {
	wanted := time.Duration(args["ms"]) * time.Millisecond
	n := first
	elapsed := batch(n)
	for enough := 4 * wanted; elapsed < enough; enough = wanted {
		scale := 1.2 * float64(wanted) / float64(max(elapsed, 1))
		if scale < 1 {
			scale = 1
		} else if scale > 100 {
			scale = 100
		}
		n = int(float64(n) * scale)
		elapsed = batch(n)
	}
	return float64(elapsed.Nanoseconds()) / float64(n)
}

func max(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

// Timed returns how long f takes.
func Timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// MemoryInUse returns the bytes of resident pages and page tables.
func MemoryInUse() int {
	file, err := os.Open("/proc/self/status")
	Require(err == nil, "cannot read /proc/self/status")
	defer file.Close()
	total := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && (fields[0] == "VmRSS:" || fields[0] == "VmPTE:") {
			kib, _ := strconv.Atoi(fields[1])
			total += kib * 1024
		}
	}
	return total
}

// Print writes the report: one line of JSON.
func Print(metrics map[string]float64) {
	report := map[string]interface{}{"notes": map[string]string{}}
	for name, value := range metrics {
		report[name] = value
	}
	line, err := json.Marshal(report)
	Require(err == nil, "cannot write the report")
	fmt.Println(string(line))
}
