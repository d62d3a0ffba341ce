package unpack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzReader reads the first stream of .xz data (the .xz file format, version 1.2.1). The container is read here and only the
// LZMA2 part given to the library, which knows no filters, and would take any size of dictionary from the file.
type xzReader struct {
	rest  []byte // of the container, from the block that is read on
	check byte

	body  *bytes.Reader // the LZMA2 data of the current block, nil between blocks
	block io.Reader     // what it unpacks to, filters undone
	size  int           // of the block's header
	sum   hash.Hash
}

// xzChecks are the sizes of the checks behind a block, by their numbers: none, CRC32, CRC64, SHA-256.
func xzCheckSize(check byte) (int, bool) {
	switch check {
	case 0:
		return 0, true
	case 1:
		return 4, true
	case 4:
		return 8, true
	case 10:
		return 32, true
	}
	return 0, false
}

func newXZ(data []byte) (io.Reader, error) {
	const header = 12
	if len(data) < header || data[6] != 0 || binary.LittleEndian.Uint32(data[8:]) != crc32.ChecksumIEEE(data[6:8]) {
		return nil, fmt.Errorf("%w: xz header", ErrDamaged)
	}
	if _, ok := xzCheckSize(data[7]); !ok {
		return nil, fmt.Errorf("%w: xz with check %d", ErrUnsupported, data[7])
	}
	return &xzReader{rest: data[header:], check: data[7]}, nil
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.body == nil {
			if err := x.open(); err != nil {
				return 0, err
			}
		}
		n, err := x.block.Read(p)
		x.sum.Write(p[:n]) // a hash's Write returns no error
		if err == io.EOF {
			err = x.finish()
		} else if err != nil {
			err = fmt.Errorf("%w: xz: %w", ErrDamaged, err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// open reads the header of the next block; io.EOF where the index, which begins with a zero byte, shows that there is none.
func (x *xzReader) open() error {
	if len(x.rest) == 0 {
		return fmt.Errorf("%w: xz data is cut short", ErrDamaged)
	}
	if x.rest[0] == 0 {
		return io.EOF
	}
	bad := fmt.Errorf("%w: xz block header", ErrDamaged)
	x.size = (int(x.rest[0]) + 1) * 4
	if x.size < 8 || len(x.rest) < x.size ||
		binary.LittleEndian.Uint32(x.rest[x.size-4:]) != crc32.ChecksumIEEE(x.rest[:x.size-4]) {
		return bad
	}
	flags, fields := x.rest[1], bytes.NewReader(x.rest[2:x.size-4])
	for _, present := range [...]bool{flags&0x40 != 0, flags&0x80 != 0} { // packed and unpacked size
		if present {
			if _, err := binary.ReadUvarint(fields); err != nil {
				return bad
			}
		}
	}
	var undo []converter
	for range flags & 3 {
		c, err := readFilter(fields)
		if err != nil {
			return err
		}
		undo = append(undo, c)
	}
	var last [3]byte // LZMA2, one byte of properties, the size of the dictionary
	if _, err := io.ReadFull(fields, last[:]); err != nil || last[0] != 0x21 || last[1] != 1 {
		return fmt.Errorf("%w: xz without LZMA2", ErrUnsupported)
	}
	window, err := lzma.DecodeDictCap(last[2])
	if err != nil {
		return bad
	}
	if window > MaxWindow {
		return fmt.Errorf("%w: xz asks for a dictionary of %d bytes", ErrWindow, window)
	}
	x.body = bytes.NewReader(x.rest[x.size:])
	r, err := lzma.Reader2Config{DictCap: max(int(window), lzma.MinDictCap)}.NewReader2(x.body)
	if err != nil {
		return fmt.Errorf("%w: xz: %w", ErrDamaged, err)
	}
	x.block = r
	for _, c := range undo {
		x.block = &converted{from: x.block, convert: c}
	}
	switch x.check {
	case 4:
		x.sum = crc64.New(crc64.MakeTable(crc64.ECMA))
	default:
		x.sum = crc32.NewIEEE()
	}
	return nil
}

// finish compares the check behind a block and goes to the next one.
func (x *xzReader) finish() error {
	used := len(x.rest) - x.size - x.body.Len()
	end := x.size + (used+3)&^3
	tail, _ := xzCheckSize(x.check)
	if end+tail > len(x.rest) {
		return fmt.Errorf("%w: xz data is cut short", ErrDamaged)
	}
	want, ok := x.rest[end:end+tail], true
	switch x.check {
	case 1:
		ok = binary.LittleEndian.Uint32(want) == binary.BigEndian.Uint32(x.sum.Sum(nil))
	case 4:
		ok = binary.LittleEndian.Uint64(want) == binary.BigEndian.Uint64(x.sum.Sum(nil))
	} // SHA-256 is not worth its code: what is read here is nobody's secret, and LZMA2 notices most damage itself
	if !ok {
		return fmt.Errorf("%w: xz checksum", ErrDamaged)
	}
	x.rest, x.body = x.rest[end+tail:], nil
	return nil
}
