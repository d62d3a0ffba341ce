package zstd

import (
	"encoding/binary"
	"math/bits"
)

// backward reads a stream of bits from its end, where a bit that is set marks it.
type backward struct {
	data []byte
	left int // bits; below zero when more were read than there are, which come as zeros
}

func newBackward(data []byte) (backward, error) {
	if len(data) == 0 || data[len(data)-1] == 0 {
		return backward{}, damaged("a stream of bits has no end")
	}
	return backward{data, len(data)*8 - 9 + bits.Len8(data[len(data)-1])}, nil
}

// peek gives the next n bits, 56 at most.
func (b *backward) peek(n int) uint64 {
	at := b.left - n
	if i := at >> 3; at >= 0 && i+8 <= len(b.data) {
		return binary.LittleEndian.Uint64(b.data[i:]) >> (at & 7) & (1<<n - 1)
	}
	return b.peekAtEnds(n)
}

// peekAtEnds is peek where there are fewer than eight bytes to be read at once.
func (b *backward) peekAtEnds(n int) uint64 {
	at, missing := b.left-n, 0
	if at < 0 {
		missing = -at // bits before the beginning
		if missing >= n {
			return 0
		}
		at = 0
	}
	var word uint64
	for j, c := range b.data[at>>3 : min(at>>3+8, len(b.data))] {
		word |= uint64(c) << (8 * j)
	}
	return word >> (at & 7) & (1<<(n-missing) - 1) << missing
}

func (b *backward) take(n int) uint64 {
	v := b.peek(n)
	b.left -= n
	return v
}

// forward reads a stream of bits from its beginning.
type forward struct {
	data []byte
	at   int // bits
}

// take reads n bits, 16 at most; behind the end they are zeros.
func (f *forward) take(n int) int {
	v := 0
	for i := range n {
		if at := f.at + i; at>>3 < len(f.data) {
			v |= int(f.data[at>>3]>>(at&7)&1) << i
		}
	}
	f.at += n
	return v
}
