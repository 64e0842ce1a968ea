// SPDX-License-Identifier: BSL-1.0

// SHA-256 of every regular file under some directories, as one writes it in Go: filepath.WalkDir finds the files, a few
// goroutines read and hash them.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

type entry struct {
	path string
	sum  [sha256.Size]byte
}

var failed int32

// complain says on stderr what could not be read, as sha256sum does, and remembers it for the exit status.
func complain(path string, err error) {
	atomic.StoreInt32(&failed, 1)
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	text := err.Error()
	fmt.Fprintf(os.Stderr, "%s: %s: %s\n", os.Args[0], path, strings.ToUpper(text[:1])+text[1:])
}

// walk sends the path of every regular file under the roots.
func walk(roots []string, paths chan<- []string) {
	const batch = 32
	found := make([]string, 0, batch)
	for _, root := range roots {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				complain(path, err)
				return nil
			}
			if d.Type().IsRegular() {
				found = append(found, path)
			}
			if len(found) == batch {
				paths <- found
				found = make([]string, 0, batch)
			}
			return nil
		})
	}
	paths <- found
	close(paths)
}

// hash reads and hashes the files whose paths it receives.
func hash(paths <-chan []string) []entry {
	var entries []entry
	hasher := sha256.New()
	buffer := make([]byte, 128*1024)
	for batch := range paths {
		for _, path := range batch {
			result := entry{path: path}
			hasher.Reset()
			if err := readInto(hasher, path, buffer); err != nil {
				complain(path, err)
				continue
			}
			hasher.Sum(result.sum[:0])
			entries = append(entries, result)
		}
	}
	return entries
}

func readInto(w io.Writer, path string, buffer []byte) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		n, err := file.Read(buffer)
		w.Write(buffer[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var escapes = strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\r", "\\r")

// print writes the lines that sha256sum prints.
func print(entries []entry) {
	out := bufio.NewWriterSize(os.Stdout, 256*1024)
	defer out.Flush()
	var digits [2 * sha256.Size]byte
	for i := range entries {
		path := entries[i].path
		if strings.ContainsAny(path, "\\\n\r") {
			out.WriteByte('\\')
			path = escapes.Replace(path)
		}
		hex.Encode(digits[:], entries[i].sum[:])
		out.Write(digits[:])
		out.WriteString("  ")
		out.WriteString(path)
		out.WriteByte('\n')
	}
}

func commandLine() (procs int, roots []string) {
	procs = 1
	for i := 1; i < len(os.Args); i++ {
		if os.Args[i] != "--procs" {
			roots = append(roots, os.Args[i])
			continue
		}
		i++
		n, err := 0, errors.New("no number")
		if i < len(os.Args) {
			n, err = strconv.Atoi(os.Args[i])
		}
		if err != nil || n < 1 {
			fmt.Fprintln(os.Stderr, "error: --procs needs a number")
			os.Exit(1)
		}
		procs = n
	}
	if len(roots) == 0 {
		roots = []string{"/usr/include", "/usr/lib"}
	}
	return procs, roots
}

func main() {
	procs, roots := commandLine()
	runtime.GOMAXPROCS(procs)
	paths := make(chan []string, 64)
	lists := make([][]entry, 2*procs)
	var hashers sync.WaitGroup
	for i := range lists {
		hashers.Add(1)
		go func(i int) {
			lists[i] = hash(paths)
			hashers.Done()
		}(i)
	}
	walk(roots, paths)
	hashers.Wait()
	var all []entry
	for _, list := range lists {
		all = append(all, list...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a].path < all[b].path })
	print(all)
	os.Exit(int(failed))
}
