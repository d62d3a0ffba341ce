package kconfig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dockerlaunch/dockerlaunch/launch/kconfig/unpack"
)

// mark stands before the configuration, packed with gzip, in the data of a kernel (kernel/configs.c).
const mark = "IKCFG_ST\x1f\x8b"

// fromImage finds the configuration in a kernel that is not packed as a whole: in its own data, else in the packed kernel
// that it carries.
func fromImage(data []byte) (*Config, error) {
	c, err := fromStream(bytes.NewReader(data))
	if !errors.Is(err, ErrNoIKConfig) {
		return c, err
	}
	if format, payload, ok := x86Payload(data); ok {
		return fromPayload(format, payload)
	}
	if format, payload, ok := zbootPayload(data); ok {
		return fromPayload(format, payload)
	}
	return searchPayload(data)
}

// fromPayload looks into the packed kernel that an image carries.
func fromPayload(format unpack.Format, payload []byte) (*Config, error) {
	fail := func(err error) error {
		if errors.Is(err, unpack.ErrUnsupported) {
			err = fmt.Errorf("%w; unpack it with scripts/extract-vmlinux of the kernel's source, and name the result", err)
		}
		return fmt.Errorf("the kernel in this image is packed with %s: %w", format, err)
	}
	r, err := unpack.NewReader(format, payload)
	if err != nil {
		return nil, fail(err)
	}
	c, err := fromStream(r)
	if err != nil && !errors.Is(err, ErrNoIKConfig) {
		return nil, fail(err)
	}
	return c, err
}

// x86Payload is where the header of an x86 image says the packed kernel lies (Documentation/arch/x86/boot.rst: the setup
// header from 0x1f1 on, payload_offset and payload_length since protocol 2.08, kernel 2.6.26).
func x86Payload(data []byte) (unpack.Format, []byte, bool) {
	if len(data) < 0x250 || string(data[0x202:0x206]) != "HdrS" || binary.LittleEndian.Uint16(data[0x206:]) < 0x208 {
		return unpack.None, nil, false
	}
	sectors := uint64(data[0x1f1])
	if sectors == 0 {
		sectors = 4
	}
	start := (sectors+1)*512 + uint64(binary.LittleEndian.Uint32(data[0x248:]))
	return payloadAt(data, start, uint64(binary.LittleEndian.Uint32(data[0x24c:])))
}

// zbootPayload is where a self-unpacking EFI program for other architectures has it (drivers/firmware/efi/libstub/zboot-header.S).
func zbootPayload(data []byte) (unpack.Format, []byte, bool) {
	if len(data) < 32 || string(data[:2]) != "MZ" || string(data[4:8]) != "zimg" {
		return unpack.None, nil, false
	}
	return payloadAt(data, uint64(binary.LittleEndian.Uint32(data[8:])), uint64(binary.LittleEndian.Uint32(data[12:])))
}

func payloadAt(data []byte, start, size uint64) (unpack.Format, []byte, bool) {
	if start >= uint64(len(data)) || size > uint64(len(data))-start {
		return unpack.None, nil, false
	}
	payload := data[start : start+size]
	format := unpack.FormatOf(payload)
	return format, payload, format != unpack.None
}

// searchPayload looks for a packed kernel where no header tells its place, as in zImages of ARM and images for boot loaders.
func searchPayload(data []byte) (*Config, error) {
	const attempts = 8 // of each packing; more marks than that are chance
	var known error
	for _, m := range unpack.Magics {
		rest, at := data, 0
		for range attempts {
			i := bytes.Index(rest, []byte(m.Bytes))
			if i < 0 {
				break
			}
			at += i
			if unpack.FormatOf(data[at:]) == m.Format {
				c, err := fromPayload(m.Format, data[at:])
				if err == nil {
					return c, nil
				}
				// A mark by chance is damaged data; one that cannot be read is worth telling if nothing else is found.
				if errors.Is(err, unpack.ErrUnsupported) || errors.Is(err, unpack.ErrWindow) {
					known = err
				}
			}
			at++
			rest = data[at:]
		}
	}
	if known != nil {
		return nil, known
	}
	return nil, ErrNoIKConfig
}

// fromStream reads a kernel that is not packed up to its configuration, and that.
func fromStream(r io.Reader) (*Config, error) {
	const overlap = len(mark) - 1
	buf := make([]byte, 256<<10)
	have := 0
	for total := int64(0); total < MaxImage; {
		n, err := io.ReadFull(r, buf[have:])
		total += int64(n)
		window := buf[:have+n]
		if i := bytes.Index(window, []byte(mark)); i >= 0 {
			return ikconfig(io.MultiReader(bytes.NewReader(window[i+len("IKCFG_ST"):]), r))
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, ErrNoIKConfig
		} else if err != nil {
			return nil, err
		}
		have = copy(buf, window[len(window)-overlap:])
	}
	return nil, fmt.Errorf("%w: there is no configuration in the first %d bytes that it unpacks to", ErrTooLarge, MaxImage)
}

// ikconfig reads the configuration behind the mark.
func ikconfig(r io.Reader) (*Config, error) {
	packed, err := io.ReadAll(io.LimitReader(r, MaxConfig)) // a prefix is enough: gzip knows its end
	if err != nil && len(packed) == 0 {
		return nil, err
	}
	z, err := unpack.NewReader(unpack.Gzip, packed)
	if err != nil {
		return nil, err
	}
	text, err := readAll(z, MaxConfig)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}
