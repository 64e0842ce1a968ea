// SPDX-License-Identifier: BSL-1.0

package gobench

import "sync"

// OnWorkers runs f(0) ... f(count - 1) at once and returns when all have ended.
func OnWorkers(count int, f func(worker int)) {
	if count == 1 {
		f(0)
		return
	}
	var done sync.WaitGroup
	done.Add(count)
	for i := 0; i < count; i++ {
		go func(worker int) {
			f(worker)
			done.Done()
		}(i)
	}
	done.Wait()
}
