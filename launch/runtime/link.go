package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Link is the link by which containerd's shim and BuildKit find the wrapper instead of runc: put Dir in front of the
// daemon's, and the managed containerd's, PATH.
type Link struct {
	// Dir is a folder of its own, such as /run/dockerlaunch/bin. It is made where missing.
	Dir string `json:"dir"`
	// Launcher is the absolute path of the launcher's program (os.Executable).
	Launcher string `json:"launcher"`
}

// Path is that of the link.
func (l Link) Path() string { return filepath.Join(l.Dir, Name) }

// String tells what Apply does.
func (l Link) String() string { return fmt.Sprintf("link %s to %s", l.Path(), l.Launcher) }

// Apply makes the link. One that leads elsewhere, as after the launcher has moved, is replaced; what is no link is an error.
func (l Link) Apply(context.Context) (kept bool, err error) {
	st, err := os.Lstat(l.Path())
	switch {
	case err == nil && st.Mode()&fs.ModeSymlink == 0:
		return false, fmt.Errorf("%s should be a link to the launcher, and is something else (%s): move it away", l.Path(), st.Mode())
	case err == nil:
		if target, err := os.Readlink(l.Path()); err == nil && target == l.Launcher {
			return true, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("looking at %s: %w", l.Path(), err)
	}
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return false, fmt.Errorf("making the folder of the runtime wrapper: %w", err)
	}
	// rename(2) replaces a link in one step, symlink(2) does not.
	temp := filepath.Join(l.Dir, fmt.Sprintf(".%s-%d", Name, os.Getpid()))
	if err := os.Symlink(l.Launcher, temp); err != nil {
		return false, fmt.Errorf("linking the runtime wrapper: %w", err)
	}
	if err := os.Rename(temp, l.Path()); err != nil {
		return false, errors.Join(fmt.Errorf("linking the runtime wrapper: %w", err), os.Remove(temp))
	}
	return false, nil
}

// Fragment is the other way to register the wrapper, as a runtime beside runc, with what it costs in the package's comment:
// the daemon's flags, and the same as members of daemon.json, where `runtimes` goes together with --add-runtime and
// `default-runtime` does not with --default-runtime. path is that of a link by the name AltName to the launcher; it is
// given without arguments, as dockerd would make a shell script of those.
func Fragment(path string) (flags []string, daemonJSON string) {
	return []string{"--add-runtime", AltName + "=" + path, "--default-runtime", AltName},
		fmt.Sprintf(`{"default-runtime":%s,"runtimes":{%s:{"path":%s}}}`, quote(AltName), quote(AltName), quote(path))
}

// beyond is the environment for what find found: its folder and those behind it are all of PATH. Another wrapper by the
// name of runc, which looks for the real one as we do, would otherwise find us again, and so on for ever.
func beyond(environ []string, found string) []string {
	dir := filepath.Dir(found)
	environ = slices.Clone(environ)
	for i, entry := range environ {
		path, ok := strings.CutPrefix(entry, "PATH=")
		if !ok {
			continue
		}
		dirs := filepath.SplitList(path)
		if at := slices.IndexFunc(dirs, func(d string) bool { return filepath.Clean(d) == dir }); at > 0 {
			environ[i] = "PATH=" + strings.Join(dirs[at:], string(filepath.ListSeparator))
		}
	}
	return environ
}

// find looks for runc in PATH as the shim does, and passes by what is this very program: the link, and copies by its name.
func find(environ []string, self string) (string, error) {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok && value != "" {
			path = value
			break
		}
	}
	own, err := os.Stat(self)
	if err != nil {
		own = nil // no /proc: then by the name alone
	}
	ownName := "dockerlaunch"
	if target, err := os.Readlink(self); err == nil {
		ownName = filepath.Base(target)
	}
	for _, dir := range filepath.SplitList(path) {
		candidate := filepath.Join(dir, Name)
		st, err := os.Stat(candidate)
		if err != nil || !st.Mode().IsRegular() || unix.Access(candidate, unix.X_OK) != nil || !filepath.IsAbs(candidate) {
			continue
		}
		if own != nil && os.SameFile(st, own) {
			continue
		}
		if target, err := filepath.EvalSymlinks(candidate); err == nil && target != candidate && filepath.Base(target) == ownName {
			continue
		}
		return candidate, nil
	}
	return "", fmt.Errorf("there is no %s beside this wrapper in PATH=%s: %w", Name, path, fs.ErrNotExist)
}
