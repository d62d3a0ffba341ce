package check

import (
	"errors"
	"syscall"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"golang.org/x/sys/unix"
)

// namespace is a kind of namespace that containers get.
type namespace struct {
	name, option, lost string
	flag               uintptr
	severity           finding.Severity
}

func namespaces() []namespace {
	const every = "every container"
	return []namespace{
		{"mnt", "CONFIG_NAMESPACES", every, unix.CLONE_NEWNS, finding.Fatal},
		{"uts", "CONFIG_UTS_NS", every, unix.CLONE_NEWUTS, finding.Fatal},
		{"ipc", "CONFIG_IPC_NS", every, unix.CLONE_NEWIPC, finding.Fatal},
		{"pid", "CONFIG_PID_NS", every, unix.CLONE_NEWPID, finding.Fatal},
		{"net", "CONFIG_NET_NS", "every container but those with --network host", unix.CLONE_NEWNET, finding.Fatal},
		{"cgroup", "CONFIG_CGROUPS, from Linux 4.6 on", "cgroup namespaces, which containers have on cgroup v2: start them with --cgroupns=host", unix.CLONE_NEWCGROUP, finding.Degraded},
		{"user", "CONFIG_USER_NS", "--userns-remap and rootless daemons", unix.CLONE_NEWUSER, finding.Info},
	}
}

// tryNamespaces asks the kernel for each namespace: a child is cloned into it, and ends when the program that it executes is not
// there. Nothing of it is left, and this process's own threads stay where they are, as they would not with unshare(2).
func tryNamespaces() map[string]error {
	answers := map[string]error{}
	all := uintptr(0)
	for _, n := range namespaces() {
		all |= n.flag
	}
	// In the usual case all is well, and one child tells.
	if err := cloneInto(all &^ unix.CLONE_NEWUSER); err == nil {
		all = unix.CLONE_NEWUSER
	}
	for _, n := range namespaces() {
		answers[n.name] = nil
		if all&n.flag != 0 {
			answers[n.name] = cloneInto(n.flag)
		}
	}
	return answers
}

// cloneInto is nil where a process can be cloned into new namespaces. The one child that is started here is waited for by
// ForkExec itself, since its program is not there.
func cloneInto(flags uintptr) error {
	_, err := syscall.ForkExec("", []string{""}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: flags}})
	if errors.Is(err, unix.ENOENT) {
		return nil // of execve(2): the clone went well
	}
	return err
}

func namespaceFindings(r Request, f *Facts) []finding.Finding {
	remapped := f.conditions(r).UserNS
	var list []finding.Finding
	for _, n := range namespaces() {
		out := finding.Finding{ID: "kernel.namespace." + n.name, Area: finding.Kernel, Status: finding.OK, Severity: n.severity}
		if n.name == "user" && remapped {
			out.Severity = finding.Fatal
		}
		err, asked := f.Namespaces[n.name]
		switch {
		case !asked:
			out.Status, out.Note = finding.Unknown, "not tried"
		case err == nil:
		case errors.Is(err, unix.EPERM) && f.Host.UID != 0:
			out.Status, out.Severity, out.Note = finding.Unknown, finding.Info, "only root may try it; run the check as root"
		case errors.Is(err, unix.EPERM) && n.name == "user":
			out.Status, out.Lost, out.Note = finding.Disabled, n.lost, "the kernel answered: "+err.Error()
			out.Fix = "sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in a chroot it is always refused"
		case errors.Is(err, unix.EPERM):
			out.Status, out.Lost, out.Note = finding.Disabled, n.lost, "the kernel answered: "+err.Error()+", so that CAP_SYS_ADMIN is missing or a filter of system calls forbids it"
			out.Fix = "start the container around this one with --privileged"
		case errors.Is(err, unix.ENOSPC):
			out.Status, out.Lost, out.Note = finding.Disabled, n.lost, "the limit of such namespaces is used up"
			out.Fix = "sysctl user.max_" + n.name + "_namespaces=65536"
		case errors.Is(err, unix.EINVAL):
			out.Status, out.Lost, out.Note = finding.Missing, n.lost, "the kernel does not know it"
			out.Fix = "build the kernel with " + n.option + "=y"
		default:
			out.Status, out.Lost, out.Note = finding.Missing, n.lost, "the kernel answered: "+err.Error()
			out.Fix = "build the kernel with " + n.option + "=y"
		}
		list = append(list, out)
	}
	return list
}
