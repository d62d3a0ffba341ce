package mounts

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Apply observes, decides, makes the target folder where it is missing, mounts, and looks again whether the filesystem is
// really there. kept is true when nothing had to be done, which includes a mount that is not wanted on this system. Errors
// are of type *Error, or those of ctx.
func (m Mount) Apply(ctx context.Context) (kept bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s, err := m.observe()
	if err != nil {
		return false, err
	}
	switch d := m.Decide(s); d.Outcome {
	case OutcomeKeep, OutcomeSkip:
		return true, nil
	case OutcomeMake:
		return false, m.makeTarget(s)
	case OutcomeMount:
		if s.Kind == KindMissing {
			if err := m.makeTarget(s); err != nil {
				return false, err
			}
		}
		if err := m.mount(s.Path); err != nil {
			return false, err
		}
		return false, m.verify()
	default:
		return false, d.Err
	}
}

// observe looks at the target with the mount table of now, if there is one. Where nothing can be mounted at it or below it, as it
// is an empty folder and the kernel calls it no mount point, the table has nothing to tell, and reading it takes as long as
// fifty looks.
func (m Mount) observe() (State, error) {
	if s, e := observe(m.Target, Info{}); e == nil && s.Kind == KindFolder && !s.MountPoint && isEmpty(s.Path) {
		if point, known := isMountRoot(s.Path); known && !point {
			return s, nil
		}
	}
	info, err := readIfMounted()
	if err != nil {
		return State{}, m.failure("read the mount table to mount", err)
	}
	s, e := observe(m.Target, info)
	if e != nil {
		return s, m.failure(e.Op+" the target to mount", e.Err)
	}
	return s, nil
}

// isEmpty tells whether a folder has nothing in it.
func isEmpty(folder string) bool {
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var buf [1024]byte // more than the entries . and .. take
	n, err := unix.ReadDirent(fd, buf[:])
	if err != nil {
		return false
	}
	// struct linux_dirent64 of getdents64(2): the length of an entry is at 16, its name at 19.
	for at, length := 0, 0; at+19 < n; at += length {
		length = int(binary.NativeEndian.Uint16(buf[at+16:]))
		if name := unix.ByteSliceToString(buf[at+19 : n]); name != "." && name != ".." || length == 0 {
			return false
		}
	}
	return true
}

// readIfMounted is Read, but an empty table where /proc is not mounted yet.
func readIfMounted() (Info, error) {
	info, err := Read()
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, nil
	}
	return info, err
}

func (m Mount) makeTarget(s State) error {
	if err := makeFolder(s.Path, m.mode()); err != nil {
		e := m.failure("make the folder to mount", err)
		if e.Kind == ErrNotPermitted {
			e.Advice = "run it as root, and make " + printable(m.Target) + " in the image if that does not help"
		}
		return e
	}
	return nil
}

// makeFolder makes a folder and its missing parents, which get 0755, whatever the umask says. One that is there is left as it
// is.
func makeFolder(path string, mode Mode) error {
	err := os.Mkdir(path, mode.FileMode())
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolder(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		err = os.Mkdir(path, mode.FileMode())
	}
	if errors.Is(err, fs.ErrExist) {
		if st, serr := os.Stat(path); serr == nil && st.IsDir() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode.FileMode())
}

// mount calls mount(2), with the fallback where the kernel lacks the filesystem. The path is free of links.
func (m Mount) mount(path string) error {
	call := func(m Mount) error {
		return retry(func() error { return unix.Mount(m.Source, path, m.FSType, uintptr(m.Flags), m.Data) })
	}
	err := call(m)
	if errors.Is(err, unix.ENODEV) && m.Fallback != "" {
		m.Source, m.FSType = m.Fallback, m.Fallback
		err = call(m)
	}
	if err == nil {
		return nil
	}
	e := m.failure(opMount, err)
	if errors.Is(err, unix.EINVAL) {
		e.Detail = explain(m.FSType, m.Data)
	}
	return e
}

// verify looks whether the mount is what is visible at the target now. What statx(2) and statfs(2) tell is mostly enough, and
// spares the reading of the mount table.
func (m Mount) verify() error {
	if s, e := observe(m.Target, Info{}); e == nil && s.MountPoint && s.FSType == m.FSType && m.Decide(s).Outcome == OutcomeKeep {
		return nil
	}
	s, err := m.observe()
	if err != nil {
		return err
	}
	if d := m.Decide(s); d.Outcome != OutcomeKeep {
		return &Error{
			Op: "verify", Source: m.Source, Target: m.Target, FSType: m.FSType, Flags: m.Flags, Data: m.Data, Kind: ErrForeign,
			Detail: "it was mounted, but is not what is seen there now: " + d.Reason, Lost: m.Lost,
			Advice: "look for something else that mounts there at the same time",
		}
	}
	return nil
}

// explain asks the filesystem which of its options it did not take, and why. mount(2) has nothing but EINVAL to say; fsopen(2),
// since Linux 5.2, hands out the messages. Nothing is created. It is empty where there is nothing to be learnt.
func explain(fstype, data string) string {
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	for option := range strings.SplitSeq(data, ",") {
		if option == "" {
			continue
		}
		if key, value, ok := strings.Cut(option, "="); ok {
			err = unix.FsconfigSetString(fd, key, value)
		} else {
			err = unix.FsconfigSetFlag(fd, key)
		}
		if err == nil {
			continue
		}
		// Each read gives one message: a letter for its severity, a space, the text and a newline.
		buf := make([]byte, 512)
		n, err := unix.Read(fd, buf)
		if err != nil || n < 3 {
			return "the option " + option + " is not taken"
		}
		return strings.TrimSpace(string(buf[2:n]))
	}
	return ""
}
