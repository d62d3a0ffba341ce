package zstd

import (
	"encoding/binary"
	"math/bits"
)

// xxh64 is the checksum of frames (XXH64 with a seed of 0, as its specification has it).
type xxh64 struct {
	lanes [4]uint64
	total uint64
	buf   [32]byte
	held  int // bytes in buf
}

// Variables, as the sums of them are to wrap.
var prime = [5]uint64{
	11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261,
}

func (x *xxh64) reset() {
	*x = xxh64{lanes: [4]uint64{prime[0] + prime[1], prime[1], 0, -prime[0]}}
}

func round(lane, word uint64) uint64 {
	return bits.RotateLeft64(lane+word*prime[1], 31) * prime[0]
}

func (x *xxh64) write(p []byte) {
	x.total += uint64(len(p))
	if x.held > 0 {
		n := copy(x.buf[x.held:], p)
		x.held += n
		p = p[n:]
		if x.held < len(x.buf) {
			return
		}
		x.stripe(x.buf[:])
		x.held = 0
	}
	for ; len(p) >= 32; p = p[32:] {
		x.stripe(p)
	}
	x.held = copy(x.buf[:], p)
}

func (x *xxh64) stripe(p []byte) {
	for i := range x.lanes {
		x.lanes[i] = round(x.lanes[i], binary.LittleEndian.Uint64(p[8*i:]))
	}
}

func (x *xxh64) sum() uint64 {
	h := prime[4]
	if x.total >= 32 {
		h = bits.RotateLeft64(x.lanes[0], 1) + bits.RotateLeft64(x.lanes[1], 7) +
			bits.RotateLeft64(x.lanes[2], 12) + bits.RotateLeft64(x.lanes[3], 18)
		for _, lane := range x.lanes {
			h = (h^round(0, lane))*prime[0] + prime[3]
		}
	}
	h += x.total
	p := x.buf[:x.held]
	for ; len(p) >= 8; p = p[8:] {
		h = bits.RotateLeft64(h^round(0, binary.LittleEndian.Uint64(p)), 27)*prime[0] + prime[3]
	}
	if len(p) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(p))*prime[0], 23)*prime[1] + prime[2]
		p = p[4:]
	}
	for _, c := range p {
		h = bits.RotateLeft64(h^uint64(c)*prime[4], 11) * prime[0]
	}
	h = (h ^ h>>33) * prime[1]
	h = (h ^ h>>29) * prime[2]
	return h ^ h>>32
}
