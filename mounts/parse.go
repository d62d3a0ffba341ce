package mounts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"github.com/moby/sys/mountinfo"
)

// Bounds of Parse. The kernel keeps at most fs.mount-max mounts in a namespace, 100,000 by default, and the options of one
// mount in a page, if they come through mount(2).
const (
	maxLine  = 64<<10 - 1 // bytes, without the newline
	maxTable = 64 << 20   // bytes
)

// ErrTable is what every error of Parse about the text itself matches.
var ErrTable = errors.New("not a mount table")

// Read reads the mount table of the calling thread, which is that of the process unless the thread was given a mount namespace
// of its own. Where /proc is not mounted, or is that of a PID namespace which does not hold
// this process, the error matches fs.ErrNotExist.
func Read() (Info, error) {
	info, _, err := ReadText()
	return info, err
}

// ReadText is Read, and returns the text too, for others who read the same.
func ReadText() (Info, []byte, error) {
	// The thread must not change between the opening and the reading.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	text, err := smallfile.ReadMost("/proc/thread-self/mountinfo", maxTable+1)
	if err != nil {
		return Info{}, nil, fmt.Errorf("reading the mount table: %w", err)
	}
	info, err := parse(text)
	return info, text, err
}

// Parse reads a mount table in the format of proc_pid_mountinfo(5). Escapes in paths are decoded. A line that is not of that
// format, is longer than 64 KiB or belongs to a table of more than 64 MiB is an error that matches ErrTable and gives the
// line's number.
func Parse(r io.Reader) (Info, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	if err != nil {
		return Info{}, fmt.Errorf("reading the mount table: %w", err)
	}
	return parse(text)
}

func parse(text []byte) (Info, error) {
	if len(text) > maxTable {
		return Info{}, fmt.Errorf("%w: longer than %d bytes", ErrTable, maxTable)
	}
	lines := 0
	for line := range bytes.Lines(text) {
		lines++
		if err := checkLine(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return Info{}, fmt.Errorf("%w: line %d: %w", ErrTable, lines, err)
		}
	}
	parsed, err := mountinfo.GetMountsFromReader(bytes.NewReader(text), nil)
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrTable, err)
	}
	entries := make([]Entry, 0, len(parsed))
	for n, p := range parsed {
		e := Entry{
			ID: p.ID, Parent: p.Parent, Major: p.Major, Minor: p.Minor, Root: p.Root, Target: p.Mountpoint, Options: p.Options,
			Propagation: p.Optional, FSType: p.FSType, Source: p.Source, Super: p.VFSOptions,
		}
		if err := e.check(); err != nil {
			return Info{}, fmt.Errorf("%w: line %d: %w", ErrTable, n+1, err)
		}
		entries = append(entries, e)
	}
	return NewInfo(entries), nil
}

// checkLine looks at what the parser behind Parse takes on trust: the length, and that the first three fields are numbers.
func checkLine(line []byte) error {
	if len(line) > maxLine {
		return fmt.Errorf("longer than %d bytes", maxLine)
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return errors.New("holds a NUL byte")
	}
	id, rest, _ := bytes.Cut(line, []byte(" "))
	parent, rest, _ := bytes.Cut(rest, []byte(" "))
	device, _, _ := bytes.Cut(rest, []byte(" "))
	major, minor, _ := bytes.Cut(device, []byte(":"))
	for _, number := range [][]byte{id, parent, major, minor} {
		// 31 bits: an ID is an int of the kernel, and both parts of a device number are smaller.
		if _, err := strconv.ParseUint(string(number), 10, 31); err != nil {
			return fmt.Errorf("%q is not a mount ID or device number", number)
		}
	}
	return nil
}

func (e Entry) check() error {
	switch {
	case !filepath.IsAbs(e.Target) || filepath.Clean(e.Target) != e.Target:
		return fmt.Errorf("mount point %q is not a clean absolute path", e.Target)
	case e.Root == "":
		return errors.New("the root within the filesystem is empty")
	case e.FSType == "":
		return errors.New("the filesystem type is empty")
	}
	return nil
}
