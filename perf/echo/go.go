// SPDX-License-Identifier: BSL-1.0

package main

import (
	"fmt"
	"net"

	"heddle.perf/common/gobench"
)

// echo answers one client until it goes; one that resets the connection goes, too.
func echo(connection net.Conn, size int) {
	defer connection.Close()
	buffer := make([]byte, size)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func main() {
	args := gobench.Arguments(map[string]int{"size": 4096})
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	gobench.Require(err == nil, "cannot listen")
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		gobench.Require(err == nil, "cannot accept")
		go echo(connection, args["size"])
	}
}
