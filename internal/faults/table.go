//go:build linux && amd64

package faults

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownCalls are left out: they are the Go runtime's, which ends the program where they fail and cannot be told otherwise
// (memory, threads, futexes, timers, the network poller, signal handlers), or they cannot fail, as their manual pages say.
var ownCalls = map[uint64]bool{
	unix.SYS_FUTEX: true, unix.SYS_MMAP: true, unix.SYS_MUNMAP: true, unix.SYS_MADVISE: true, unix.SYS_MPROTECT: true, unix.SYS_BRK: true,
	unix.SYS_ARCH_PRCTL: true, unix.SYS_SET_TID_ADDRESS: true, unix.SYS_SET_ROBUST_LIST: true, unix.SYS_RSEQ: true,
	unix.SYS_RT_SIGACTION: true, unix.SYS_RT_SIGPROCMASK: true, unix.SYS_RT_SIGRETURN: true, unix.SYS_SIGALTSTACK: true,
	unix.SYS_TGKILL: true, unix.SYS_SCHED_YIELD: true, unix.SYS_SCHED_GETAFFINITY: true, unix.SYS_NANOSLEEP: true, unix.SYS_TIMER_CREATE: true,
	unix.SYS_TIMER_SETTIME: true, unix.SYS_TIMER_DELETE: true, unix.SYS_SETITIMER: true, unix.SYS_RESTART_SYSCALL: true,
	unix.SYS_EPOLL_CREATE1: true, unix.SYS_EPOLL_CTL: true, unix.SYS_EPOLL_PWAIT: true, unix.SYS_EVENTFD2: true,
	unix.SYS_GETPID: true, unix.SYS_GETTID: true, unix.SYS_GETPPID: true, unix.SYS_GETUID: true, unix.SYS_GETEUID: true, unix.SYS_GETGID: true, unix.SYS_GETEGID: true,
	unix.SYS_EXIT: true, unix.SYS_EXIT_GROUP: true, unix.SYS_UMASK: true, unix.SYS_CLOCK_GETTIME: true,
}

var shapes = map[uint64]shape{
	unix.SYS_OPENAT: {"openat", opened}, unix.SYS_NEWFSTATAT: {"newfstatat", at(1)}, unix.SYS_READLINKAT: {"readlinkat", at(1)},
	unix.SYS_STATX: {"statx", at(1)}, unix.SYS_MKDIRAT: {"mkdirat", at(1)}, unix.SYS_UNLINKAT: {"unlinkat", at(1)}, unix.SYS_MKNODAT: {"mknodat", at(1)}, unix.SYS_MKNOD: {"mknod", pathArg(0)},
	unix.SYS_SYMLINKAT: {"symlinkat", at(2)}, unix.SYS_RENAMEAT: {"renameat", at(1)}, unix.SYS_RENAMEAT2: {"renameat2", at(1)}, unix.SYS_LINKAT: {"linkat", at(3)},
	unix.SYS_FACCESSAT: {"faccessat", at(1)}, unix.SYS_FACCESSAT2: {"faccessat2", at(1)}, unix.SYS_FCHMODAT: {"fchmodat", at(1)},
	unix.SYS_FCHOWNAT: {"fchownat", at(1)}, unix.SYS_UTIMENSAT: {"utimensat", at(1)}, unix.SYS_STATFS: {"statfs", pathArg(0)},
	unix.SYS_MOUNT: {"mount", mounted}, unix.SYS_UMOUNT2: {"umount2", pathArg(0)}, unix.SYS_CHDIR: {"chdir", pathArg(0)}, unix.SYS_EXECVE: {"execve", pathArg(0)},
	unix.SYS_ACCESS: {"access", pathArg(0)}, unix.SYS_GETXATTR: {"getxattr", pathArg(0)}, unix.SYS_LGETXATTR: {"lgetxattr", pathArg(0)}, unix.SYS_CHMOD: {"chmod", pathArg(0)},
	unix.SYS_CHOWN: {"chown", pathArg(0)}, unix.SYS_GETCWD: {"getcwd", none},
	unix.SYS_READ: {"read", withFile}, unix.SYS_WRITE: {"write", withFile}, unix.SYS_PREAD64: {"pread64", file(0)}, unix.SYS_PWRITE64: {"pwrite64", file(0)},
	unix.SYS_FSTAT: {"fstat", file(0)}, unix.SYS_GETDENTS64: {"getdents64", file(0)}, unix.SYS_FTRUNCATE: {"ftruncate", file(0)}, unix.SYS_FSYNC: {"fsync", file(0)},
	unix.SYS_FCHMOD: {"fchmod", file(0)}, unix.SYS_FCHOWN: {"fchown", file(0)}, unix.SYS_CLOSE: {"close", file(0)}, unix.SYS_LSEEK: {"lseek", file(0)},
	unix.SYS_FSTATFS: {"fstatfs", file(0)}, unix.SYS_FLOCK: {"flock", file(0)}, unix.SYS_IOCTL: {"ioctl", fileAnd(1)}, unix.SYS_FCNTL: {"fcntl", marked},
	unix.SYS_COPY_FILE_RANGE: {"copy_file_range", file(2)}, unix.SYS_SENDFILE: {"sendfile", file(0)}, unix.SYS_SPLICE: {"splice", file(2)}, unix.SYS_DUP3: {"dup3", number(1)},
	unix.SYS_CLOSE_RANGE: {"close_range", none},
	unix.SYS_SOCKET:      {"socket", func(c *call) string { return fmt.Sprintf("family %d type %d", c.args[0], c.args[1]&0xf) }},
	unix.SYS_BIND:        {"bind", func(c *call) string { return c.address(1, 2) }}, unix.SYS_CONNECT: {"connect", func(c *call) string { return c.address(1, 2) }},
	unix.SYS_LISTEN: {"listen", file(0)}, unix.SYS_SENDTO: {"sendto", file(0)}, unix.SYS_SENDMSG: {"sendmsg", file(0)}, unix.SYS_RECVFROM: {"recvfrom", file(0)},
	unix.SYS_RECVMSG: {"recvmsg", file(0)}, unix.SYS_GETSOCKNAME: {"getsockname", file(0)}, unix.SYS_SETSOCKOPT: {"setsockopt", fileAnd(2)},
	unix.SYS_GETSOCKOPT: {"getsockopt", fileAnd(2)}, unix.SYS_ACCEPT4: {"accept4", file(0)}, unix.SYS_SHUTDOWN: {"shutdown", file(0)},
	unix.SYS_PIPE2: {"pipe2", none}, unix.SYS_PRCTL: {"prctl", asked}, unix.SYS_PRLIMIT64: {"prlimit64", limited}, unix.SYS_CAPGET: {"capget", none}, unix.SYS_GETRLIMIT: {"getrlimit", number(0)},
	unix.SYS_CAPSET: {"capset", none}, unix.SYS_UNAME: {"uname", none}, unix.SYS_UNSHARE: {"unshare", number(0)}, unix.SYS_CLONE: {"clone", forked}, unix.SYS_CLONE3: {"clone3", none},
	unix.SYS_WAIT4: {"wait4", none}, unix.SYS_WAITID: {"waitid", none}, unix.SYS_SETSID: {"setsid", none}, unix.SYS_SETPGID: {"setpgid", none}, unix.SYS_SETHOSTNAME: {"sethostname", none},
	unix.SYS_SYSINFO: {"sysinfo", none}, unix.SYS_GETRANDOM: {"getrandom", none}, unix.SYS_POLL: {"poll", none}, unix.SYS_PPOLL: {"ppoll", none}, unix.SYS_KILL: {"kill", number(1)},
	unix.SYS_PIDFD_OPEN: {"pidfd_open", none}, unix.SYS_PIDFD_SEND_SIGNAL: {"pidfd_send_signal", number(1)}, unix.SYS_FINIT_MODULE: {"finit_module", file(0)},
	unix.SYS_SETNS: {"setns", number(1)}, unix.SYS_BPF: {"bpf", number(0)}, unix.SYS_SCHED_SETAFFINITY: {"sched_setaffinity", none}, unix.SYS_SYNC: {"sync", none},
}

// Errnos are the plausible errors of a call: those that its manual page lists and that a system out of permissions, of memory,
// of descriptors or of space, or with a broken disk, does give.
func Errnos(name string) []syscall.Errno {
	switch name {
	case "openat":
		return []syscall.Errno{unix.EACCES, unix.EMFILE, unix.ENOENT, unix.EIO}
	case "newfstatat", "statx", "readlinkat", "faccessat", "faccessat2", "access", "statfs":
		return []syscall.Errno{unix.EACCES, unix.ENOENT}
	case "mkdirat", "mknodat", "mknod", "symlinkat", "renameat", "renameat2", "linkat":
		return []syscall.Errno{unix.EROFS, unix.ENOSPC}
	case "unlinkat", "chdir", "fchmodat", "chmod", "fchmod", "chown", "fchown", "fchownat", "utimensat":
		return []syscall.Errno{unix.EPERM, unix.EACCES}
	case "mount":
		return []syscall.Errno{unix.EPERM, unix.ENODEV, unix.EBUSY}
	case "umount2":
		return []syscall.Errno{unix.EBUSY}
	case "execve":
		return []syscall.Errno{unix.EACCES, unix.ENOENT, unix.ENOMEM}
	case "read", "pread64", "getdents64":
		return []syscall.Errno{unix.EIO}
	case "write", "pwrite64", "ftruncate", "fsync", "copy_file_range", "sendfile":
		return []syscall.Errno{unix.ENOSPC, unix.EIO}
	case "clone", "clone3":
		return []syscall.Errno{unix.EAGAIN, unix.ENOMEM}
	case "socket", "pipe2", "dup3", "pidfd_open":
		return []syscall.Errno{unix.EMFILE, unix.EPERM}
	case "bind", "listen":
		return []syscall.Errno{unix.EADDRINUSE, unix.EACCES}
	case "connect":
		return []syscall.Errno{unix.EACCES, unix.EAGAIN}
	case "fcntl":
		return []syscall.Errno{unix.EMFILE}
	case "sendto", "sendmsg", "recvfrom", "recvmsg":
		return []syscall.Errno{unix.ENOBUFS, unix.EPERM}
	case "prctl", "prlimit64", "getrlimit", "unshare", "setsid", "setpgid", "capget", "kill", "pidfd_send_signal", "setns", "ioctl", "wait4":
		return []syscall.Errno{unix.EPERM, unix.EINVAL}
	case "getrandom":
		return []syscall.Errno{unix.ENOSYS}
	case "uname":
		return []syscall.Errno{unix.EFAULT}
	case "poll", "ppoll":
		return []syscall.Errno{unix.ENOMEM}
	default:
		return []syscall.Errno{unix.EIO}
	}
}

// purposes are what a message may call an operation that has no path.
func purposes(o Op) []string {
	switch {
	case o.Child && o.Call != "execve":
		return []string{"dockerd: ", "containerd: "}
	case o.Call == "clone", o.Call == "pipe2", o.On == "pipe":
		return []string{"fork", "starting", "pipe", "output of"}
	case strings.HasSuffix(o.On, ".lock 0x2"):
		return []string{"lock"}
	case o.Call == "ppoll":
		return []string{"poll"}
	case o.Call == "kill":
		return []string{"sending SIG", "stopping"}
	case o.Call == "prlimit64", o.Call == "getrlimit":
		return []string{"limit", "nofile", "nproc"}
	case strings.HasPrefix(o.On, "socket family 16 type 3"), strings.HasPrefix(o.On, "family 16 type 3"):
		return []string{"nf_tables", "interface"}
	case strings.Contains(o.On, "family 16"):
		return []string{"netlink", "addresses", "interface", "nf_tables"}
	case strings.Contains(o.On, "family 2 type 3"), strings.Contains(o.On, "family 10 type 3"):
		return []string{"ip_tables"}
	case strings.HasPrefix(o.On, "socket family 2 type 2"), o.On == "family 2 type 2":
		return []string{" lo"}
	case strings.Contains(o.On, "family 2"):
		return []string{"tcp://"}
	case strings.Contains(o.On, "family 1"):
		return []string{"socket", "listening"}
	}
	return nil
}
