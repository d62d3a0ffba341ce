// Package files makes the files and folders that Docker expects to find, where they are missing. It never overwrites,
// truncates or removes one that is there.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// State is what stands at a path.
type State string

const (
	// Present is a file or folder, also at the end of a link.
	Present State = "present"
	// Absent is nothing at all.
	Absent State = "absent"
	// Dangling is a link whose target is missing: somebody's intention, so that it is left alone.
	Dangling State = "dangling"
	// Unwritable is nothing, at a place where nothing can be made, as on a read-only filesystem.
	Unwritable State = "unwritable"
)

// Observe tells what stands at a path.
func Observe(path string) (State, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Lstat(path, &st) })
	link := err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
	if link {
		err = retry(func() error { return unix.Stat(path, &st) })
	}
	switch {
	case err == nil:
		return Present, nil
	case errors.Is(err, unix.ELOOP):
		return Dangling, nil // links that lead round in a circle lead nowhere too
	case errors.Is(err, unix.ENOTDIR):
		return Unwritable, nil // a file stands where a folder should
	case !errors.Is(err, fs.ErrNotExist):
		return "", &fs.PathError{Op: "looking at", Path: path, Err: err}
	case link:
		return Dangling, nil
	case !Writable(filepath.Dir(path)):
		return Unwritable, nil
	}
	return Absent, nil
}

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// Writable tells whether something can be made or changed at path: the nearest existing folder on the way to it decides.
// access(2) also answers EROFS, which is what a read-only filesystem looks like to root.
func Writable(path string) bool {
	for {
		err := unix.Access(path, unix.W_OK)
		if !errors.Is(err, unix.ENOENT) {
			return err == nil
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}

// File is a file to be made with Content, or as a copy of the file CopyOf.
type File struct {
	Path    string      `json:"path"`
	Mode    fs.FileMode `json:"mode"`
	Content string      `json:"content,omitempty"`
	CopyOf  string      `json:"copy_of,omitempty"`
	// Also is another path at which the file may be instead.
	Also    string `json:"also,omitempty"`
	Purpose string `json:"purpose"`
}

// String tells what Apply does.
func (f File) String() string {
	if f.CopyOf != "" {
		return fmt.Sprintf("copy %s to %s (mode %#o)", f.CopyOf, f.Path, f.Mode)
	}
	return fmt.Sprintf("write %s (mode %#o, %d bytes)", f.Path, f.Mode, len(f.Content))
}

// Apply makes the file unless something stands there, a dangling link too. It appears whole or not at all: it is written
// under another name and linked into place, and link(2) refuses to replace anything, so that neither a power cut nor a
// second writer can leave half a file or lose one.
func (f File) Apply(context.Context) (kept bool, err error) {
	temp, err := f.begin()
	if temp == nil {
		return err == nil, err
	}
	return f.finish(temp, temp.Sync())
}

// begin writes what finish puts into its place. It gives nil where the file is there, or an error.
func (f File) begin() (*os.File, error) {
	for _, path := range f.places() {
		if _, err := os.Lstat(path); err == nil {
			return nil, nil
		}
	}
	temp, err := f.write()
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", f.Path, err)
	}
	return temp, nil
}

// finish puts what begin wrote, and what is on the disk unless err says why not, into its place.
func (f File) finish(temp *os.File, err error) (kept bool, _ error) {
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Link(temp.Name(), f.Path)
	}
	err = errors.Join(err, os.Remove(temp.Name()))
	if errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("making %s: %w", f.Path, err)
	}
	return false, nil
}

// places lists where the file may be.
func (f File) places() []string {
	if f.Also == "" {
		return []string{f.Path}
	}
	return []string{f.Path, f.Also}
}

// Observe tells what stands in the file's place.
func (f File) Observe() (State, error) {
	var state State
	for _, path := range slices.Backward(f.places()) {
		var err error
		if state, err = Observe(path); err != nil || state == Present {
			return state, err
		}
	}
	return state, nil
}

// write writes the file under another name beside its own.
func (f File) write() (*os.File, error) {
	dir := filepath.Dir(f.Path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	temp, err := createTemp(filepath.Join(dir, "."+filepath.Base(f.Path)))
	if err != nil {
		return nil, err
	}
	err = f.fill(temp)
	if err == nil {
		err = temp.Chmod(f.Mode)
	}
	if err != nil {
		return nil, errors.Join(err, temp.Close(), os.Remove(temp.Name()))
	}
	return temp, nil
}

// createTemp makes a new file beside path. Package os would ask its poller about it, with five system calls.
func createTemp(path string) (*os.File, error) {
	for n := range 10_000 {
		name := fmt.Sprintf("%s-%d.%d", path, os.Getpid(), n)
		fd := -1
		err := retry(func() (err error) {
			fd, err = unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
			return err
		})
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), name), nil
		case unix.EEXIST: // what a power cut left behind, or another's
		default:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrExist}
}

func (f File) fill(w io.Writer) error {
	if f.CopyOf == "" {
		_, err := io.WriteString(w, f.Content)
		return err
	}
	source, err := os.Open(f.CopyOf)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, source)
	return errors.Join(err, source.Close())
}

// Dir is a folder to be made, with its parents. The mode of one that is there is not changed.
type Dir struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	// Writable demands that files can be made in it, and fails where they cannot.
	Writable bool   `json:"writable,omitempty"`
	Purpose  string `json:"purpose"`
}

// String tells what Apply does.
func (d Dir) String() string {
	return fmt.Sprintf("make folder %s (mode %#o)", d.Path, unixMode(d.Mode))
}

// Apply makes the folder.
func (d Dir) Apply(context.Context) (kept bool, err error) {
	st, err := os.Stat(d.Path)
	switch {
	case err == nil && !st.IsDir():
		return false, fmt.Errorf("%s should be a folder, and is a file (%s): move it away", d.Path, st.Mode())
	case err == nil:
		return true, d.check()
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("looking at %s: %w", d.Path, err)
	}
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o755); err != nil {
		return false, fmt.Errorf("making the parents of %s: %w", d.Path, err)
	}
	if err := os.Mkdir(d.Path, 0o700); err != nil {
		return false, fmt.Errorf("making folder %s: %w", d.Path, err)
	}
	// The umask does not apply to chmod(2), and mkdir(2) ignores the sticky bit.
	if err := os.Chmod(d.Path, d.Mode); err != nil {
		return false, fmt.Errorf("setting mode %#o on %s: %w", unixMode(d.Mode), d.Path, err)
	}
	return false, d.check()
}

func (d Dir) check() error {
	if d.Writable && !Writable(d.Path) {
		return &fs.PathError{Op: "write below", Path: d.Path, Err: unix.EROFS}
	}
	return nil
}

// unixMode writes a mode as chmod(1) does: Go keeps the sticky bit elsewhere.
func unixMode(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		m |= unix.S_ISVTX
	}
	return m
}
