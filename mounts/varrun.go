package mounts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// VarRun makes an old path of a folder, /var/run, the same as its present one, /run, as the Filesystem Hierarchy Standard 3.0
// wants it in section 5.13. The daemon's socket is known by either name.
//
// Nothing that a user may have put there is deleted or hidden:
//
//   - missing: a symbolic link is made, and its parent folder where that is missing too;
//   - a link to it, or a folder that is the same by a bind mount: kept;
//   - an empty folder that is no mount point: replaced by the link, with rmdir(2), which cannot delete a file;
//   - any other folder: kept as a folder of its own if it is writable; all that is lost is that the two names differ;
//   - a folder that is not writable and has no mounts in it: Goal is bound over it. Nothing could be written there anyway.
//
// Everything else is an error: ErrForeign for a link to somewhere else, ErrNoTarget for a file, ErrReadOnly for a folder that is
// neither writable nor free of mounts, ErrReadOnlyRoot where the link is missing and cannot be made.
type VarRun struct {
	Path string `json:"path"`
	Goal string `json:"goal"`
}

// NewVarRun gives the action for /var/run and /run.
func NewVarRun() VarRun { return VarRun{Path: "/var/run", Goal: "/run"} }

// String says in one line what Apply would do.
func (v VarRun) String() string {
	return "link " + printable(v.Path) + " to " + printable(v.Goal) + ": both names of the folder are in use"
}

// Apply does what is described at VarRun. Goal should be there already.
func (v VarRun) Apply(ctx context.Context) (kept bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if goal, err := os.Readlink(v.Path); err == nil {
		return v.checkLink(goal)
	}
	info, err := readIfMounted()
	if err != nil {
		return false, v.failure("read the mount table to link", err)
	}
	s, e := observe(v.Path, info)
	if e != nil {
		return false, v.failure(e.Op, e.Err)
	}
	switch {
	case s.Kind == KindMissing:
		return false, v.link()
	case s.Kind != KindFolder:
		e := v.failure(opLink, nil)
		e.Kind, e.Detail, e.Advice = ErrNoTarget, "a file stands there or in its path", "move it away"
		return false, e
	case same(v.Path, v.Goal):
		return true, nil
	}
	if !s.MountPoint {
		// No need to look whether it is empty: rmdir refuses if not, without a gap between the look and the deed.
		switch err := unix.Rmdir(v.Path); {
		case err == nil:
			return false, v.link()
		case errors.Is(err, unix.ENOENT):
			return false, v.failure("replace", err)
		}
		// ENOTEMPTY, EBUSY where something is mounted in it, EROFS: it stays, and whether that does is looked at next.
	}
	switch {
	case s.Writable:
		return true, nil
	case s.MountPoint || len(s.Below) > 0:
		e := v.failure(opLink, nil)
		e.Kind, e.Detail = ErrReadOnly, "the folder there is not writable, and mounts in it would be hidden"
		e.Advice = "make " + printable(v.Path) + " a link to " + printable(v.Goal) + " in the image"
		return false, e
	}
	if err := retry(func() error { return unix.Mount(v.Goal, s.Path, "", unix.MS_BIND|unix.MS_REC, "") }); err != nil {
		e := v.failure(opBind, err)
		e.Flags = unix.MS_BIND | unix.MS_REC
		return false, e
	}
	return false, nil
}

// Stands tells whether Apply would keep what is there.
func (v VarRun) Stands() bool {
	if goal, err := os.Readlink(v.Path); err == nil {
		kept, err := v.checkLink(goal)
		return kept && err == nil
	}
	if same(v.Path, v.Goal) {
		return true
	}
	// A folder of its own that Apply can neither remove nor has to bind over.
	info, err := readIfMounted()
	if err != nil {
		return false
	}
	s, err := Observe(v.Path, info)
	if err != nil || s.Kind != KindFolder || !s.Writable {
		return false
	}
	entries, err := os.ReadDir(v.Path)
	return s.MountPoint || err == nil && len(entries) > 0
}

// Wrong tells why Apply would fail, as far as that shows beforehand: a link to somewhere else, a file, or nothing where
// nothing can be made.
func (v VarRun) Wrong() error {
	if goal, err := os.Readlink(v.Path); err == nil {
		_, err := v.checkLink(goal)
		return err
	}
	info, err := readIfMounted()
	if err != nil {
		return v.failure("read the mount table to link", err)
	}
	s, err := Observe(v.Path, info)
	e := v.failure("link", err)
	switch {
	case err != nil:
		return e
	case s.Kind == KindMissing && !s.Writable:
		e.Kind, e.Detail = ErrReadOnlyRoot, "it is missing and cannot be made on the "+s.FSType+" it would lie on"
		e.Advice = "make " + printable(v.Path) + " in the image, or start with a writable root"
		return e
	case s.Kind == KindOther:
		e.Kind, e.Detail, e.Advice = ErrNoTarget, "a file stands there or in its path", "move it away"
		return e
	}
	return nil
}

// Look tells what Stands and what Wrong would. A right link takes one look.
func (v VarRun) Look() (stands bool, wrong error) {
	if v.Stands() {
		return true, nil
	}
	return false, v.Wrong()
}

// checkLink judges a symbolic link that is there. It is right also before its goal has been made.
func (v VarRun) checkLink(goal string) (bool, error) {
	if !filepath.IsAbs(goal) {
		goal = filepath.Join(filepath.Dir(v.Path), goal)
	}
	if filepath.Clean(goal) == filepath.Clean(v.Goal) || same(v.Path, v.Goal) {
		return true, nil
	}
	e := v.failure(opLink, nil)
	e.Kind, e.Detail, e.Advice = ErrForeign, "a symbolic link to "+printable(goal)+" is there", "remove it and start again"
	return false, e
}

func (v VarRun) link() error {
	if err := makeFolder(filepath.Dir(v.Path), 0o755); err != nil {
		return v.failure("make the parent folder of", err)
	}
	err := os.Symlink(v.Goal, v.Path)
	if err == nil || errors.Is(err, fs.ErrExist) && same(v.Path, v.Goal) {
		return nil
	}
	return v.failure(opLink, err)
}

func (v VarRun) failure(op string, err error) *Error {
	e := &Error{
		Op: op, Source: v.Goal, Target: v.Path, Err: err, Lost: "programs that look for the daemon's socket in " + v.Path + " miss it",
	}
	e.classify()
	return e
}

// same tells whether two paths lead to the same folder.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
