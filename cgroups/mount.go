package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// MountTmpfs mounts a tmpfs that holds the folders of v1 hierarchies.
type MountTmpfs struct {
	Target string `json:"target"`
	Meaning
}

// String says in one line what Apply does.
func (a MountTmpfs) String() string { return "mount a tmpfs at " + a.Target }

// Apply mounts it. A writable tmpfs is kept.
func (a MountTmpfs) Apply(ctx context.Context) (bool, error) {
	call := mountCall{source: "tmpfs", target: a.Target, fstype: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, data: "mode=755"}
	m, err := call.before(ctx)
	if err != nil {
		return false, call.error(err, a.Lost)
	}
	if m != nil && m.FSType == "tmpfs" {
		if readOnly(m) {
			e := call.error(nil, a.Lost)
			e.Kind, e.Advice = ErrReadOnly, "remount it with the option rw"
			return false, e
		}
		return true, nil
	}
	if m != nil {
		return false, call.foreign(m, a.Lost)
	}
	if err := call.do(); err != nil {
		return false, call.error(err, a.Lost)
	}
	return false, nil
}

// MountV2 mounts cgroup2.
type MountV2 struct {
	Target string `json:"target"`
	// Options are mount options in the order in which they are given up where the kernel does not know them, the last first.
	// They hold for the whole system, and the kernel ignores them on mounts outside of the initial cgroup namespace.
	Options []string `json:"options,omitempty"`
	Meaning
}

// String says in one line what Apply does.
func (a MountV2) String() string {
	text := "mount cgroup2 at " + a.Target
	if len(a.Options) > 0 {
		text += " with " + strings.Join(a.Options, ", ")
	}
	return text
}

// Apply mounts it. A cgroup2 that is there is kept with the options it has.
func (a MountV2) Apply(ctx context.Context) (bool, error) {
	call := mountCall{source: fsV2, target: a.Target, fstype: fsV2, flags: safeFlags}
	m, err := call.before(ctx)
	if err != nil {
		return false, call.error(err, a.Lost)
	}
	if m != nil && m.FSType == fsV2 {
		return true, nil
	}
	// The empty tmpfs that some runtimes leave there may be covered.
	if m != nil && (m.FSType != "tmpfs" || hasFolders(a.Target)) {
		return false, call.foreign(m, a.Lost)
	}
	return false, call.mountV2(a.Options, a.Lost)
}

// mountV2 mounts cgroup2 with as many of the options as the kernel takes.
func (c mountCall) mountV2(list []string, lost string) error {
	for {
		c.data = strings.Join(list, ",")
		err := c.do()
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINVAL) || len(list) == 0 {
			e := c.error(err, lost)
			switch {
			case errors.Is(err, unix.EPERM):
				e.Advice = "mounting needs CAP_SYS_ADMIN: start the container with --privileged"
			case errors.Is(err, unix.ENODEV):
				e.Kind, e.Advice = ErrNoCgroups, "use a kernel with CONFIG_CGROUPS, 4.15 or later"
			}
			return e
		}
		list = list[:len(list)-1]
	}
}

// MountV1 mounts a v1 hierarchy, which the kernel makes where there is none with these controllers yet.
type MountV1 struct {
	Target string `json:"target"`
	// Controllers are those of the hierarchy, with name=NAME among them where it has a name.
	Controllers []string `json:"controllers"`
	Meaning
}

// String says in one line what Apply does.
func (a MountV1) String() string {
	return "mount the cgroup v1 hierarchy " + strings.Join(a.Controllers, ",") + " at " + a.Target
}

// data are the mount options; a hierarchy that has only a name has to say that it wants no controllers.
func (a MountV1) data() string {
	list := strings.Join(a.Controllers, ",")
	if !slices.ContainsFunc(a.Controllers, func(c string) bool { return !strings.HasPrefix(c, "name=") }) {
		list = "none," + list
	}
	return list
}

// Apply mounts it. The same hierarchy is kept, and another one at the target is an ErrForeign. That the kernel makes no new
// hierarchies in a cgroup namespace is an ErrNamespace, that another hierarchy has a controller an ErrBusy, and that there is no
// such controller for v1 an ErrNoController.
func (a MountV1) Apply(ctx context.Context) (bool, error) {
	call := mountCall{source: fsV1, target: a.Target, fstype: fsV1, flags: safeFlags, data: a.data()}
	m, err := call.before(ctx)
	if err != nil {
		return false, call.error(err, a.Lost)
	}
	if m != nil {
		have := options(m.VFSOptions)
		for _, c := range a.Controllers {
			if m.FSType != fsV1 || !slices.Contains(have, c) {
				return false, call.foreign(m, a.Lost)
			}
		}
		return true, nil
	}
	if err := call.do(); err != nil {
		// The folder would be taken for a hierarchy by those who list the root.
		_ = os.Remove(a.Target)
		return false, a.explain(call, err)
	}
	return false, nil
}

// explain says what an errno of mounting a v1 hierarchy is about.
func (a MountV1) explain(call mountCall, err error) error {
	e := call.error(err, a.Lost)
	switch {
	case errors.Is(err, unix.EPERM):
		ns, lerr := os.Readlink("/proc/thread-self/ns/cgroup")
		if lerr == nil && ns != initialNamespace {
			e.Kind = ErrNamespace
			e.Detail = "the kernel makes new v1 hierarchies in the initial cgroup namespace only"
			e.Advice = "mount it on the host first"
			break
		}
		e.Advice = "mounting needs CAP_SYS_ADMIN: start the container with --privileged"
	case errors.Is(err, unix.EBUSY):
		e.Kind = ErrBusy
		e.Detail, e.Advice = a.whereElse()
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		e.Kind = ErrNoController
		e.Advice = "the kernel does not have it for cgroup v1: look for cgroup_no_v1= and cgroup_disable= on its command line"
		for _, c := range a.Controllers {
			if k := knowV1(c); k.optionV1 != "" {
				e.Advice += ", and for " + k.optionV1 + " in its configuration"
			}
		}
	case errors.Is(err, unix.ENODEV):
		e.Kind, e.Advice = ErrNoCgroups, "use a kernel with CONFIG_CGROUPS and cgroup v1"
	}
	return e
}

// whereElse says who has the controllers that are busy.
func (a MountV1) whereElse() (detail, advice string) {
	// What cannot be read now leaves the errno without its explanation.
	rows, _ := parseFile("/proc/cgroups", ParseControllers)
	var words []string
	for _, c := range a.Controllers {
		i := slices.IndexFunc(rows, func(r Controller) bool { return r.Name == c })
		switch {
		case i < 0:
		case rows[i].Hierarchy == 0:
			words = append(words, c+" is in use by cgroup v2")
		default:
			words = append(words, fmt.Sprintf("%s is in the v1 hierarchy %d, which is composed differently", c, rows[i].Hierarchy))
		}
	}
	return strings.Join(words, ", "), "use the version that has it, or boot without the one that holds it"
}

// mountCall is a mount that is about to be tried.
type mountCall struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

// before makes the target folder where it is missing and returns what is mounted there, nil where nothing is.
func (c mountCall) before(ctx context.Context) (*mountinfo.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := mountedAt(c.target)
	if err != nil || m != nil {
		return m, err
	}
	return nil, os.MkdirAll(c.target, 0o755)
}

// mountedAt reads the mount table of now.
func mountedAt(target string) (*mountinfo.Info, error) {
	table, err := readTable(Paths{}.in(Paths{}.self() + "/mountinfo"))
	if err != nil {
		return nil, err
	}
	return at(table, target), nil
}

func (c mountCall) do() error {
	for {
		err := unix.Mount(c.source, c.target, c.fstype, c.flags, c.data)
		if err != unix.EINTR {
			return err
		}
	}
}

// error makes the Error of the call, or fills in the one that is at hand.
func (c mountCall) error(err error, lost string) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Lost = lost
		return e
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return &Error{Op: pe.Op, Path: pe.Path, Err: pe.Err, Lost: lost, Advice: "mount something writable above it, or make the folder in the image"}
	}
	return &Error{Op: "mount", Path: c.target, Source: c.source, FSType: c.fstype, Flags: c.flags, Data: c.data, Err: err, Lost: lost}
}

func (c mountCall) foreign(m *mountinfo.Info, lost string) *Error {
	e := c.error(nil, lost)
	e.Kind = ErrForeign
	e.Detail = "a " + m.FSType + " with the options " + m.VFSOptions
	e.Advice = "unmount it first"
	return e
}
