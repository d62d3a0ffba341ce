package cgroups

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// adviceParent is for containers that cannot get a cgroup namespace of their own.
const adviceParent = "start the container with --cgroupns=private, or give the container manager --cgroup-parent with the " +
	"container's own cgroup"

// Unshare gives the calling thread a cgroup namespace whose root is the cgroup it is in, so that what it mounts afterwards shows
// no more than that.
type Unshare struct {
	Meaning
}

// String says in one line what Apply does.
func (a Unshare) String() string { return "enter a cgroup namespace of its own" }

// Apply calls unshare(2) with CLONE_NEWCGROUP. It is kept where the thread's cgroups are the roots of its namespace. The caller
// has to have locked its goroutine to the thread; the lock is taken once more and not given back, so that no other goroutine
// gets the thread.
func (a Unshare) Apply(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	list, err := parseFile(Paths{}.in(Paths{}.self()+"/cgroup"), ParseMembership)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(list, func(m Membership) bool { return m.Path != "/" }) {
		return true, nil
	}
	return false, unshare(a.Lost)
}

func unshare(lost string) error {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWCGROUP)
	if err == nil {
		return nil
	}
	runtime.UnlockOSThread()
	e := &Error{Op: "unshare", Path: "CLONE_NEWCGROUP", Err: err, Lost: lost, Advice: adviceParent}
	switch {
	case errors.Is(err, unix.EPERM):
		e.Detail = "it needs CAP_SYS_ADMIN"
	case errors.Is(err, unix.EINVAL):
		e.Detail = "cgroup namespaces came with Linux 4.6"
	}
	return e
}
