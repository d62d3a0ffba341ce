package mounts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Kind says what stands at a path, symbolic links followed.
type Kind string

const (
	KindMissing  Kind = "missing"
	KindFolder   Kind = "folder"
	KindDangling Kind = "dangling" // a symbolic link that leads nowhere, or round in a circle
	KindOther    Kind = "other"    // a file, device, socket or pipe; or such a one stands where a parent folder should
)

// State is what stands at a target.
type State struct {
	Target string `json:"target"`
	// Path is Target with its symbolic links followed: where a mount would land. It is Target where it cannot be followed.
	Path string `json:"path"`
	Kind Kind   `json:"kind"`
	Link bool   `json:"link,omitempty"` // Target itself is a symbolic link
	// MountPoint tells that a mount is visible at Path.
	MountPoint bool `json:"mount_point,omitempty"`
	// FSType is that of the filesystem at Path; where Path is missing, of the nearest parent that exists. Without a mount
	// table a devtmpfs is called tmpfs, as statfs(2) has one number for both, and every ext is called ext4. An unknown one is
	// a hexadecimal number.
	FSType string `json:"fstype,omitempty"`
	// Root is the folder of the filesystem that is mounted at Path; empty where it is no mount point or no table is there.
	Root string `json:"root,omitempty"`
	// ReadOnly, NoDev and Writable are of Path, or of the nearest parent that exists. Writable is what access(2) tells this
	// process.
	ReadOnly bool `json:"read_only,omitempty"`
	NoDev    bool `json:"no_dev,omitempty"`
	Writable bool `json:"writable,omitempty"`
	// Below are the visible mount points below Path. Unknown, and empty, without a mount table.
	Below []string `json:"below,omitempty"`
	// OtherPIDs tells that a proc filesystem is there, but not that of this process's PID namespace.
	OtherPIDs bool `json:"other_pids,omitempty"`
}

// Observe looks at what stands at a target, an absolute path. It changes nothing. With an empty Info, before /proc is mounted,
// it does with what statx(2) and statfs(2) tell. What is wrong at the target is no error but part of the State; errors are
// about the looking itself, and are of type *Error.
func Observe(target string, info Info) (State, error) {
	s, e := observe(target, info)
	if e != nil {
		return s, e
	}
	return s, nil
}

func observe(target string, info Info) (State, *Error) {
	s := State{Target: target, Path: filepath.Clean(target)}
	failed := func(op string, err error) (State, *Error) {
		e := &Error{Op: op, Target: target, Err: err}
		e.classify()
		return s, e
	}
	if !filepath.IsAbs(target) {
		return failed("look at", unix.EINVAL)
	}
	standing := s.Path
	if !plainFolder(s.Path) {
		st, err := os.Lstat(s.Path)
		switch {
		case err == nil:
			s.Link = st.Mode()&fs.ModeSymlink != 0
		case errors.Is(err, unix.ENOTDIR):
			s.Kind = KindOther
			return s, nil
		case errors.Is(err, unix.ELOOP):
			s.Kind = KindDangling
			return s, nil
		case !errors.Is(err, fs.ErrNotExist):
			return failed("look at", err)
		}

		missing := err != nil
		if s.Path, err = resolve(s.Path); err != nil {
			if errors.Is(err, errDangling) || errors.Is(err, unix.ELOOP) {
				s.Path, s.Kind = filepath.Clean(target), KindDangling
				return s, nil
			}
			if errors.Is(err, unix.ENOTDIR) {
				s.Path, s.Kind = filepath.Clean(target), KindOther
				return s, nil
			}
			return failed("follow the links of", err)
		}
		standing = s.Path
		if missing {
			s.Kind = KindMissing
			if standing, err = nearest(s.Path); err != nil {
				return failed("look at the parents of", err)
			}
		}
		if st, err = os.Stat(standing); err != nil {
			return failed("look at", err)
		}
		if !st.IsDir() {
			s.Kind = KindOther
			return s, nil
		}
	}
	if err := s.lookAtFilesystem(standing); err != nil {
		return failed("ask for the filesystem of", err)
	}
	if s.Kind == KindMissing {
		return s, nil
	}
	s.Kind = KindFolder
	if err := s.lookAtMount(info); err != nil {
		return failed("ask for the mount at", err)
	}
	if s.MountPoint && s.FSType == "proc" {
		self, err := os.Readlink(filepath.Join(s.Path, "self"))
		// Where this process is not in the proc's namespace, the link is there and its goal is not (proc(5)).
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failed("ask for this process in", err)
		}
		s.OtherPIDs = self != strconv.Itoa(os.Getpid())
	}
	return s, nil
}

// plainFolder tells whether a folder stands at a path and no part of the path is a symbolic link, by one walk where several
// looks are needed otherwise. openat2(2) came with Linux 5.6; without it nothing is told.
func plainFolder(path string) bool {
	var fd int
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	err := retry(func() (err error) {
		fd, err = unix.Openat2(unix.AT_FDCWD, path, &how)
		return err
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// lookAtFilesystem asks statfs(2) and access(2) about a folder that exists.
func (s *State) lookAtFilesystem(folder string) error {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(folder, &st) }); err != nil {
		return err
	}
	s.FSType = magicName(int64(st.Type))
	s.ReadOnly = st.Flags&unix.ST_RDONLY != 0
	s.NoDev = st.Flags&unix.ST_NODEV != 0
	// AT_EACCESS, because what counts is what this process may do, not its real user.
	s.Writable = unix.Faccessat(unix.AT_FDCWD, folder, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
	return nil
}

// lookAtMount asks whether the folder is a mount point, and the mount table what is mounted there.
func (s *State) lookAtMount(info Info) error {
	point, id, err := mountAt(s.Path)
	if err != nil {
		return err
	}
	s.MountPoint = point
	for _, e := range info.Below(s.Path) {
		s.Below = append(s.Below, e.Target)
	}
	if !point {
		return nil
	}
	entry, known := info.ByID(id)
	if !known {
		entry, known = info.At(s.Path)
	}
	if known {
		s.FSType, s.Root = entry.FSType, entry.Root
	}
	return nil
}

// mountAt asks the kernel whether a folder is the root of a mount, and for the ID which that has in the mount table; 0 where
// the kernel does not tell.
func mountAt(folder string) (point bool, id int, err error) {
	var here, parent unix.Statx_t
	ask := func(path string, st *unix.Statx_t) error {
		return retry(func() error {
			return unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE|unix.STATX_INO|unix.STATX_MNT_ID, st)
		})
	}
	if err := ask(folder, &here); err != nil {
		return false, 0, err
	}
	if here.Mask&unix.STATX_MNT_ID != 0 {
		id = int(here.Mnt_id)
	}
	// Since Linux 5.8.
	if here.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return here.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, id, nil
	}
	if err := ask(filepath.Dir(folder), &parent); err != nil {
		return false, 0, err
	}
	return crosses(parent, here), id, nil
}

// isMountRoot tells whether a folder is the root of a mount, where the kernel says so in so many words, which it does since
// Linux 5.8.
func isMountRoot(folder string) (point, known bool) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, folder, unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st)
	})
	known = err == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0
	return known && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, known
}

// crosses tells, as mountpoint(1) does, whether a mount begins between a folder and its parent: the device changes, or the
// folder is its own parent, which makes it the root. A bind mount within one filesystem escapes it.
func crosses(parent, folder unix.Statx_t) bool {
	return parent.Dev_major != folder.Dev_major || parent.Dev_minor != folder.Dev_minor || parent.Ino == folder.Ino
}

// resolve follows the symbolic links of a path of which the last parts may be missing.
func resolve(path string) (string, error) {
	full, err := filepath.EvalSymlinks(path)
	if err == nil {
		return full, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		// The kernel's answer has an errno; that of EvalSymlinks about links in a circle has none.
		if _, serr := os.Stat(path); serr != nil {
			err = serr
		}
		return "", err
	}
	// A link that is there, although nothing is where it leads.
	if _, lerr := os.Lstat(path); lerr == nil {
		return "", errDangling
	}
	parent, err := resolve(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

var errDangling = errors.New("dangling symbolic link")

// nearest gives the longest part of a path that exists.
func nearest(path string) (string, error) {
	for {
		_, err := os.Lstat(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return path, err
		}
		path = filepath.Dir(path)
	}
}

// retry repeats a system call that a signal interrupted, which FUSE and network filesystems let happen.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
