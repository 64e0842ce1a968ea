// SPDX-License-Identifier: BSL-1.0

package main

import (
	"fmt"
	"net"
	"net/http"

	"heddle.perf/common/gobench"
)

func main() {
	gobench.Arguments(map[string]int{"size": 4096})
	hello := []byte("Hello, world!\n")
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	gobench.Require(err == nil, "cannot listen")
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(hello)
	}
	gobench.Fail(http.Serve(listener, http.HandlerFunc(handler)).Error())
}
