package host

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultPath is the search path where the environment has none, as when the kernel starts its first process: it gives it
// HOME and TERM only (init/main.c).
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Look finds a program as execvp(3) does: a name with a slash as it stands, another in the folders of path (separated by
// colons). The error is fs.ErrNotExist where there is none, and fs.ErrPermission where the only ones found cannot be
// executed: the two cases that shells tell apart by exit status 127 and 126.
//
// It stands here instead of os/exec's LookPath so that os/exec stays out of a program that has to reap its children itself.
func Look(name, path string) (string, error) {
	if name == "" {
		return "", &fs.PathError{Op: "look up", Path: name, Err: fs.ErrNotExist}
	}
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	var refused error
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			continue // an empty entry means the current folder, which for a PID 1 is nobody's intention
		}
		candidate := filepath.Join(dir, name)
		switch err := executable(candidate); {
		case err == nil:
			return candidate, nil
		case errors.Is(err, fs.ErrPermission) && refused == nil:
			refused = err
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", &fs.PathError{Op: "look up", Path: name, Err: fs.ErrNotExist}
}

// Folders leaves out of a search path the folders that are not there, or are the same as an earlier one, as /bin mostly is:
// Look finds the same programs with what is left, in half of the looks.
func Folders(path string) string {
	type id struct{ dev, ino uint64 }
	var list []string
	var seen []id
	for dir := range strings.SplitSeq(path, ":") {
		var st unix.Stat_t
		switch err := unix.Stat(dir, &st); {
		case dir == "" || err == unix.ENOENT || err == unix.ENOTDIR:
			continue
		case err != nil: // Look may tell why
			list = append(list, dir)
			continue
		}
		// Dev has another width on other architectures.
		if this := (id{uint64(st.Dev), st.Ino}); !slices.Contains(seen, this) {
			seen, list = append(seen, this), append(list, dir)
		}
	}
	return strings.Join(list, ":")
}

// executable tells why a file cannot be executed, if it cannot.
func executable(name string) error {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		if errors.Is(err, unix.ENOTDIR) {
			err = unix.ENOENT
		}
		return &fs.PathError{Op: "execute", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return &fs.PathError{Op: "execute", Path: name, Err: unix.EACCES}
	}
	// access(2) also knows of noexec mounts and ACLs.
	if err := unix.Access(name, unix.X_OK); err != nil {
		return &fs.PathError{Op: "execute", Path: name, Err: err}
	}
	return nil
}
