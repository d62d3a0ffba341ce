package cgroups

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Reroot gives the calling thread a cgroup namespace whose root is the cgroup it is in, as Unshare does, and replaces the mounted
// cgroup2 by one that shows this cgroup as its root. It is for containers that were given the cgroup namespace of their host.
type Reroot struct {
	Target string `json:"target"`
	// Leaf is the name of the cgroup that Evacuate moves to: a process in it is where it belongs.
	Leaf string `json:"leaf"`
	Meaning
}

// String says in one line what Apply does.
func (a Reroot) String() string {
	return "enter a cgroup namespace of its own and mount cgroup2 at " + a.Target + " anew"
}

// Apply does it, with what Unshare says about threads. It is kept where the mount shows the root of the namespace and the
// process is in it. What can fail is tried before the old mount is touched.
func (a Reroot) Apply(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	// From here on everything is about this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := Observe(Paths{Root: a.Target})
	if err != nil {
		return false, withLost(err, a.Lost)
	}
	if f.OwnRoot(a.Leaf) {
		return true, nil
	}
	call := mountCall{source: fsV2, target: a.Target, fstype: fsV2, flags: safeFlags}
	if f.Mode != V2 {
		e := call.error(nil, a.Lost)
		e.Kind, e.Detail = ErrForeign, "no cgroup2 is mounted there to be replaced"
		return false, e
	}
	if f.UnifiedPath() != "/" {
		if err := unshare(a.Lost); err != nil {
			return false, err
		}
	}
	return false, call.replaceV2(a.Lost)
}

// replaceV2 puts a new mount of cgroup2 in the place of the one that is there. The new one cannot be mounted over the old one
// first, since the kernel refuses the same filesystem at its own root (EBUSY); so it is made unattached where the kernel has
// fsmount(2), from Linux 5.2 on. Mount options are for the initial namespace only, so there are none.
func (c mountCall) replaceV2(lost string) error {
	fd, err := c.unattached()
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return c.stays(err, lost)
	}
	if err == nil {
		// The mount lives on where it is attached; close(2) has nothing to report.
		defer func() { _ = unix.Close(fd) }()
	}
	old := err
	// Processes of the runtime may have files in the old one open. Detached, it goes when they are done.
	if err := unix.Unmount(c.target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return &Error{Op: "unmount", Path: c.target, FSType: fsV2, Err: err, Lost: lost, Advice: adviceParent}
	}
	if old != nil {
		err = c.do()
	} else {
		err = unix.MoveMount(fd, "", unix.AT_FDCWD, c.target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err != nil {
		e := c.error(err, lost)
		e.Detail, e.Advice = "the mount that was there is gone", "start the container again with --cgroupns=private"
		return e
	}
	return nil
}

func (c mountCall) stays(err error, lost string) error {
	e := c.error(err, lost)
	e.Detail, e.Advice = "the mount that was there is kept", adviceParent
	return e
}

// unattached makes a mount that is nowhere yet.
func (c mountCall) unattached() (fd int, err error) {
	fs, err := unix.Fsopen(c.fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigSetString(fs, "source", c.source); err != nil {
		return -1, fmt.Errorf("fsconfig source: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("fsconfig create: %w", err)
	}
	const attributes = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_RELATIME
	if fd, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes); err != nil {
		return -1, fmt.Errorf("fsmount: %w", err)
	}
	return fd, nil
}
