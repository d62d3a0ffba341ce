package pidone

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// plan is all that a child needs between its fork and the program. It is made before the fork: a child of a program with
// threads has only the thread that forked, so that it must not allocate, take a lock or switch goroutines, which others
// may have been in the middle of. The functions of this file make raw system calls and nothing else; nosplit keeps the
// runtime from looking at the stack, which is where it would switch. The child may have the plan's memory in common with
// this process, so that the plan must live until the program is executed.
type plan struct {
	path       *byte
	args, env  []*byte // with a nil at their ends
	dir        *byte   // or nil
	files      []int32 // files[n] becomes descriptor n
	report     int32   // where a failure is written, closed by a successful execve
	limits     []limit
	oomPath    *byte
	oomScore   []byte // the text to write, or nil
	listenPID  []byte // where the digits of the child's own pid and a NUL go, or nil
	ignored    uint64 // signals that stay ignored; all others get their default
	deathSig   uintptr
	parent     uintptr
	session    bool
	foreground bool

	// Scratch of the child.
	action    kernelSigaction
	emptyMask uint64
	group     int32
	failure   failure
	stack     [childStack]byte
}

// childStack is far more than what functions need together that are nosplit, which the linker bounds to below a kilobyte.
const childStack = 4096

type limit struct {
	resource uintptr
	value    unix.Rlimit
}

// failure is what a child reports.
type failure struct {
	stage Stage
	errno int32
}

const failureBytes = unsafe.Sizeof(failure{})

// fork makes a child that executes the plan. While it forks, this thread has no signals, so that none runs a handler of the
// Go runtime in the child.
//
//go:noinline
//go:nosplit
//go:norace
func fork(p *plan) (pid uintptr, errno syscall.Errno) {
	every, before := ^uint64(0), uint64(0)
	_, _, errno = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&every)), uintptr(unsafe.Pointer(&before)), maskBytes, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if p.oomScore == nil {
		pid, errno = share(p)
	} else {
		// The kernel gives all processes with the same memory the same score (__set_oom_adj in fs/proc/base.c).
		pid, errno = copied(p)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, maskBytes, 0, 0)
	return pid, errno
}

// copied makes a child with a copy of this process's memory.
//
//go:nosplit
//go:norace
func copied(p *plan) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		p.fail(p.become())
	}
	return pid, errno
}

// fail reports what went wrong and ends the child.
//
//go:nosplit
//go:norace
func (p *plan) fail(stage Stage, errno syscall.Errno) {
	p.failure.stage, p.failure.errno = stage, int32(errno)
	syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.report), uintptr(unsafe.Pointer(&p.failure)), failureBytes)
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}

// become turns the child into the program. It returns only what failed.
//
//go:nosplit
//go:norace
func (p *plan) become() (Stage, syscall.Errno) {
	if errno := p.followParent(); errno != 0 {
		return StageParent, errno
	}
	if p.session {
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0); errno != 0 {
			return StageSession, errno
		}
	} else if p.foreground {
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0); errno != 0 {
			return StageSession, errno
		}
	}
	if errno := p.setOOMScore(); errno != 0 {
		return StageOOMScore, errno
	}
	if p.dir != nil {
		if _, _, errno := syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(p.dir)), 0, 0); errno != 0 {
			return StageDir, errno
		}
	}
	if errno := p.placeFiles(); errno != 0 {
		return StageFiles, errno
	}
	if p.foreground {
		if errno := p.takeTerminal(); errno != 0 {
			return StageTerminal, errno
		}
	}
	for n := range p.limits {
		l := &p.limits[n]
		if _, _, errno := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, l.resource, uintptr(unsafe.Pointer(&l.value)), 0, 0, 0); errno != 0 {
			return StageLimits, errno
		}
	}
	p.writePID()
	if errno := p.resetSignals(); errno != 0 {
		return StageSignals, errno
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.path)), uintptr(unsafe.Pointer(&p.args[0])), uintptr(unsafe.Pointer(&p.env[0])))
	return StageExec, errno
}

// followParent asks for a signal when the thread that forked ends, and looks whether it has ended already.
//
//go:nosplit
//go:norace
func (p *plan) followParent() syscall.Errno {
	if p.deathSig == 0 {
		return 0
	}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, p.deathSig, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if parent, _, _ := syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); parent != p.parent {
		return unix.ESRCH
	}
	return 0
}

//go:nosplit
//go:norace
func (p *plan) setOOMScore() syscall.Errno {
	if p.oomScore == nil {
		return 0
	}
	fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, ^uintptr(99), uintptr(unsafe.Pointer(p.oomPath)), unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	_, _, errno = syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p.oomScore[0])), uintptr(len(p.oomScore)))
	syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	return errno
}

// placeFiles makes files[n] descriptor n. What would be overwritten before its turn first moves above them all, where
// F_DUPFD_CLOEXEC finds a number that is free.
//
//go:nosplit
//go:norace
func (p *plan) placeFiles() syscall.Errno {
	above := uintptr(len(p.files))
	if uintptr(p.report) < above {
		fd, _, errno := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(p.report), unix.F_DUPFD_CLOEXEC, above)
		if errno != 0 {
			return errno
		}
		p.report = int32(fd)
	}
	for n := range p.files {
		if p.files[n] == int32(n) || uintptr(p.files[n]) >= above {
			continue
		}
		fd, _, errno := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(p.files[n]), unix.F_DUPFD_CLOEXEC, above)
		if errno != 0 {
			return errno
		}
		p.files[n] = int32(fd)
	}
	for n := range p.files {
		var errno syscall.Errno
		if p.files[n] == int32(n) {
			// dup3 refuses equal numbers; the descriptor is to survive execve.
			_, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(n), unix.F_SETFD, 0)
		} else {
			_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(p.files[n]), uintptr(n), 0)
		}
		if errno != 0 {
			return errno
		}
	}
	// What this process itself was started with may not be close-on-exec. The call came with Linux 5.9 and its flag with 5.11;
	// without it, what the Go runtime and this project open still is.
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, above, uintptr(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
	return 0
}

// takeTerminal makes the child's process group the one in the foreground of the terminal that is its stdin. The signals are
// still blocked, so that a background group may do so (tcsetpgrp(3)). No terminal is no error.
//
//go:nosplit
//go:norace
func (p *plan) takeTerminal() syscall.Errno {
	var errno syscall.Errno
	if p.session {
		// The new session gets the terminal, and with it the foreground.
		_, _, errno = syscall.RawSyscall(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
		if errno == unix.EPERM { // it is another session's
			return 0
		}
	} else {
		pid, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		p.group = int32(pid)
		_, _, errno = syscall.RawSyscall(unix.SYS_IOCTL, 0, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&p.group)))
	}
	switch errno {
	case unix.ENOTTY, unix.ENXIO, unix.EIO, unix.EINVAL: // no terminal, not this session's, one that has hung up
		return 0
	}
	return errno
}

// writePID writes the digits of this process's id, and the NUL behind them.
//
//go:nosplit
//go:norace
func (p *plan) writePID() {
	if p.listenPID == nil {
		return
	}
	pid, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	digits := 1
	for rest := pid / 10; rest > 0; rest /= 10 {
		digits++
	}
	p.listenPID[digits] = 0
	for digits > 0 {
		digits--
		p.listenPID[digits] = byte('0' + pid%10)
		pid /= 10
	}
}

// resetSignals gives every signal its default, also those that this process ignores, and then lets all of them through.
//
//go:nosplit
//go:norace
func (p *plan) resetSignals() syscall.Errno {
	for s := uintptr(firstSignal); s <= uintptr(lastSignal); s++ {
		if s == uintptr(unix.SIGKILL) || s == uintptr(unix.SIGSTOP) {
			continue
		}
		p.action[0] = sigDefault
		if p.ignored&(1<<(s-1)) != 0 {
			p.action[0] = sigIgnore
		}
		if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, s, uintptr(unsafe.Pointer(&p.action)), 0, maskBytes, 0, 0); errno != 0 {
			return errno
		}
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&p.emptyMask)), 0, maskBytes, 0, 0)
	return errno
}
