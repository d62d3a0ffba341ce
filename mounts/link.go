package mounts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Link is a symbolic link that is wanted.
type Link struct {
	Path string `json:"path"`
	Goal string `json:"goal"`
	// Accept are other goals that are right if the link has them already.
	Accept []string `json:"accept,omitempty"`
	// Device is a device node that is right in place of the link.
	Device  *Device `json:"device,omitempty"`
	Purpose string  `json:"purpose,omitempty"`
}

// Links are the symbolic links that programs expect in a /dev. The kernel makes none of them.
//
// ptmx is a link to pts/ptmx, or the node 5:2 that devtmpfs has: since Linux 4.7 opening that node takes the devpts that is
// mounted at pts beside it, so both give a pseudo-terminal of the instance at /dev/pts. The node's own mode counts there, not
// the ptmxmode of the instance. See https://docs.kernel.org/filesystems/devpts.html.
func Links(dev string) []Link {
	at := func(name string) string { return filepath.Join(dev, name) }
	return []Link{
		{Path: at("fd"), Goal: "/proc/self/fd", Accept: []string{"../proc/self/fd"}, Purpose: "open files by number"},
		{Path: at("stdin"), Goal: "/proc/self/fd/0", Accept: []string{"fd/0", "/dev/fd/0"}, Purpose: "standard input"},
		{Path: at("stdout"), Goal: "/proc/self/fd/1", Accept: []string{"fd/1", "/dev/fd/1"}, Purpose: "standard output"},
		{Path: at("stderr"), Goal: "/proc/self/fd/2", Accept: []string{"fd/2", "/dev/fd/2"}, Purpose: "standard error"},
		{
			Path: at("ptmx"), Goal: "pts/ptmx", Accept: []string{"/dev/pts/ptmx"},
			Device: &Device{Path: at("ptmx"), Major: 5, Minor: 2, Mode: 0o666}, Purpose: "opens new pseudo-terminals",
		},
	}
}

// String says in one line what Apply would do.
func (l Link) String() string {
	text := "link " + printable(l.Path) + " to " + printable(l.Goal)
	if l.Purpose != "" {
		text += ": " + l.Purpose
	}
	return text
}

// Apply makes the link where nothing stands. Something else in its place is an ErrForeign and is left there. What the link
// leads to need not exist yet.
func (l Link) Apply(ctx context.Context) (kept bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	kept, err = l.check()
	if !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	if err := os.Symlink(l.Goal, l.Path); err != nil {
		return false, l.failure(opLink, err)
	}
	return false, nil
}

// Stands tells whether the link, or what is right in its place, is there, so that Apply would keep it.
func (l Link) Stands() bool {
	kept, err := l.check()
	return kept && err == nil
}

// Wrong tells what Apply would refuse to touch: something else in the link's place. It is nil where nothing stands there.
func (l Link) Wrong() error {
	_, wrong := l.Look()
	return wrong
}

// Look tells both, with one look at the link: what Stands and what Wrong would.
func (l Link) Look() (stands bool, wrong error) { return unlessMissing(l.check()) }

// unlessMissing makes no error of a thing that is missing.
func unlessMissing(kept bool, err error) (bool, error) {
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return kept && err == nil, err
}

// check tells whether what is there is right. Where nothing is there the error matches fs.ErrNotExist.
func (l Link) check() (bool, error) {
	goal, err := os.Readlink(l.Path)
	switch {
	case err == nil:
		if goal == l.Goal || slices.Contains(l.Accept, goal) {
			return true, nil
		}
		return false, l.foreign("a symbolic link to " + printable(goal) + " is there")
	case errors.Is(err, fs.ErrNotExist):
		return false, err
	case !errors.Is(err, unix.EINVAL): // which says that it is no symbolic link
		return false, l.failure("look at", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(l.Path, &st); err != nil {
		return false, l.failure("look at", err)
	}
	if l.Device != nil {
		kept, err := l.Device.check()
		if kept || !errors.Is(err, ErrForeign) {
			return kept, err
		}
	}
	return false, l.foreign(describe(st) + " is there")
}

func (l Link) foreign(what string) *Error {
	e := l.failure(opLink, nil)
	e.Kind, e.Detail, e.Advice = ErrForeign, what, "remove it and start again"
	return e
}

func (l Link) failure(op string, err error) *Error {
	e := &Error{Op: op, Source: l.Goal, Target: l.Path, Err: err}
	if l.Purpose != "" {
		e.Lost = "there is no " + filepath.Base(l.Path) + " (" + l.Purpose + ")"
	}
	e.classify()
	return e
}
