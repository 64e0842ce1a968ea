// SPDX-License-Identifier: BSL-1.0

package main

import (
	"fmt"
	"strings"
	"time"
	"unsafe"

	"heddle.perf/common/gobench"
)

var words = [8]string{"warp", "weft", "shuttle", "loom", "reed", "shed", "pick", "selvage"}

// makeDocument returns the same text as json_tree/document.hpp.
func makeDocument(groups int) string {
	choice := gobench.NewRandom(1)
	word := func() string { return words[choice.Below(8)] }
	var text strings.Builder
	text.WriteByte('[')
	for group := 0; group < groups; group++ {
		if group > 0 {
			text.WriteByte(',')
		}
		text.WriteByte('[')
		for i := 0; i < 100; i++ {
			if i > 0 {
				text.WriteByte(',')
			}
			name, one, two := word(), word(), word()
			width, height := choice.Below(1000), choice.Below(1000)
			fmt.Fprintf(&text, `{"id":%d,"name":"%s","tags":["%s","%s"],"size":{"width":%d,"height":%d}}`,
				group*100+i, name, one, two, width, height)
		}
		text.WriteByte(']')
	}
	text.WriteByte(']')
	return text.String()
}

type kind uint32

const (
	object kind = iota
	array
	text
	number
)

type node struct {
	first, next *node
	parent      *node
	key, text   *byte // each ends with zero; none: nil
	kind        kind
	number      uint32
}

type parser struct {
	text string
	at   int
}

func (p *parser) value(parent *node) *node {
	one := &node{parent: parent}
	switch p.peek() {
	case '{':
		one.kind = object
		p.members(one, '}')
	case '[':
		one.kind = array
		p.members(one, ']')
	case '"':
		one.kind = text
		one.text = p.string()
	default:
		one.kind = number
		one.number = p.number()
	}
	return one
}

func (p *parser) peek() byte {
	gobench.Require(p.at < len(p.text), "the document ends too early")
	return p.text[p.at]
}

func (p *parser) expect(c byte) {
	gobench.Require(p.peek() == c, "the document has something else than was to be expected")
	p.at++
}

func (p *parser) members(parent *node, end byte) {
	p.at++
	var last *node
	for p.peek() != end {
		if last != nil {
			p.expect(',')
		}
		var key *byte
		if parent.kind == object {
			key = p.string()
			p.expect(':')
		}
		one := p.value(parent)
		one.key = key
		if last == nil {
			parent.first = one
		} else {
			last.next = one
		}
		last = one
	}
	p.at++
}

func (p *parser) string() *byte {
	p.expect('"')
	begin := p.at
	for p.peek() != '"' {
		p.at++
	}
	made := make([]byte, p.at-begin+1)
	copy(made, p.text[begin:p.at])
	p.at++
	return &made[0]
}

func (p *parser) number() uint32 {
	gobench.Require(p.peek() >= '0' && p.peek() <= '9', "the document has no number where one was to be expected")
	made := uint32(0)
	for ; p.peek() >= '0' && p.peek() <= '9'; p.at++ {
		made = made*10 + uint32(p.text[p.at]-'0')
	}
	return made
}

type walked struct{ nodes, numbers, letters int }

func (w *walked) walk(one, parent *node) {
	gobench.Require(one.parent == parent, "a node has another parent")
	w.nodes++
	w.numbers += int(one.number)
	if one.text != nil {
		w.letters += length(one.text)
	}
	for child := one.first; child != nil; child = child.next {
		w.walk(child, one)
	}
}

// length of a text that ends with zero: strlen.
func length(text *byte) int {
	n := 0
	for at := unsafe.Pointer(text); *(*byte)(at) != 0; at = unsafe.Add(at, 1) {
		n++
	}
	return n
}

func parse(text string) *node {
	p := parser{text: text}
	root := p.value(nil)
	gobench.Require(p.at == len(text), "the document goes on behind its end")
	return root
}

func main() {
	args := gobench.Arguments(map[string]int{"groups": 1000, "documents": 8})
	groups, documents := args["groups"], args["documents"]
	gobench.Require(groups > 0 && documents > 0, "--groups and --documents must be at least 1")
	text := makeDocument(groups)
	kept := make([]*node, 2)
	var parsing, walking time.Duration
	var all walked
	for i := 0; i < documents; i++ {
		parsing += gobench.Timed(func() { kept[i%2] = parse(text) })
		walking += gobench.Timed(func() { all.walk(kept[i%2], nil) })
	}
	gobench.Require(all.nodes == documents*(1+groups*901), "a node was lost")
	gobench.Print(map[string]float64{
		"parse_ns": float64(parsing.Nanoseconds()) / float64(all.nodes),
		"walk_ns":  float64(walking.Nanoseconds()) / float64(all.nodes),
	})
}
