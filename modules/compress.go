package modules

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dockerlaunch/dockerlaunch/internal/zstd"
)

// maxModule bounds what a module may unpack to, in bytes: ten times the largest that distributions ship.
const maxModule = 256 << 20

// maxWindow bounds the memory that a packed module may ask of its decoder; modules are packed with 2 to 8 MiB.
const maxWindow = 64 << 20

// ErrTooLarge is returned for a file that is larger than a module can be, or unpacks to more.
var ErrTooLarge = errors.New("larger than a kernel module can be")

// ReadFile reads a module and unpacks it where it is packed with xz, zstd or gzip, whatever the file is called. What is larger
// than 256 MiB, packed or not, is ErrTooLarge.
func ReadFile(path string) ([]byte, error) {
	data, err := readMost(path, maxModule, ErrTooLarge)
	if err != nil {
		return nil, err
	}
	data, err = decompress(data)
	if err != nil {
		return nil, &os.PathError{Op: "unpack", Path: path, Err: err}
	}
	return data, nil
}

// packing is how a file is packed, by its first bytes.
type packing int

const (
	plain packing = iota
	packedXZ
	packedZstd
	packedGzip
)

func packingOf(data []byte) packing {
	switch {
	case bytes.HasPrefix(data, []byte("\xfd7zXZ\x00")):
		return packedXZ
	case bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd")):
		return packedZstd
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return packedGzip
	}
	return plain
}

func decompress(data []byte) ([]byte, error) {
	switch packingOf(data) {
	case packedXZ:
		return unxz(data, maxModule)
	case packedZstd:
		return unzstd(data)
	case packedGzip:
		return gunzip(data)
	}
	return data, nil
}

func unzstd(data []byte) ([]byte, error) {
	out, err := zstd.Decode(data, maxModule, maxWindow)
	if errors.Is(err, zstd.ErrLimit) || errors.Is(err, zstd.ErrWindow) {
		return nil, fmt.Errorf("%w (%w)", ErrTooLarge, err)
	}
	return out, err
}

func gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxModule {
		return nil, ErrTooLarge
	}
	return out, r.Close()
}
