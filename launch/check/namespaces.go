package check

import (
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"golang.org/x/sys/unix"
)

// namespace is a kind of namespace that containers get.
type namespace struct {
	name, option, severity, lost string
	flag                         uintptr
}

const everyContainer = "every container"

var namespaces = [...]namespace{
	{"mnt", "CONFIG_NAMESPACES", fatally, everyContainer, unix.CLONE_NEWNS},
	{"uts", "CONFIG_UTS_NS", fatally, everyContainer, unix.CLONE_NEWUTS},
	{"ipc", "CONFIG_IPC_NS", fatally, everyContainer, unix.CLONE_NEWIPC},
	{"pid", "CONFIG_PID_NS", fatally, everyContainer, unix.CLONE_NEWPID},
	{"net", "CONFIG_NET_NS", fatally, "every container but those with --network host", unix.CLONE_NEWNET},
	{"cgroup", "CONFIG_CGROUPS (4.6 and later)", lossy, "cgroup namespaces: start containers with --cgroupns=host", unix.CLONE_NEWCGROUP},
	{"user", "CONFIG_USER_NS", slightly, "--userns-remap and rootless daemons", unix.CLONE_NEWUSER},
}

// tryNamespaces asks the kernel for each namespace, and gives what it answered.
func tryNamespaces() map[string]unix.Errno {
	answers := map[string]unix.Errno{}
	var all uintptr
	for i := range namespaces {
		all |= namespaces[i].flag
	}
	// In the usual case all is well, and one child tells.
	well := cloneInto(all&^unix.CLONE_NEWUSER) == 0
	for i := range namespaces {
		n := &namespaces[i]
		answers[n.name] = 0
		if !well || n.name == "user" {
			answers[n.name] = cloneInto(n.flag)
		}
	}
	return answers
}

// cloneInto clones a child into new namespaces, which ends at once. This process's own threads stay where they are, as they would
// not with unshare(2), and nothing is left. A check has no other children, and nobody but it waits for this one.
func cloneInto(flags uintptr) unix.Errno {
	pid, errno := cloneAndEnd(flags | uintptr(unix.SIGCHLD))
	if errno != 0 {
		return errno
	}
	for {
		_, err := unix.Wait4(int(pid), nil, 0, nil)
		if err != unix.EINTR {
			return 0 // any other answer says that it has been waited for
		}
	}
}

// cloneAndEnd makes no call that the Go runtime would notice: in the child there is nothing of it but this function.
//
//go:noinline
//go:norace
func cloneAndEnd(flags uintptr) (uintptr, unix.Errno) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	for errno == 0 && pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return pid, errno
}

func (b *book) namespaces(f *Facts, remapped bool) {
	for i := range namespaces {
		n := &namespaces[i]
		severity := finding.Severity(n.severity)
		if n.name == "user" && remapped {
			severity = finding.Fatal
		}
		errno, asked := f.Namespaces[n.name]
		how, note, fix := off(severity), "the kernel answered: "+errno.Error(), "build the kernel with "+n.option+"=y"
		switch {
		case !asked || errno == unix.EPERM && f.Host.UID != 0:
			how, note, fix = unknown, "only root may try it", "run the check as root"
		case errno == 0:
			how, note = ok, ""
		case errno == unix.EPERM && n.name == "user":
			fix = "sysctl -w kernel.unprivileged_userns_clone=1 (Debian); in a chroot it is always refused"
		case errno == unix.EPERM:
			fix = "give it CAP_SYS_ADMIN: a container around this one needs --privileged"
		case errno == unix.ENOSPC:
			fix = "sysctl -w user.max_" + n.name + "_namespaces=65536"
		case errno == unix.EINVAL:
			how, note = missing(severity), "the kernel does not know it"
		}
		b.add("kernel.namespace."+n.name, how, note, n.lost, fix)
	}
}
