package modules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ErrNotModule is returned for a file that is no ELF object with module information in it.
var ErrNotModule = errors.New("not a kernel module")

// Info is what a module says of itself.
type Info struct {
	Name     string // the kernel's name for it; empty in modules of kernels before 4.13
	Depends  []string
	Aliases  []string // patterns, as they stand in the file
	SoftDeps []string // the text behind "softdep NAME"
	VerMagic string   // the kernel release and the options that it was built for
	// Exports are the symbols that other modules may use.
	Exports []string
}

// parseInfo reads the sections .modinfo and __ksymtab_strings of an ELF object. Only what lies inside the data is
// read, and nothing is copied but the result.
func parseInfo(data []byte) (*Info, error) {
	e, err := newELF(data)
	if err != nil {
		return nil, err
	}
	modinfo, ok, err := e.section(".modinfo")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: no section .modinfo", ErrNotModule)
	}
	info := &Info{}
	for entry := range bytes.SplitSeq(modinfo, []byte{0}) {
		key, value, ok := strings.Cut(string(entry), "=")
		if !ok {
			continue
		}
		switch key {
		case "name":
			info.Name = Normalize(value)
		case "depends":
			for name := range strings.SplitSeq(value, ",") {
				if name != "" {
					info.Depends = append(info.Depends, Normalize(name))
				}
			}
		case "alias":
			info.Aliases = append(info.Aliases, value)
		case "softdep":
			info.SoftDeps = append(info.SoftDeps, value)
		case "vermagic":
			info.VerMagic = value
		}
	}
	exports, _, err := e.section("__ksymtab_strings")
	if err != nil {
		return nil, err
	}
	for name := range bytes.SplitSeq(exports, []byte{0}) {
		if len(name) > 0 {
			info.Exports = append(info.Exports, string(name))
		}
	}
	return info, nil
}

// elf reads section headers (elf(5)) of either class and byte order.
type elf struct {
	data    []byte
	order   binary.ByteOrder
	wide    bool // ELFCLASS64
	offset  uint64
	size    uint64 // of one header
	count   uint64
	strings []byte
}

func newELF(data []byte) (*elf, error) {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrNotModule, what) }
	if len(data) < 64 || string(data[:4]) != "\x7fELF" {
		return nil, bad("no ELF header")
	}
	e := &elf{data: data}
	switch data[4] {
	case 1:
	case 2:
		e.wide = true
	default:
		return nil, bad("unknown ELF class")
	}
	switch data[5] {
	case 1:
		e.order = binary.LittleEndian
	case 2:
		e.order = binary.BigEndian
	default:
		return nil, bad("unknown byte order")
	}
	var names uint64
	if e.wide {
		e.offset = e.order.Uint64(data[40:])
		e.size, e.count, names = uint64(e.order.Uint16(data[58:])), uint64(e.order.Uint16(data[60:])), uint64(e.order.Uint16(data[62:]))
	} else {
		e.offset = uint64(e.order.Uint32(data[32:]))
		e.size, e.count, names = uint64(e.order.Uint16(data[46:])), uint64(e.order.Uint16(data[48:])), uint64(e.order.Uint16(data[50:]))
	}
	least := uint64(40)
	if e.wide {
		least = 64
	}
	if e.size < least || e.offset > uint64(len(data)) {
		return nil, bad("no section headers")
	}
	// More than 65279 sections: the numbers lie in the first header (elf(5), SHN_XINDEX).
	if e.count == 0 || names == 0xffff {
		h, ok := e.header(0)
		if !ok {
			return nil, bad("no section headers")
		}
		if e.count == 0 {
			e.count = h.size
		}
		if names == 0xffff {
			names = uint64(h.link)
		}
	}
	h, ok := e.header(names)
	if !ok {
		return nil, bad("no section names")
	}
	if e.strings, ok = e.bytes(h); !ok {
		return nil, bad("section names outside the file")
	}
	return e, nil
}

type elfHeader struct {
	name, kind, link uint32
	offset, size     uint64
}

func (e *elf) header(i uint64) (elfHeader, bool) {
	// offset is at most len(data) and size fits 16 bits, so only i needs its bound before the product.
	if i > uint64(len(e.data)) {
		return elfHeader{}, false
	}
	at := e.offset + i*e.size
	if at+e.size > uint64(len(e.data)) {
		return elfHeader{}, false
	}
	b := e.data[at:]
	h := elfHeader{name: e.order.Uint32(b), kind: e.order.Uint32(b[4:])}
	if e.wide {
		h.offset, h.size, h.link = e.order.Uint64(b[24:]), e.order.Uint64(b[32:]), e.order.Uint32(b[40:])
	} else {
		h.offset, h.size, h.link = uint64(e.order.Uint32(b[16:])), uint64(e.order.Uint32(b[20:])), e.order.Uint32(b[24:])
	}
	return h, true
}

func (e *elf) bytes(h elfHeader) ([]byte, bool) {
	if h.offset > uint64(len(e.data)) || h.size > uint64(len(e.data))-h.offset {
		return nil, false
	}
	return e.data[h.offset : h.offset+h.size], true
}

// section finds a section by its name. The walk ends at the first header outside the file, whatever count says.
func (e *elf) section(name string) ([]byte, bool, error) {
	const nobits = 8 // SHT_NOBITS: it has a size, but nothing in the file
	for i := range e.count {
		h, ok := e.header(i)
		if !ok {
			return nil, false, fmt.Errorf("%w: section headers outside the file", ErrNotModule)
		}
		if uint64(h.name) >= uint64(len(e.strings)) || h.kind == nobits {
			continue
		}
		rest := e.strings[h.name:]
		if len(rest) <= len(name) || rest[len(name)] != 0 || string(rest[:len(name)]) != name {
			continue
		}
		b, ok := e.bytes(h)
		if !ok {
			return nil, false, fmt.Errorf("%w: section %s lies outside the file", ErrNotModule, name)
		}
		return b, true, nil
	}
	return nil, false, nil
}
