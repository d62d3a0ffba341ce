package modules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

var errXZ = errors.New("damaged xz data")

// unxz unpacks one xz stream (the .xz file format, version 1.2.1) into at most limit bytes. The container is read here and
// only its LZMA2 data is given to the library, because the library's own reader takes the size of its dictionary, up to
// 4 GiB, from the file. Filters before LZMA2 are refused: the kernel's build does not use them for modules.
func unxz(data []byte, limit int) ([]byte, error) {
	const headerSize, footerSize = 12, 12
	if len(data) < headerSize+footerSize {
		return nil, fmt.Errorf("%w: no header", errXZ)
	}
	check := data[7]
	if data[6] != 0 || binary.LittleEndian.Uint32(data[8:]) != crc32.ChecksumIEEE(data[6:8]) {
		return nil, fmt.Errorf("%w: header", errXZ)
	}
	checkSize := map[byte]int{0: 0, 1: 4, 4: 8, 10: 32} // none, CRC32, CRC64, SHA-256
	tail, ok := checkSize[check]
	if !ok {
		return nil, fmt.Errorf("%w: unknown check %d", errXZ, check)
	}
	var out []byte
	rest := data[headerSize:]
	for len(rest) > 0 && rest[0] != 0 { // a zero byte begins the index, which tells nothing new
		window, size, err := xzBlockHeader(rest)
		if err != nil {
			return nil, err
		}
		body := bytes.NewReader(rest[size:])
		before := len(out)
		if out, err = unlzma2(out, body, window, limit); err != nil {
			return nil, err
		}
		used := len(rest) - size - body.Len()
		end := size + (used+3)&^3
		if end+tail > len(rest) {
			return nil, fmt.Errorf("%w: block cut short", errXZ)
		}
		if !xzCheck(check, rest[end:end+tail], out[before:]) {
			return nil, fmt.Errorf("%w: wrong checksum", errXZ)
		}
		rest = rest[end+tail:]
	}
	if len(rest) < footerSize || !bytes.Contains(rest, []byte("YZ")) { // padding may follow the footer's magic
		return nil, fmt.Errorf("%w: cut short", errXZ)
	}
	return out, nil
}

// xzBlockHeader reads a block's header and returns the size of the dictionary and of the header.
func xzBlockHeader(b []byte) (window, size int, err error) {
	size = (int(b[0]) + 1) * 4
	if size < 8 || len(b) < size || binary.LittleEndian.Uint32(b[size-4:]) != crc32.ChecksumIEEE(b[:size-4]) {
		return 0, 0, fmt.Errorf("%w: block header", errXZ)
	}
	flags := b[1]
	if flags&3 != 0 {
		return 0, 0, fmt.Errorf("%w: packed with a filter before LZMA2", errors.ErrUnsupported)
	}
	fields := bytes.NewReader(b[2 : size-4])
	for _, present := range [...]bool{flags&0x40 != 0, flags&0x80 != 0} { // compressed and uncompressed size
		if present {
			if _, err := binary.ReadUvarint(fields); err != nil {
				return 0, 0, fmt.Errorf("%w: block header", errXZ)
			}
		}
	}
	var filter [3]byte // LZMA2, one byte of properties, the dictionary's size
	if _, err := io.ReadFull(fields, filter[:]); err != nil || filter[0] != 0x21 || filter[1] != 1 {
		return 0, 0, fmt.Errorf("%w: packed with another filter than LZMA2", errors.ErrUnsupported)
	}
	dict, err := lzma.DecodeDictCap(filter[2])
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errXZ, err)
	}
	if dict > maxWindow {
		return 0, 0, fmt.Errorf("%w: it asks for a dictionary of %d bytes", ErrTooLarge, dict)
	}
	return max(int(dict), lzma.MinDictCap), size, nil
}

// unlzma2 appends what the block unpacks to. The body is left behind the last byte that belongs to it.
func unlzma2(out []byte, body *bytes.Reader, window, limit int) ([]byte, error) {
	r, err := lzma.Reader2Config{DictCap: window}.NewReader2(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errXZ, err)
	}
	buf := bytes.NewBuffer(out)
	if _, err := buf.ReadFrom(io.LimitReader(r, int64(limit-len(out)+1))); err != nil {
		return nil, fmt.Errorf("%w: %w", errXZ, err)
	}
	if buf.Len() > limit {
		return nil, ErrTooLarge
	}
	return buf.Bytes(), nil
}

func xzCheck(check byte, want, data []byte) bool {
	switch check {
	case 1:
		return binary.LittleEndian.Uint32(want) == crc32.ChecksumIEEE(data)
	case 4:
		return binary.LittleEndian.Uint64(want) == crc64.Checksum(data, crc64.MakeTable(crc64.ECMA))
	}
	return true // SHA-256 is not worth its code here: the kernel checks the module's own signature
}
