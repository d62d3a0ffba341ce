package cgroups

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// What an Error is about, for errors.Is.
var (
	// ErrNoCgroups: the kernel was built without cgroups.
	ErrNoCgroups = errors.New("the kernel has no cgroups")
	// ErrNothingMounted: nothing is mounted, and it is not on this process to mount it.
	ErrNothingMounted = errors.New("no cgroup hierarchy is mounted")
	// ErrOtherVersion: another version than the one that was asked for is mounted.
	ErrOtherVersion = errors.New("another cgroup version is mounted")
	// ErrSingleMount: all v1 controllers are in one hierarchy that is mounted at the root itself.
	ErrSingleMount = errors.New("all cgroup v1 controllers are in one mount")
	// ErrForeign: something that does not belong there stands at a path.
	ErrForeign = errors.New("something else stands there")
	// ErrReadOnly: a hierarchy is mounted read-only.
	ErrReadOnly = errors.New("mounted read-only")
	// ErrNoController: the kernel does not offer a controller.
	ErrNoController = errors.New("the controller is not available")
	// ErrNamespace: the kernel allows it in the initial cgroup namespace only.
	ErrNamespace = errors.New("not possible in a cgroup namespace")
	// ErrBusy: the kernel says that something is in use.
	ErrBusy = errors.New("in use")
	// ErrStuck: processes stay in a cgroup that has to be empty; Error.Stuck names them.
	ErrStuck = errors.New("processes stay in the cgroup")
	// ErrThreaded: the cgroup is part of a threaded subtree, which cannot have controllers such as memory.
	ErrThreaded = errors.New("the cgroup is part of a threaded subtree")
	// ErrHost: the cgroup is the host's, and not for a container to change.
	ErrHost = errors.New("the cgroup belongs to the host")
)

// Error tells what was tried, what the kernel answered, what is lost by that and what can be done.
type Error struct {
	Op     string // mount, unmount, mkdir, symlink, read, write, move, unshare, or plan where a plan cannot be made
	Path   string
	Source string
	FSType string
	Flags  uintptr // of mount(2)
	Data   string  // mount options, or what was written
	Kind   error   // one of the Err variables, or nil
	Err    error   // the kernel's answer, if it was asked
	Detail string  // what is known beyond that
	Lost   string
	Advice string
	Stuck  []Process // with ErrStuck
}

// Error puts all of it on one line.
func (e *Error) Error() string {
	var b strings.Builder
	switch e.Op {
	case "mount":
		fmt.Fprintf(&b, "mount -t %s", e.FSType)
		if o := joinOptions(flagNames(e.Flags), e.Data); o != "" {
			fmt.Fprintf(&b, " -o %s", o)
		}
		fmt.Fprintf(&b, " %s %s", e.Source, e.Path)
	case "write":
		fmt.Fprintf(&b, "write %q to %s", e.Data, e.Path)
	case "plan":
		b.WriteString("cgroups")
		if e.Path != "" {
			b.WriteString(" at " + e.Path)
		}
	default:
		b.WriteString(strings.TrimSuffix(e.Op+" "+e.Path, " "))
	}
	for _, part := range []error{e.Kind, e.Err} {
		if part != nil {
			fmt.Fprintf(&b, ": %v", part)
		}
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if len(e.Stuck) > 0 {
		b.WriteString(": " + describeAll(e.Stuck))
	}
	if e.Lost != "" {
		b.WriteString("; lost: " + e.Lost)
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// Unwrap gives Kind and Err to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var list []error
	for _, part := range []error{e.Kind, e.Err} {
		if part != nil {
			list = append(list, part)
		}
	}
	return list
}

// Warning is something that the plan cannot give.
type Warning struct {
	What   string `json:"what"`
	Lost   string `json:"lost,omitempty"`
	Advice string `json:"advice,omitempty"`
}

// String puts it on one line.
func (w Warning) String() string {
	text := w.What
	if w.Lost != "" {
		text += "; lost: " + w.Lost
	}
	if w.Advice != "" {
		text += "; " + w.Advice
	}
	return text
}

// safeFlags are those of every cgroup mount: nothing below it is a program or a device. relatime is what the kernel does by
// default, and is written down for those who compare mounts.
const safeFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME

func flagNames(flags uintptr) string {
	var names []string
	for _, f := range []struct {
		bit  uintptr
		name string
	}{
		{unix.MS_RDONLY, "ro"}, {unix.MS_NOSUID, "nosuid"}, {unix.MS_NODEV, "nodev"},
		{unix.MS_NOEXEC, "noexec"}, {unix.MS_RELATIME, "relatime"},
	} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
			flags &^= f.bit
		}
	}
	if flags != 0 {
		names = append(names, fmt.Sprintf("%#x", flags))
	}
	return strings.Join(names, ",")
}

func joinOptions(parts ...string) string {
	var list []string
	for _, p := range parts {
		if p != "" {
			list = append(list, p)
		}
	}
	return strings.Join(list, ",")
}
