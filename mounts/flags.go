package mounts

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Flags are the mountflags of mount(2), for example unix.MS_NOSUID|unix.MS_NODEV. In text and JSON they are the names that
// mount(8) uses, joined with commas.
type Flags uintptr

// flagNames is in the order in which the kernel prints them in /proc/self/mountinfo, so that the two are easily compared.
var flagNames = [...]struct {
	flag Flags
	name string
}{
	{unix.MS_RDONLY, "ro"},
	{unix.MS_NOSUID, "nosuid"},
	{unix.MS_NODEV, "nodev"},
	{unix.MS_NOEXEC, "noexec"},
	{unix.MS_NOATIME, "noatime"},
	{unix.MS_NODIRATIME, "nodiratime"},
	{unix.MS_RELATIME, "relatime"},
	{unix.MS_STRICTATIME, "strictatime"},
	{unix.MS_NOSYMFOLLOW, "nosymfollow"},
	{unix.MS_SYNCHRONOUS, "sync"},
	{unix.MS_DIRSYNC, "dirsync"},
	{unix.MS_LAZYTIME, "lazytime"},
	{unix.MS_SILENT, "silent"},
	{unix.MS_REMOUNT, "remount"},
	{unix.MS_BIND, "bind"},
	{unix.MS_MOVE, "move"},
	{unix.MS_REC, "rec"},
	{unix.MS_SHARED, "shared"},
	{unix.MS_SLAVE, "slave"},
	{unix.MS_PRIVATE, "private"},
	{unix.MS_UNBINDABLE, "unbindable"},
}

// String gives the names joined with commas; bits without a name are a last hexadecimal word, and no flag at all is "".
func (f Flags) String() string {
	var words []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			words = append(words, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		words = append(words, "0x"+strconv.FormatUint(uint64(f), 16))
	}
	return strings.Join(words, ",")
}

// MarshalText implements encoding.TextMarshaler with String.
func (f Flags) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText writes. A word that is no flag is an error that names it.
func (f *Flags) UnmarshalText(text []byte) error {
	var sum Flags
	for word := range strings.SplitSeq(string(text), ",") {
		if word == "" {
			continue
		}
		flag, err := parseFlag(word)
		if err != nil {
			return err
		}
		sum |= flag
	}
	*f = sum
	return nil
}

func parseFlag(word string) (Flags, error) {
	for _, n := range flagNames {
		if n.name == word {
			return n.flag, nil
		}
	}
	if digits, ok := strings.CutPrefix(word, "0x"); ok {
		if n, err := strconv.ParseUint(digits, 16, strconv.IntSize); err == nil {
			return Flags(n), nil
		}
	}
	return 0, fmt.Errorf("%q is not a mount flag", word)
}

// Mode is the mode of a folder or device node as chmod(1) writes it: permission bits, and 01000 for the sticky bit. In text
// and JSON it is octal with a leading zero, for example "01777".
type Mode uint32

// String gives the octal digits with a leading zero.
func (m Mode) String() string { return fmt.Sprintf("%#04o", uint32(m)) }

// MarshalText implements encoding.TextMarshaler with String.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads octal digits.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 12)
	if err != nil {
		return fmt.Errorf("mode %q is not octal between 0 and 07777: %w", text, err)
	}
	*m = Mode(n)
	return nil
}

// FileMode converts to the type of package os, which keeps the sticky, setuid and setgid bits elsewhere.
func (m Mode) FileMode() fs.FileMode {
	mode := fs.FileMode(m) & fs.ModePerm
	for _, special := range [...]struct {
		bit  Mode
		mode fs.FileMode
	}{{unix.S_ISVTX, fs.ModeSticky}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISUID, fs.ModeSetuid}} {
		if m&special.bit != 0 {
			mode |= special.mode
		}
	}
	return mode
}
