package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Device is a character device node that is wanted.
type Device struct {
	Path  string `json:"path"`
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
	Mode  Mode   `json:"mode"`
	// AnyNumber says that a character device with another number is right too.
	AnyNumber bool   `json:"any_number,omitempty"`
	Purpose   string `json:"purpose,omitempty"`
}

// Devices are the nodes that programs expect in a /dev, for one that the kernel does not fill itself. The numbers are those of
// https://docs.kernel.org/admin-guide/devices.html. ptmx is among the Links.
func Devices(dev string) []Device {
	at := func(name string) string { return filepath.Join(dev, name) }
	return []Device{
		{
			// In a container the runtime binds the container's terminal over it.
			Path: at("console"), Major: 5, Minor: 1, Mode: 0o600, AnyNumber: true, Purpose: "the system's console",
		},
		{Path: at("tty"), Major: 5, Minor: 0, Mode: 0o666, Purpose: "the terminal of the process that opens it"},
		{Path: at("null"), Major: 1, Minor: 3, Mode: 0o666, Purpose: "takes everything and gives nothing"},
		{Path: at("zero"), Major: 1, Minor: 5, Mode: 0o666, Purpose: "gives zero bytes"},
		{Path: at("full"), Major: 1, Minor: 7, Mode: 0o666, Purpose: "a disk that is always full"},
		{Path: at("random"), Major: 1, Minor: 8, Mode: 0o666, Purpose: "random bytes"},
		{Path: at("urandom"), Major: 1, Minor: 9, Mode: 0o666, Purpose: "random bytes"},
		{Path: at("kmsg"), Major: 1, Minor: 11, Mode: 0o644, Purpose: "the kernel's log"},
	}
}

// String says in one line what Apply would do.
func (d Device) String() string {
	text := fmt.Sprintf("make %s a character device %d:%d with mode %s", printable(d.Path), d.Major, d.Minor, d.Mode)
	if d.Purpose != "" {
		text += ": " + d.Purpose
	}
	return text
}

// Apply makes the node where nothing stands. A right node is kept whatever its mode and owner are. Something else in its place
// is an ErrForeign and is left there. There is no fallback where mknod(2) is refused, as in a user namespace.
func (d Device) Apply(ctx context.Context) (kept bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	kept, err = d.check()
	if !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	dev := unix.Mkdev(d.Major, d.Minor)
	if err := unix.Mknod(d.Path, unix.S_IFCHR|uint32(d.Mode), int(dev)); err != nil {
		return false, d.failure("make", err)
	}
	// The umask was applied.
	if err := os.Chmod(d.Path, d.Mode.FileMode()); err != nil {
		return false, d.failure("set the mode of", err)
	}
	// Where a node can be made, it may still be refused to be opened.
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(filepath.Dir(d.Path), &st) }); err != nil {
		return false, d.failure("look at the filesystem of", err)
	}
	if st.Flags&unix.ST_NODEV != 0 {
		e := d.failure("make", nil)
		e.Kind, e.Detail = ErrForeign, "it was made on a filesystem that is mounted nodev, so that it does not open"
		e.Advice = "remount " + printable(filepath.Dir(d.Path)) + " with the option dev"
		return false, e
	}
	return false, nil
}

// Stands tells whether the node is there and right, so that Apply would keep it.
func (d Device) Stands() bool {
	kept, err := d.check()
	return kept && err == nil
}

// Wrong tells what Apply would refuse to touch: something else in the node's place. It is nil where nothing stands there.
func (d Device) Wrong() error {
	_, wrong := d.Look()
	return wrong
}

// Look tells both, with one look at the node: what Stands and what Wrong would.
func (d Device) Look() (stands bool, wrong error) { return unlessMissing(d.check()) }

// check tells whether the node is there and right. Where nothing is there the error matches fs.ErrNotExist.
func (d Device) check() (bool, error) {
	var st unix.Stat_t
	switch err := unix.Lstat(d.Path, &st); {
	case errors.Is(err, unix.ENOENT):
		return false, err
	case err != nil:
		return false, d.failure("look at", err)
	}
	rdev := uint64(st.Rdev)
	number := unix.Major(rdev) == d.Major && unix.Minor(rdev) == d.Minor
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && (number || d.AnyNumber) {
		return true, nil
	}
	e := d.failure("make", nil)
	e.Kind, e.Detail, e.Advice = ErrForeign, describe(st)+" is there", "remove it and start again"
	return false, e
}

func (d Device) failure(op string, err error) *Error {
	e := &Error{Op: fmt.Sprintf("%s the character device %d:%d", op, d.Major, d.Minor), Target: d.Path, Err: err}
	if d.Purpose != "" {
		e.Lost = "there is no " + filepath.Base(d.Path) + " (" + d.Purpose + ")"
	}
	e.classify()
	if e.Kind == ErrNotPermitted {
		e.Advice = "run it as root with CAP_MKNOD, in a container with --privileged and without a user namespace"
	}
	return e
}

// describe names what a file is, see inode(7).
func describe(st unix.Stat_t) string {
	rdev := uint64(st.Rdev)
	switch format := st.Mode & unix.S_IFMT; format {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFDIR:
		return "a folder"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFBLK:
		return fmt.Sprintf("a block device %d:%d", unix.Major(rdev), unix.Minor(rdev))
	case unix.S_IFCHR:
		return fmt.Sprintf("a character device %d:%d", unix.Major(rdev), unix.Minor(rdev))
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFSOCK:
		return "a socket"
	default:
		return fmt.Sprintf("a file of type %#o", format)
	}
}
