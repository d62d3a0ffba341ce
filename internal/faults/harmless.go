//go:build linux && amd64

package faults

import (
	"regexp"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// harmless is a kind of fault that nobody needs to be told of, and why. The launcher may tell all the same, and has to end
// rightly in any case.
type harmless struct {
	call   string // a regular expression for the whole name
	on     string // one for what it is on
	errnos []syscall.Errno
	nth    bool // only where a later occurrence of the operation works
	child  bool
	plan   bool // only where nothing but a plan is made
	why    string
}

const looking = "newfstatat|statx|statfs|readlinkat|faccessat2?|openat|read|connect|ioctl|fstatfs"

var harmlessFaults = []harmless{
	{call: looking, on: "[^ ]*", errnos: []syscall.Errno{unix.ENOENT}, why: "what is not there is one of the facts that the plan is made from"},
	{call: looking, on: ".*", nth: true, why: "it is looked at again, and what is seen last counts"},
	{call: "fstat", on: ".*", why: "package os asks how much there is to be read, and reads without the answer"},
	{call: "close", on: "/(proc|sys)/.*|/etc/group|/dev/null|/certs.*|/usr/share/.*|/lib/.*|/boot.*|pipe|socket.*|.*pidfd.*", why: "nothing was written to it that a close could lose"},
	{call: "call 437|openat2", on: ".*", why: "kernels before 5.6 lack it, and the folder is looked at in other ways"},
	{call: "close", on: "/|/(dev|proc|run|sys|tmp)|/dev/(mqueue|pts|shm)|/sys/(fs/bpf|kernel/security)|/var/lib/docker", why: "a folder was only looked at"},
	{call: "openat|getdents64", on: "/(dev|proc|run|sys|tmp)|/dev/(mqueue|pts|shm)|/sys/(fs/bpf|kernel/security)",
		why: "a folder to mount on that cannot be listed counts as one that is not empty, and the mount table is read"},
	{call: "newfstatat", on: "/sys/fs/cgroup/.*|/run/dockerlaunch.*|(/var)?/run/docker.*|/certs.*", why: "package os looks before mkdirat(2) and renameat(2), which answer for themselves"},
	{call: "newfstatat|faccessat|readlinkat", on: "/usr/(local/)?(bin|sbin|lib|libexec)/.*", why: "a program is looked for in all its places, as a shell does; what is found in none of them is told"},
	{call: "newfstatat", on: "/usr/etc/ssl/certs/ca-certificates.crt", why: "it is the spare where /etc has no certificates"},
	{call: "faccessat2", on: "/|/(dev|proc|run|sys).*", why: "only the data-root and /tmp have to be writable beforehand"},
	{call: "faccessat", on: "/etc.*|/usr/lib.*", why: "whether a folder is writable counts only where a file in it is missing, and making that tells"},
	{call: "newfstatat", on: "/dev/(console|kmsg)", why: "they reach past a container, which needs none"},
	{call: "openat", on: "/etc/localtime", why: "the times of messages are then UTC"},
	{call: "prlimit64", on: "get 7", why: "package syscall asks at its start, and leaves the limit as it is"},
	{call: "close_range", on: "", child: true, why: "kernels before 5.11 lack it, and what the launcher opens is close-on-exec"},
	{call: "ioctl", on: "descriptor 0 0x5410", errnos: []syscall.Errno{unix.EINVAL}, child: true, why: "stdin is no terminal"},
	{call: "ioctl", on: "descriptor [012] 0x5401", why: "it is no terminal"},
	{call: "prctl", on: "23", errnos: []syscall.Errno{unix.EINVAL}, why: "the kernel's answer for a capability past its last"},
	{call: "mount", on: "/dev devtmpfs", errnos: []syscall.Errno{unix.ENODEV}, why: "a kernel without devtmpfs gets a tmpfs with the nodes in it"},
	{call: "newfstatat", on: "/proc/thread-self/mountinfo", why: "kernels before 3.17 have no thread-self, and /proc/self is read instead"},
	{call: "openat|read", on: "/proc/1/cgroup", why: "PID 1 may be hidden (hidepid=2)"},
	{call: "openat", on: "/proc/net/(ip|ip6|arp)_tables_names", errnos: []syscall.Errno{unix.EACCES}, why: "the kernel shows them to a namespace's own root alone"},
	{call: "newfstatat", on: "/sys/kernel/cgroup/delegate", why: "kernels before 4.15 lack it, and their list is known"},
	{call: "unlinkat", on: ".*/containerd/containerd.*", nth: true, why: "package os tries rmdir(2) where unlink(2) fails, and that says that nothing is there"},
	{call: "readlinkat", on: "/run/dockerlaunch/iptables/.*", why: "a link that cannot be read is made anew"},
	{call: "statx", on: "/", why: "where it is not known whether / is shared, it is shared again"},
	{call: "unlinkat", on: "(/var)?/run/docker.sock", why: "a socket that is left behind is replaced by the next start, and one that stands in the way of that is told"},
	{call: "readlinkat", on: "/var/run", why: "whether it is the same folder as /run is asked in another way too"},
	{call: "connect", on: ".*/containerd.sock", why: "dockerd waits for the socket itself, and tells where it cannot have it"},
	{call: "execve", on: "", errnos: []syscall.Errno{unix.ENOENT}, why: "no program lies at the empty path, which makes package syscall put back the limit of open files"},
	{call: "newfstatat|openat|read|getdents64", on: "/sys/module/.*|/lib/modules.*|/boot.*|/proc/(config.gz|1/maps|net/ip6?_tables_names)",
		why: "the kernel's features are looked at in several places to say more of what is missing, and what cannot be read stays unknown"},
	{call: "openat|read|readlinkat", on: "/proc/(1|self)/(maps|exe)", why: "pages that are not given back cost memory and nothing else, and messages for debugging tell"},
	{call: "openat|getdents64", on: "/proc/1/ns", why: "namespaces that cannot be listed are not judged, and starting a container tells"},
	{call: "openat|getdents64", on: "/var/lib/docker/(overlay2|fuse-overlayfs|btrfs|zfs|devicemapper|aufs|overlay)",
		why: "dockerd looks itself for the data of other storage drivers, and tells"},
	{call: "openat|getdents64", on: "/sys/fs/cgroup/[a-z]*", why: "a hierarchy that cannot be listed counts as one in use, and is left as it is"},
	{call: "newfstatat|readlinkat", on: "/dev/.*", plan: true, why: "what is not seen in /dev is planned to be made, and making it tells"},
	{call: "openat|read", on: "(/run/dockerlaunch/dockerd-version.json|/usr/share/dockerlaunch/dockerd-version)", why: "the daemon is asked for its version again"},
	{call: "write", on: "descriptor [12]", why: "there is nowhere to tell it"},
	{call: "write", on: ".*eventfd.*", why: "it wakes the runtime's poller, which has more occasions"},
}

// Harmless tells why nobody needs to be told of a fault; "" where somebody does. plan tells that the launcher only makes a plan.
func Harmless(f Fault, plan bool) string {
	for _, h := range harmlessFaults {
		if h.child == f.Op.Child && (!h.plan || plan) && (!h.nth || f.Nth > 0) && (h.errnos == nil || slices.Contains(h.errnos, f.Errno)) &&
			regexp.MustCompile("^("+h.call+")$").MatchString(f.Op.Call) && regexp.MustCompile("^("+h.on+")$").MatchString(f.Op.On) {
			return h.why
		}
	}
	return ""
}
