// SPDX-License-Identifier: BSL-1.0

package main

import "heddle.perf/common/gobench"

type node struct {
	left, right *node
	i, j        int32
}

// populate builds a tree below a node, from the top.
func populate(depth int, n *node) {
	if depth == 0 {
		return
	}
	n.left = &node{}
	n.right = &node{}
	populate(depth-1, n.left)
	populate(depth-1, n.right)
}

func makeTree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	left := makeTree(depth - 1)
	right := makeTree(depth - 1)
	return &node{left: left, right: right}
}

func (n *node) size() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.size() + n.right.size()
}

func treeSize(depth int) int { return 2<<depth - 1 }

// last keeps the compiler from finding that nobody wants the trees.
var last *node

func construct(depth, stretch int) {
	rounds := 2 * treeSize(stretch) / treeSize(depth)
	for i := 0; i < rounds; i++ {
		last = &node{}
		populate(depth, last)
	}
	for i := 0; i < rounds; i++ {
		last = makeTree(depth)
	}
}

func bench(stretch int) {
	last = makeTree(stretch)
	last = nil
	longLived := &node{}
	populate(stretch-2, longLived)
	array := make([]float64, 500000)
	for i := 1; i < len(array)/2; i++ {
		array[i] = 1 / float64(i)
	}
	for depth := 4; depth <= stretch-2; depth += 2 {
		construct(depth, stretch)
	}
	gobench.Require(longLived.size() == treeSize(stretch-2), "the tree that stays has lost a node")
	gobench.Require(array[1000] == 1.0/1000, "the array that stays has lost a number")
}

func main() {
	args := gobench.Arguments(map[string]int{"stretch": 18})
	elapsed := gobench.Timed(func() { bench(args["stretch"]) })
	gobench.Print(map[string]float64{"wall_ms": float64(elapsed.Nanoseconds()) / 1e6})
}
