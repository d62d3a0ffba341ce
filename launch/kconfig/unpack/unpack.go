// Package unpack reads the packings that kernels, their configurations and modules come in, as streams and with bounded memory.
package unpack

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dockerlaunch/dockerlaunch/internal/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// MaxWindow bounds the memory, in bytes, that packed data may ask its reader for. The kernel's build asks for up to 128 MiB
// (scripts/xz_wrap.sh, and zstd -22 --ultra in scripts/Makefile.lib).
const MaxWindow = 128 << 20

var (
	// ErrWindow is returned for data that needs more memory to unpack than MaxWindow.
	ErrWindow = errors.New("unpacking needs too much memory")
	// ErrUnsupported is returned for a packing that this package knows but does not read.
	ErrUnsupported = errors.New("this packing is not supported")
	// ErrDamaged is returned for packed data that is not as its format wants it.
	ErrDamaged = errors.New("damaged packed data")
)

// Format is a packing.
type Format string

// The packings, named as the kernel's options do. Bzip2 and LZO are known and not read: no distribution packs with them.
const (
	None  Format = ""
	Gzip  Format = "gzip"
	XZ    Format = "xz"
	Zstd  Format = "zstd"
	LZMA  Format = "lzma"
	Bzip2 Format = "bzip2"
	LZ4   Format = "lz4"
	LZO   Format = "lzo"
)

// Magic is how data of a format begins.
type Magic struct {
	Format Format
	Bytes  string
}

// Magics are the beginnings of all formats. That of LZMA is no real one: it is what the usual parameters come to.
var Magics = [...]Magic{
	{Gzip, "\x1f\x8b\x08"}, {XZ, "\xfd7zXZ\x00"}, {Zstd, "\x28\xb5\x2f\xfd"}, {Bzip2, "BZh"},
	{LZ4, "\x02\x21\x4c\x18"}, {LZO, "\x89LZO\x00\r\n\x1a\n"}, {LZMA, "\x5d\x00\x00"},
}

// FormatOf tells how data is packed, by its first bytes.
func FormatOf(data []byte) Format {
	for _, m := range Magics {
		if bytes.HasPrefix(data, []byte(m.Bytes)) && plausible(m.Format, data) {
			return m.Format
		}
	}
	return None
}

// plausible tells the weaker marks from chance.
func plausible(f Format, data []byte) bool {
	switch f {
	case Bzip2:
		return len(data) > 10 && data[3] >= '1' && data[3] <= '9' && string(data[4:10]) == "\x31\x41\x59\x26\x53\x59"
	case LZMA:
		if len(data) < 14 || data[13] != 0 { // the first byte of the packed part is always 0
			return false
		}
		size := binary.LittleEndian.Uint64(data[5:])
		return size == 1<<64-1 || size < 1<<30
	}
	return true
}

// NewReader reads what data unpacks to. What follows the packed data is not looked at.
func NewReader(f Format, data []byte) (io.Reader, error) {
	r := bytes.NewReader(data)
	switch f {
	case Gzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		z.Multistream(false)
		return z, nil
	case XZ:
		return newXZ(data)
	case Zstd:
		return newZstd(data)
	case LZMA:
		if len(data) < 13 {
			return nil, fmt.Errorf("%w: no lzma header", ErrDamaged)
		}
		window := binary.LittleEndian.Uint32(data[1:])
		if window > MaxWindow {
			return nil, fmt.Errorf("%w: lzma asks for a dictionary of %d bytes", ErrWindow, window)
		}
		return lzma.ReaderConfig{DictCap: max(int(window), lzma.MinDictCap)}.NewReader(r)
	case LZ4:
		return newLZ4(data)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, f)
}

// zstdReader reads the first frame: what follows it, in a kernel image, is no further frame.
type zstdReader struct{ r *zstd.Reader }

func newZstd(data []byte) (io.Reader, error) {
	r, err := zstd.NewReader(data, MaxWindow)
	if err != nil {
		return nil, zstdError(err)
	}
	return zstdReader{r}, nil
}

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	return n, zstdError(err)
}

// zstdError gives an error of the decoder this package's kind.
func zstdError(err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindow):
		return fmt.Errorf("%w: %w", ErrWindow, err)
	case errors.Is(err, zstd.ErrDamaged), errors.Is(err, zstd.ErrUnsupported): // nobody packs a kernel with a dictionary
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
