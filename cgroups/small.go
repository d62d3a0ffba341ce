package cgroups

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Link makes a symbolic link.
type Link struct {
	Path string `json:"path"`
	To   string `json:"to"`
	Meaning
}

// String says in one line what Apply does.
func (a Link) String() string { return "link " + a.Path + " to " + a.To }

// Apply makes the link. A link that leads to the same is kept; anything else there is an ErrForeign.
func (a Link) Apply(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err := os.Symlink(a.To, a.Path)
	if err == nil {
		return false, nil
	}
	e := &Error{Op: "symlink", Path: a.Path, Data: a.To, Lost: a.Lost}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		e.Err = le.Err
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, e
	}
	to, err := os.Readlink(a.Path)
	if err != nil {
		e.Kind, e.Detail, e.Advice = ErrForeign, "it is no symbolic link", "move it away"
		return false, e
	}
	if to != a.To && filepath.Join(filepath.Dir(a.Path), to) != filepath.Join(filepath.Dir(a.Path), a.To) {
		e.Kind, e.Detail, e.Advice = ErrForeign, "it leads to "+to, "remove it"
		return false, e
	}
	return true, nil
}

// Set writes a value to a file of a cgroup.
type Set struct {
	Path  string `json:"path"`
	Value string `json:"value"`
	Meaning
}

// String says in one line what Apply does.
func (a Set) String() string {
	return "write " + a.Value + " to " + a.Path + " where the kernel has that file"
}

// Apply writes it. A file that holds the value already, or that the kernel does not have, is kept.
func (a Set) Apply(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	text, err := readFile(a.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(text) == a.Value {
		return true, nil
	}
	if err == nil {
		err = writeFile(a.Path, a.Value)
	}
	return false, withLost(err, a.Lost)
}

func withLost(err error, lost string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Lost = lost
	}
	return err
}
