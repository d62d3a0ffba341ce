// Package sha2 computes SHA-256, SHA-384 and SHA-512 (FIPS 180-4). It gives what crypto/sha256 and crypto/sha512 give, without
// the rest of Go's FIPS 140 module, which these bring along: AES, SHA-3, a random generator and their self-tests take 80 KB of
// a program and some of its start.
package sha2

import (
	"encoding/binary"
	"math/bits"
)

// Hash is a SHA-256 that data is written to piece by piece.
type Hash struct {
	state  [8]uint32
	buffer [64]byte
	size   uint64 // of all that was written
}

// New256 begins a SHA-256.
func New256() *Hash {
	h := &Hash{}
	for i := range h.state {
		h.state[i] = uint32(squareRoots[i] >> 32)
	}
	return h
}

// Write adds data, all of it.
func (h *Hash) Write(data []byte) (int, error) {
	n := len(data)
	used := int(h.size % uint64(len(h.buffer)))
	h.size += uint64(n)
	if used > 0 {
		taken := copy(h.buffer[used:], data)
		data = data[taken:]
		if used+taken < len(h.buffer) {
			return n, nil
		}
		blocks256(&h.state, h.buffer[:])
	}
	whole := len(data) &^ (len(h.buffer) - 1)
	blocks256(&h.state, data[:whole])
	copy(h.buffer[:], data[whole:])
	return n, nil
}

// Sum is the hash of what was written; more may be written after it.
func (h *Hash) Sum() (sum [32]byte) {
	state := h.state
	blocks256(&state, padded(h.buffer[:h.size%uint64(len(h.buffer))], h.size, len(h.buffer)))
	for i, word := range state {
		binary.BigEndian.PutUint32(sum[i*4:], word)
	}
	return sum
}

// Sum256 is the SHA-256 of data.
func Sum256(data []byte) [32]byte {
	h := New256()
	_, _ = h.Write(data) // it takes everything
	return h.Sum()
}

// Sum384 is the SHA-384 of data.
func Sum384(data []byte) (sum [48]byte) {
	whole := sum512([8]uint64(squareRoots[8:]), data)
	copy(sum[:], whole[:])
	return sum
}

// Sum512 is the SHA-512 of data.
func Sum512(data []byte) [64]byte { return sum512([8]uint64(squareRoots[:8]), data) }

func sum512(state [8]uint64, data []byte) (sum [64]byte) {
	const size = 128
	whole := len(data) &^ (size - 1)
	blocks512(&state, data[:whole])
	blocks512(&state, padded(data[whole:], uint64(len(data)), size))
	for i, word := range state {
		binary.BigEndian.PutUint64(sum[i*8:], word)
	}
	return sum
}

// padded are the last blocks: the rest of the data, a bit, zeros, and the number of bits, in an eighth of a block.
func padded(rest []byte, size uint64, block int) []byte {
	out := make([]byte, block*2)
	copy(out, rest)
	out[len(rest)] = 0x80
	if len(rest)+1+block/8 <= block {
		out = out[:block]
	}
	binary.BigEndian.PutUint64(out[len(out)-8:], size<<3)
	if block == 128 {
		out[len(out)-9] = byte(size >> 61)
	}
	return out
}

// blocks256 is section 6.2.2, for each block of 64 bytes.
func blocks256(state *[8]uint32, data []byte) {
	var w [64]uint32
	for ; len(data) >= 64; data = data[64:] {
		for i := range 16 {
			p := data[i*4 : i*4+4]
			w[i] = uint32(p[0])<<24 | uint32(p[1])<<16 | uint32(p[2])<<8 | uint32(p[3])
		}
		for i := 16; i < 64; i++ {
			x, y := w[i-15], w[i-2]
			w[i] = w[i-16] + w[i-7] +
				(bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3) +
				(bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10)
		}
		a, b, c, d, e, f, g, h := state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
		for i := range 64 {
			t1 := h + (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) +
				(e&f ^ ^e&g) + uint32(cubeRoots[i]>>32) + w[i]
			t2 := (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b ^ a&c ^ b&c)
			h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
		}
		for i, word := range [8]uint32{a, b, c, d, e, f, g, h} {
			state[i] += word
		}
	}
}

// blocks512 is section 6.4.2, for each block of 128 bytes.
func blocks512(state *[8]uint64, data []byte) {
	var w [80]uint64
	for ; len(data) >= 128; data = data[128:] {
		for i := range 16 {
			w[i] = binary.BigEndian.Uint64(data[i*8:])
		}
		for i := 16; i < 80; i++ {
			x, y := w[i-15], w[i-2]
			w[i] = w[i-16] + w[i-7] +
				(bits.RotateLeft64(x, -1) ^ bits.RotateLeft64(x, -8) ^ x>>7) +
				(bits.RotateLeft64(y, -19) ^ bits.RotateLeft64(y, -61) ^ y>>6)
		}
		a, b, c, d, e, f, g, h := state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
		for i := range 80 {
			t1 := h + (bits.RotateLeft64(e, -14) ^ bits.RotateLeft64(e, -18) ^ bits.RotateLeft64(e, -41)) +
				(e&f ^ ^e&g) + cubeRoots[i] + w[i]
			t2 := (bits.RotateLeft64(a, -28) ^ bits.RotateLeft64(a, -34) ^ bits.RotateLeft64(a, -39)) + (a&b ^ a&c ^ b&c)
			h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
		}
		for i, word := range [8]uint64{a, b, c, d, e, f, g, h} {
			state[i] += word
		}
	}
}
