package unpack

import (
	"encoding/binary"
	"fmt"
	"io"
)

// lz4Block is what one block of the legacy frame unpacks to at most (doc/lz4_Frame_format.md of lz4, "Legacy frame").
const lz4Block = 8 << 20

// lz4Reader reads lz4's legacy frame, which is what the kernel's build writes (lz4 -l): four bytes of magic, then blocks
// behind their packed sizes.
type lz4Reader struct {
	data []byte
	out  []byte // of the current block, not yet read
	buf  []byte
}

func newLZ4(data []byte) (io.Reader, error) {
	return &lz4Reader{data: data[min(len(data), 4):]}, nil
}

func (l *lz4Reader) Read(p []byte) (int, error) {
	for len(l.out) == 0 {
		if len(l.data) < 4 {
			return 0, io.EOF
		}
		size := uint64(binary.LittleEndian.Uint32(l.data))
		if size == 0 || size > uint64(len(l.data)-4) || size > lz4Block+lz4Block/255+16 {
			// Not a block: the end, as in an image that goes on with something else.
			l.data = nil
			return 0, io.EOF
		}
		var err error
		if l.buf, err = unlz4(l.buf[:0], l.data[4:4+size]); err != nil {
			return 0, err
		}
		l.data, l.out = l.data[4+size:], l.buf
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// unlz4 appends what a block unpacks to (doc/lz4_Block_format.md): sequences of literal bytes, and of copies of what was
// written before.
func unlz4(out, in []byte) ([]byte, error) {
	bad := fmt.Errorf("%w: lz4 block", ErrDamaged)
	length := func(n int) int { // a nibble, and where it is full further bytes until one is not 255
		for more := n == 15; more && n < lz4Block; {
			if len(in) == 0 {
				return -1
			}
			n, more, in = n+int(in[0]), in[0] == 255, in[1:]
		}
		return n
	}
	for len(in) > 0 {
		token := in[0]
		in = in[1:]
		n := length(int(token >> 4))
		if n < 0 || n > len(in) || len(out)+n > lz4Block {
			return nil, bad
		}
		out, in = append(out, in[:n]...), in[n:]
		if len(in) == 0 { // the last sequence has literals only
			return out, nil
		}
		if len(in) < 2 {
			return nil, bad
		}
		back := int(in[0]) | int(in[1])<<8
		in = in[2:]
		n = length(int(token&15)) + 4
		if n < 4 || back == 0 || back > len(out) || len(out)+n > lz4Block {
			return nil, bad
		}
		for range n { // byte by byte, because the copy may overlap itself
			out = append(out, out[len(out)-back])
		}
	}
	return out, nil
}
