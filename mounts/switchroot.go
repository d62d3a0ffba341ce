package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// RootSwitch makes a mounted filesystem the root, as switch_root(8) does: what is mounted below / moves along, the new root
// moves onto /, and what the initramfs held is deleted to free its memory.
//
// Nothing is deleted unless the old root is the kernel's rootfs on a ramfs or tmpfs, and never across a mount. The caller
// then executes the init of the new root.
type RootSwitch struct {
	// NewRoot is where the new root is mounted.
	NewRoot string `json:"new_root"`
	// Init is the program that is going to be executed in the new root. It is looked for before anything is changed; empty
	// leaves that out.
	Init string `json:"init,omitempty"`
}

// RootSwitchReport is what a switch came to.
type RootSwitchReport struct {
	Moved   []string `json:"moved,omitempty"`   // mount points that moved along
	Dropped []string `json:"dropped,omitempty"` // mounts that have no place in the new root, and are detached
	Deleted int      `json:"deleted"`           // files and folders of the old root
	// Kept names what of the old root was not deleted, and why.
	Kept []string `json:"kept,omitempty"`
}

// String says in one line what Apply would do.
func (s RootSwitch) String() string {
	return "make the filesystem at " + printable(s.NewRoot) + " the root, and delete what the initramfs holds"
}

// Apply is Switch without the report. There is nothing to keep: with the switch done, NewRoot is not there any more.
func (s RootSwitch) Apply(ctx context.Context) (kept bool, err error) {
	_, err = s.Switch(ctx)
	return false, err
}

// Switch does what is described at RootSwitch. It needs /proc. Before anything is changed it fails with ErrNotMountPoint where
// nothing is mounted at NewRoot, and ErrNoTarget where Init is not an executable file in there.
func (s RootSwitch) Switch(ctx context.Context) (RootSwitchReport, error) {
	var report RootSwitchReport
	if err := ctx.Err(); err != nil {
		return report, err
	}
	info, err := Read()
	if err != nil {
		return report, err
	}
	if err := s.check(info); err != nil {
		return report, err
	}
	if err := makePrivate(info); err != nil {
		return report, err
	}
	old, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return report, rootError("open", err)
	}
	defer unix.Close(old)
	expendable := RootMove{}.Needed(info) && inMemory(old)
	s.moveMounts(&report, info)
	if err := becomeRoot(filepath.Clean(s.NewRoot)); err != nil {
		return report, err
	}
	if !expendable {
		report.Kept = append(report.Kept, "the old root is no initramfs: it is left as it is")
		return report, nil
	}
	d := deletion{report: &report}
	if err := d.begin(old); err != nil {
		report.Kept = append(report.Kept, "all of the initramfs: "+err.Error())
	}
	return report, nil
}

func (s RootSwitch) check(info Info) error {
	failed := func(kind error, detail, advice string) error {
		return &Error{Op: "switch the root", Target: s.NewRoot, Kind: kind, Detail: detail, Lost: "the system does not start", Advice: advice}
	}
	path := filepath.Clean(s.NewRoot)
	if _, ok := info.At(path); !ok || path == "/" {
		return failed(ErrNotMountPoint, "", "mount the new root there first")
	}
	if s.Init == "" {
		return nil
	}
	init, err := resolveIn(path, s.Init)
	if err != nil {
		return failed(ErrNoTarget, "its "+s.Init+": "+err.Error(), "name another init, or another root=")
	}
	st, err := os.Stat(init)
	switch {
	case err != nil:
		return failed(ErrNoTarget, "its "+s.Init+": "+err.Error(), "name another init, or another root=")
	case !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0:
		return failed(ErrNoTarget, "its "+s.Init+" is no executable file", "name another init, or another root=")
	}
	return nil
}

// moveMounts moves what is mounted on the old root into the new one, where the folder for it exists or can be made.
func (s RootSwitch) moveMounts(report *RootSwitchReport, info Info) {
	root, _ := info.root()
	newRoot := filepath.Clean(s.NewRoot)
	for n, e := range info.entries {
		if e.Parent != root.ID || e.ID == root.ID || e.Target == "/" || e.Target == newRoot || !info.visible(n) {
			continue // what is hidden goes with the old root
		}
		if within(newRoot, e.Target) {
			// The new root is mounted below this one, which therefore has to stay until it has moved.
			report.Dropped = append(report.Dropped, e.Target)
			continue
		}
		err := s.moveMount(e.Target, newRoot)
		if err == nil {
			report.Moved = append(report.Moved, e.Target)
			continue
		}
		report.Dropped = append(report.Dropped, fmt.Sprintf("%s (%v)", printable(e.Target), err))
		if err := unix.Unmount(e.Target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			report.Kept = append(report.Kept, fmt.Sprintf("the mount at %s: %v", printable(e.Target), err))
		}
	}
}

func (s RootSwitch) moveMount(target, newRoot string) error {
	goal, err := resolveIn(newRoot, target)
	if errors.Is(err, fs.ErrNotExist) {
		if st, serr := os.Stat(target); serr == nil && st.IsDir() && filepath.Dir(target) == "/" {
			goal = newRoot + target
			err = os.Mkdir(goal, 0o755)
		}
	}
	if err != nil {
		return err
	}
	return unix.Mount(target, goal, "", unix.MS_MOVE, "")
}

// maxLinks is how many symbolic links the kernel follows in one path, see path_resolution(7).
const maxLinks = 40

// resolveIn follows a path as a process would whose root is the folder: absolute links and ".." stay in it.
func resolveIn(root, path string) (string, error) {
	done := "/"
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := filepath.Join(done, part) // ".." of "/" is "/"
		full := filepath.Join(root, next)
		st, err := os.Lstat(full)
		if err != nil {
			return "", err
		}
		if st.Mode()&fs.ModeSymlink == 0 || part == ".." {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", &os.PathError{Op: "follow", Path: full, Err: unix.ELOOP}
		}
		goal, err := os.Readlink(full)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(goal) {
			done = "/"
		}
		rest = append(strings.Split(goal, "/"), rest...)
	}
	return filepath.Join(root, done), nil
}

// inMemory tells whether a folder is on a filesystem that an initramfs can be on.
func inMemory(fd int) bool {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return false
	}
	name := magicName(int64(st.Type))
	return name == "ramfs" || name == "tmpfs"
}

// deletion removes a tree by descriptors, so that no path can lead out of it.
type deletion struct {
	report *RootSwitchReport
	dev    uint64
	mount  uint64 // ID; 0 where the kernel does not tell
}

func (d *deletion) begin(fd int) error {
	mount, dev, err := identity(fd, "")
	if err != nil {
		return err
	}
	d.dev, d.mount = dev, mount
	d.folder(fd, "/")
	return nil
}

// identity gives the mount and the device of what stands at a name in a folder, without following it.
func identity(fd int, name string) (mount, dev uint64, err error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var st unix.Statx_t
	if err := retry(func() error { return unix.Statx(fd, name, flags, unix.STATX_TYPE|unix.STATX_MNT_ID, &st) }); err != nil {
		return 0, 0, err
	}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		mount = st.Mnt_id
	}
	return mount, unix.Mkdev(st.Dev_major, st.Dev_minor), nil
}

func (d *deletion) keep(path string, err error) {
	if len(d.report.Kept) < maxLost {
		d.report.Kept = append(d.report.Kept, printable(path)+": "+err.Error())
	}
}

// folder deletes what is in a folder, which stays itself.
func (d *deletion) folder(fd int, path string) {
	// A second descriptor, because reading moves the first one's offset.
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		d.keep(path, err)
		return
	}
	f := os.NewFile(uintptr(again), path)
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		d.keep(path, err)
	}
	for _, name := range names {
		d.entry(fd, name, filepath.Join(path, name))
	}
}

func (d *deletion) entry(fd int, name, path string) {
	mount, dev, err := identity(fd, name)
	switch {
	case err != nil:
		d.keep(path, err)
		return
	case dev != d.dev || mount != d.mount:
		d.keep(path, errors.New("something is mounted there"))
		return
	}
	err = unix.Unlinkat(fd, name, 0)
	if errors.Is(err, unix.EISDIR) {
		sub, oerr := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if oerr != nil {
			d.keep(path, oerr)
			return
		}
		d.folder(sub, path)
		unix.Close(sub)
		err = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
	}
	if err != nil {
		d.keep(path, err)
		return
	}
	d.report.Deleted++
}
