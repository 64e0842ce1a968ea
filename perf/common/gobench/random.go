// SPDX-License-Identifier: BSL-1.0

package gobench

// Random gives numbers that are the same in all languages and runs: xorshift64 (Marsaglia 2003).
type Random struct{ state uint64 }

// NewRandom begins a row of its own for each seed.
func NewRandom(seed int) *Random { return &Random{uint64(seed)*0x9e3779b97f4a7c15 + 1} }

// Next returns 64 random bits.
func (r *Random) Next() uint64 {
	r.state ^= r.state << 13
	r.state ^= r.state >> 7
	r.state ^= r.state << 17
	return r.state
}

// Below returns one of 0 ... n - 1.
func (r *Random) Below(n int) int { return int((r.Next() >> 33) % uint64(n)) }
