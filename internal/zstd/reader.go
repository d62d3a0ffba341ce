// Package zstd unpacks Zstandard frames (RFC 8878), without dictionaries. It is small and starts with nothing, for a program
// that unpacks a kernel module now and then, and otherwise must not pay for it: it has no assembly, no goroutines, no tables
// that are made before they are needed. One with assembly is a few times faster.
package zstd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrDamaged is returned for data that is not as the format wants it.
	ErrDamaged = errors.New("damaged zstd data")
	// ErrWindow is returned for a frame that needs more memory than the caller allows.
	ErrWindow = errors.New("the zstd frame needs too much memory")
	// ErrUnsupported is returned for a frame that was packed with a dictionary.
	ErrUnsupported = errors.New("zstd with a dictionary is not supported")
	// ErrLimit is returned by Decode for data that unpacks to more than the caller allows.
	ErrLimit = errors.New("the zstd data unpacks to too much")
)

const (
	frameMagic    = 0xFD2FB528
	skippable     = 0x184D2A50 // to ...5F
	maxBlock      = 128 << 10
	minWindowSize = 1 << 10
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Reader reads what one frame unpacks to.
type Reader struct {
	src      []byte // what was not read yet
	window   int    // bytes
	size     uint64 // of the content, where sized
	sized    bool
	checked  bool // a checksum follows the last block
	hash     xxh64
	produced uint64

	out  []byte // the window, and behind it what Read has not given out
	read int    // up to where Read has
	last bool   // the last block was read
	err  error
	block
}

// NewReader reads the header of the frame at the beginning of src. maxWindow bounds the memory that the frame may ask for, in
// bytes; a little more than the same again is used.
func NewReader(src []byte, maxWindow int) (*Reader, error) {
	if len(src) < 6 || binary.LittleEndian.Uint32(src) != frameMagic {
		return nil, damaged("it does not begin as a frame")
	}
	r := &Reader{}
	descriptor := src[4]
	src = src[5:]
	single := descriptor&0x20 != 0
	r.checked = descriptor&4 != 0
	if descriptor&8 != 0 {
		return nil, damaged("a reserved bit is set in the frame's header")
	}
	var window uint64
	if !single {
		exponent, mantissa := src[0]>>3, uint64(src[0]&7)
		window = 1 << (10 + exponent)
		window += window / 8 * mantissa
		src = src[1:]
	}
	dictionary := [...]int{0, 1, 2, 4}[descriptor&3]
	sizeBytes := [...]int{0, 2, 4, 8}[descriptor>>6]
	if single && sizeBytes == 0 {
		sizeBytes = 1
	}
	if len(src) < dictionary+sizeBytes {
		return nil, damaged("the frame's header is cut short")
	}
	for _, b := range src[:dictionary] {
		if b != 0 {
			return nil, ErrUnsupported
		}
	}
	src = src[dictionary:]
	for i := sizeBytes - 1; i >= 0; i-- {
		r.size = r.size<<8 | uint64(src[i])
	}
	if sizeBytes == 2 {
		r.size += 256
	}
	r.sized = sizeBytes > 0
	if single {
		window = r.size
	}
	if window > uint64(maxWindow) {
		return nil, fmt.Errorf("%w: %d bytes", ErrWindow, window)
	}
	r.window = max(int(window), minWindowSize)
	r.src = src[sizeBytes:]
	r.hash.reset()
	r.offsets = [3]int{1, 4, 8}
	return r, nil
}

// Size is how many bytes the frame says it unpacks to; false where it does not say.
func (r *Reader) Size() (uint64, bool) { return r.size, r.sized }

// Rest is what follows the frame, once Read has returned io.EOF.
func (r *Reader) Rest() []byte { return r.src }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for r.read == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		if r.last {
			r.err = r.finish()
			continue
		}
		// What lies further back than the window is not referred to any more.
		if len(r.out) > 2*r.window+maxBlock {
			n := copy(r.out, r.out[len(r.out)-r.window:])
			r.out, r.read = r.out[:n], n
		}
		if r.err = r.next(); r.err != nil {
			return 0, r.err
		}
		if r.checked {
			r.hash.write(r.out[r.read:])
		}
		if r.produced += uint64(len(r.out) - r.read); r.sized && r.produced > r.size {
			r.err = damaged("it unpacks to more than the %d bytes that it says", r.size)
			return 0, r.err
		}
	}
	n := copy(p, r.out[r.read:])
	r.read += n
	return n, nil
}

// finish checks what was promised, and gives io.EOF.
func (r *Reader) finish() error {
	if r.sized && r.produced != r.size {
		return damaged("it unpacks to %d bytes and not to the %d that it says", r.produced, r.size)
	}
	if r.checked {
		if len(r.src) < 4 {
			return damaged("its checksum is missing")
		}
		if binary.LittleEndian.Uint32(r.src) != uint32(r.hash.sum()) {
			return damaged("its checksum is wrong")
		}
		r.src = r.src[4:]
	}
	return io.EOF
}

// next reads a block.
func (r *Reader) next() error {
	if len(r.src) < 3 {
		return damaged("it is cut short between blocks")
	}
	header := uint32(r.src[0]) | uint32(r.src[1])<<8 | uint32(r.src[2])<<16
	r.src = r.src[3:]
	r.last = header&1 != 0
	size := int(header >> 3)
	limit := min(r.window, maxBlock)
	packed := size
	kind := header >> 1 & 3
	if kind == 1 {
		packed = 1
	}
	if kind == 3 || size > limit && (kind != 2 || size > maxBlock) {
		return damaged("a block of type %d with %d bytes", kind, size)
	}
	if len(r.src) < packed {
		return damaged("a block is cut short")
	}
	body := r.src[:packed]
	r.src = r.src[packed:]
	switch kind {
	case 0:
		r.out = append(r.out, body...)
	case 1:
		for range size {
			r.out = append(r.out, body[0])
		}
	case 2:
		begin := len(r.out)
		var err error
		if r.out, err = r.unpack(r.out, body, r.window, limit); err != nil {
			return err
		}
		if len(r.out)-begin > limit {
			return damaged("a block unpacks to %d bytes", len(r.out)-begin)
		}
	}
	return nil
}

// Decode unpacks all frames of src, at most limit bytes.
func Decode(src []byte, limit, maxWindow int) ([]byte, error) {
	var out []byte
	for len(src) > 0 {
		if len(src) >= 8 && binary.LittleEndian.Uint32(src)&^0xf == skippable {
			n := uint64(binary.LittleEndian.Uint32(src[4:])) + 8
			if n > uint64(len(src)) {
				return nil, damaged("a skippable frame is cut short")
			}
			src = src[n:]
			continue
		}
		r, err := NewReader(src, maxWindow)
		if err != nil {
			return nil, err
		}
		if size, ok := r.Size(); ok && size <= uint64(limit-len(out)) {
			// No more than the packed data can come to: a header may claim anything.
			grown := make([]byte, len(out), len(out)+min(int(size), len(src)*1024))
			copy(grown, out)
			out = grown
		}
		for {
			if len(out) == cap(out) {
				out = append(out, 0)[:len(out)]
			}
			n, err := r.Read(out[len(out):cap(out)])
			out = out[:len(out)+n]
			if len(out) > limit {
				return nil, fmt.Errorf("%w: more than %d bytes", ErrLimit, limit)
			}
			if err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
		}
		src = r.Rest()
	}
	return out, nil
}
