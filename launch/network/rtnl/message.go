// Package rtnl speaks as much routing netlink (rtnetlink(7)) as starting a network takes: links, addresses and routes, listed,
// changed and watched, in types of net/netip. github.com/vishvananda/netlink's routes and links would cost the launcher 270 KB, and
// its sockets alone, which know package net, 25 KB more than those here.
package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Error is a request that the kernel refused.
type Error struct {
	// Op is what was tried, for example "add address 192.0.2.5/24 to interface 2".
	Op  string
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// ErrFormat is an answer of the kernel that cannot be understood.
var ErrFormat = errors.New("the kernel's answer is cut short")

// builder makes the body of a message: a fixed header and attributes, each aligned to four bytes.
type builder []byte

func (b *builder) attr(kind uint16, value []byte) {
	*b = binary.NativeEndian.AppendUint16(*b, uint16(unix.SizeofRtAttr+len(value)))
	*b = binary.NativeEndian.AppendUint16(*b, kind)
	*b = append(*b, value...)
	for len(*b)%unix.RTA_ALIGNTO != 0 {
		*b = append(*b, 0)
	}
}

func (b *builder) uint32(kind uint16, value uint32) {
	b.attr(kind, binary.NativeEndian.AppendUint32(nil, value))
}

func (b *builder) text(kind uint16, value string) { b.attr(kind, append([]byte(value), 0)) }

func (b *builder) addr(kind uint16, value netip.Addr) { b.attr(kind, value.AsSlice()) }

// do sends a request and waits for the kernel's word on it.
func do(op string, kind, flags uint16, body builder) error {
	if _, err := execute(kind, unix.NLM_F_ACK|flags, body, 0); err != nil {
		return &Error{op, err}
	}
	return nil
}

// dump asks for all objects of a kind. The kernel says where the list changed while it was read; then it is read again.
func dump(op string, kind, answer uint16, header []byte) ([][]byte, error) {
	var messages [][]byte
	var err error
	for range 5 {
		messages, err = execute(kind, unix.NLM_F_DUMP, header, answer)
		if !errors.Is(err, errInterrupted) {
			break
		}
	}
	// Where it changes all the time, what was read is the best there is.
	if err != nil && !errors.Is(err, errInterrupted) {
		return nil, &Error{op, err}
	}
	return messages, nil
}

// list parses every message of a dump.
func list[T any](op string, messages [][]byte, parse func([]byte) (T, bool, error)) ([]T, error) {
	var all []T
	for _, m := range messages {
		one, ok, err := parse(m)
		if err != nil {
			return nil, &Error{op, err}
		}
		if ok {
			all = append(all, one)
		}
	}
	return all, nil
}

// attributes walks the attributes of a message.
func attributes(data []byte, each func(kind uint16, value []byte)) error {
	for len(data) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(data))
		if size < unix.SizeofRtAttr || size > len(data) {
			return ErrFormat
		}
		// The two highest bits are flags.
		each(binary.NativeEndian.Uint16(data[2:])&0x3fff, data[unix.SizeofRtAttr:size])
		data = data[min(len(data), (size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
	}
	return nil
}

// number reads an attribute of four bytes, and 0 where it has another size.
func number(value []byte) uint32 {
	if len(value) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

func text(value []byte) string { return unix.ByteSliceToString(value) }

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// HardwareAddr is an address of the link layer.
type HardwareAddr []byte

// String writes it as ip(8) does.
func (a HardwareAddr) String() string {
	s := ""
	for i, b := range a {
		if i > 0 {
			s += ":"
		}
		s += fmt.Sprintf("%02x", b)
	}
	return s
}

// MarshalText is String, for JSON.
func (a HardwareAddr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
