package unpack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// converter undoes in place what a branch filter did to the machine code in buf, whose first byte is the pos'th of the
// stream. It returns how many bytes are final; the rest comes again with more behind it. These filters turn the relative
// addresses of calls into absolute ones, which pack better (section 5.3.2 of the .xz file format).
type converter func(buf []byte, pos uint32) int

// readFilter reads the flags of one filter before LZMA2. scripts/xz_wrap.sh of the kernel uses one per architecture.
func readFilter(fields *bytes.Reader) (converter, error) {
	id, err := binary.ReadUvarint(fields)
	if err != nil {
		return nil, fmt.Errorf("%w: xz filter", ErrDamaged)
	}
	size, err := binary.ReadUvarint(fields)
	if err != nil || size != 0 { // a start offset other than 0, or a filter with other properties
		return nil, fmt.Errorf("%w: xz filter %#x with properties", ErrUnsupported, id)
	}
	switch id {
	case 4:
		return new(x86).undo, nil
	case 5:
		return undoPowerPC, nil
	case 7:
		return undoARM, nil
	}
	return nil, fmt.Errorf("%w: xz filter %#x", ErrUnsupported, id)
}

// converted is a stream with a filter undone.
type converted struct {
	from    io.Reader
	convert converter
	pos     uint32 // of buf in the stream
	buf     []byte // read and not yet handed out
	final   int    // how much of it is converted
	err     error
}

func (c *converted) Read(p []byte) (int, error) {
	for c.final == 0 {
		if c.err != nil {
			return 0, c.err
		}
		have := len(c.buf)
		if cap(c.buf)-have < 4096 {
			c.buf = append(make([]byte, 0, 64<<10), c.buf...)
		}
		n, err := c.from.Read(c.buf[have:cap(c.buf)])
		c.buf, c.err = c.buf[:have+n], err
		c.final = c.convert(c.buf, c.pos)
		if err != nil {
			c.final = len(c.buf) // what is left at the end is shorter than an instruction
		}
	}
	n := copy(p, c.buf[:c.final])
	c.buf, c.final, c.pos = c.buf[n:], c.final-n, c.pos+uint32(n)
	return n, nil
}

// undoARM is for BL, a word with 0xEB in its highest byte.
func undoARM(buf []byte, pos uint32) int {
	i := 0
	for ; i+4 <= len(buf); i += 4 {
		if buf[i+3] == 0xeb {
			word := binary.LittleEndian.Uint32(buf[i:])
			to := (word<<2 - (pos + uint32(i) + 8)) >> 2
			binary.LittleEndian.PutUint32(buf[i:], word&0xff000000|to&0x00ffffff)
		}
	}
	return i
}

// undoPowerPC is for bl with the link bit and without the absolute one.
func undoPowerPC(buf []byte, pos uint32) int {
	i := 0
	for ; i+4 <= len(buf); i += 4 {
		if word := binary.BigEndian.Uint32(buf[i:]); word&0xfc000003 == 0x48000001 {
			binary.BigEndian.PutUint32(buf[i:], 0x48000001|(word&0x03fffffc-(pos+uint32(i)))&0x03fffffc)
		}
	}
	return i
}

// x86 is for CALL and JMP (0xE8, 0xE9) with a 32 bit operand. Since instructions are not aligned, bytes that only look like
// one are common; recent tells in its low bits where in the last bytes such were seen and left alone, newest lowest, and a
// candidate whose operand would cover them is trusted only if the byte in question looks like an address.
type x86 struct{ recent uint32 }

// extreme tells whether a byte is what the highest one of a near address is, in either direction.
func extreme(b byte) bool { return b == 0x00 || b == 0xff }

func (x *x86) undo(buf []byte, pos uint32) int {
	const operand = 4
	i, last := 0, -1 // last is where a candidate was seen last, or where the buffer begins
	for ; i+operand < len(buf); i++ {
		if buf[i]&0xfe != 0xe8 {
			continue
		}
		if gap := i - last; gap > 3 {
			x.recent = 0
		} else {
			x.recent = x.recent << (gap - 1) & 7
		}
		last = i
		if !x.trust(buf[i+1:]) || !extreme(buf[i+4]) {
			x.recent = x.recent<<1 | 1
			continue
		}
		here := pos + uint32(i) + 1 + operand
		to := binary.LittleEndian.Uint32(buf[i+1:]) - here
		if x.recent != 0 {
			if shift := 24 - 8*x.reach(); extreme(byte(to >> shift)) {
				to ^= 1<<(shift+8) - 1
				to -= here
			}
		}
		to &= 1<<25 - 1
		to |= -(to & (1 << 24)) // the sign
		binary.LittleEndian.PutUint32(buf[i+1:], to)
		i += operand // so that this candidate overlaps no later one
	}
	if gap := i - last; gap > 3 {
		x.recent = 0
	} else {
		x.recent = x.recent << (gap - 1)
	}
	return i
}

// reach is how far from the operand's last byte the one is that decides about a candidate which overlaps an earlier one.
func (x *x86) reach() uint32 {
	if x.recent == 4 {
		return 3
	}
	return x.recent
}

// trust tells whether the earlier candidates that overlap this one allow it to be an instruction.
func (x *x86) trust(operand []byte) bool {
	switch x.recent {
	case 0:
		return true
	case 1, 2, 4:
		return !extreme(operand[3-x.reach()])
	}
	return false
}
