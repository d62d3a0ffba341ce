//go:build linux && amd64

package faults

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Op is one operation of the launcher: what is called, on what, and by whom.
type Op struct {
	// Child tells that a child of the launcher's does it, between its fork and its program.
	Child bool `json:"child,omitempty"`
	// Call is the system call's name.
	Call string `json:"call"`
	// On is what tells it from others of the name: a path, what a descriptor is open on, a request's number.
	On string `json:"on,omitempty"`
}

func (o Op) String() string {
	text := strings.TrimSpace(o.Call + " " + o.On)
	if o.Child {
		return "child: " + text
	}
	return text
}

// Fault is an operation that is to fail.
type Fault struct {
	Op    Op            `json:"op"`
	Errno syscall.Errno `json:"errno"`
	// Nth counts the operation's occurrences from 1; 0 fails all of them.
	Nth int `json:"nth"`
}

func (f Fault) String() string {
	when := "always"
	if f.Nth > 0 {
		when = fmt.Sprintf("time %d", f.Nth)
	}
	return fmt.Sprintf("%v = %s, %s", f.Op, unix.ErrnoName(f.Errno), when)
}

// Seen is an operation and how often it was seen.
type Seen struct {
	Op    Op  `json:"op"`
	Times int `json:"times"`
}

// Trace is what became of a traced program.
type Trace struct {
	// Seen lists the operations in the order of their first occurrence.
	Seen []Seen `json:"seen"`
	// Hits is how often the fault was injected.
	Hits int `json:"hits"`
	// Status is the exit status as a shell has it, 128+n for signal n.
	Status int `json:"status"`
	// Hung tells that the program was killed because it did not end.
	Hung bool `json:"hung,omitempty"`
	// Left are the children that the program had when it ended.
	Left []string `json:"left,omitempty"`
	// Took is how long it ran.
	Took time.Duration `json:"took_ns"`
}

// task is a traced thread.
type task struct {
	process *process
	// fail is the error that the call it is in is going to have; 0 for none.
	fail syscall.Errno
	// entered is the call it is in.
	entered *call
}

// process is a traced process, up to its execve.
type process struct {
	pid   int
	child bool
	// files tells what sockets are for, which their descriptors do not show.
	files map[uint64]string
}

// tracer follows one program. Its methods run on one locked thread.
type tracer struct {
	fault   *Fault
	proc    *os.Root
	tasks   map[int]*task
	waiting map[int]bool // new tasks that stopped before their parents told of them
	index   map[Op]int
	trace   Trace
	main    int
}

const traceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
	unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL

// follow starts a program and traces it to its end. started is called while it is stopped before its first instruction. The
// calling goroutine has locked its thread, and this process has no other children. proc is the /proc of this process's PID namespace.
func follow(cmd *exec.Cmd, fault *Fault, proc *os.Root, limit time.Duration, started func() error) (*Trace, error) {
	cmd.SysProcAttr.Ptrace = true
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &tracer{fault: fault, proc: proc, tasks: map[int]*task{}, waiting: map[int]bool{}, index: map[Op]int{}, main: cmd.Process.Pid}
	var status unix.WaitStatus
	if _, err := unix.Wait4(t.main, &status, unix.WALL, nil); err != nil {
		return nil, fmt.Errorf("waiting for the program's first stop: %w", err)
	}
	if err := unix.PtraceSetOptions(t.main, traceOptions); err != nil {
		return nil, fmt.Errorf("setting the tracer's options: %w", err)
	}
	if err := started(); err != nil {
		return nil, err
	}
	t.tasks[t.main] = &task{process: &process{pid: t.main, files: map[uint64]string{}}}
	over := time.AfterFunc(limit, func() {
		// It is not reaped before this process has waited for it below, and then the timer is stopped.
		_ = unix.Kill(t.main, unix.SIGKILL)
	})
	defer over.Stop()
	if err := unix.PtraceSyscall(t.main, 0); err != nil {
		return nil, fmt.Errorf("starting to trace: %w", err)
	}
	err := t.loop()
	t.trace.Took = time.Since(begin)
	t.trace.Hung = t.trace.Took >= limit
	return &t.trace, err
}

// loop handles stops until the program has ended.
func (t *tracer) loop() error {
	for {
		var status unix.WaitStatus
		tid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for a stop: %w", err)
		}
		switch {
		case status.Exited(), status.Signaled():
			delete(t.tasks, tid)
			if tid == t.main {
				t.trace.Status = status.ExitStatus()
				if status.Signaled() {
					t.trace.Status = 128 + int(status.Signal())
				}
				return nil
			}
		case t.tasks[tid] == nil:
			t.waiting[tid] = true
		default:
			// A task that was killed meanwhile is no longer there; its end comes next.
			if err := t.stopped(tid, status); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
}

func (t *tracer) stopped(tid int, status unix.WaitStatus) error {
	this := t.tasks[tid]
	signal := status.StopSignal()
	switch event := status.TrapCause(); {
	case signal == unix.SIGTRAP|0x80:
		if err := t.call(tid, this); err != nil {
			return err
		}
		signal = 0
	case event == unix.PTRACE_EVENT_CLONE || event == unix.PTRACE_EVENT_FORK || event == unix.PTRACE_EVENT_VFORK:
		if err := t.born(tid, this, event); err != nil {
			return err
		}
		signal = 0
	case event == unix.PTRACE_EVENT_EXEC:
		// What it is from here on is not the launcher.
		delete(t.tasks, tid)
		return unix.PtraceDetach(tid)
	case event > 0:
		signal = 0
	}
	return unix.PtraceSyscall(tid, int(signal))
}

// born enters a new task and lets it go on.
func (t *tracer) born(tid int, parent *task, event int) error {
	message, err := unix.PtraceGetEventMsg(tid)
	if err != nil {
		return err
	}
	id := int(message)
	child := &task{process: parent.process}
	if event != unix.PTRACE_EVENT_CLONE {
		child.process = &process{pid: id, child: true, files: parent.process.files}
	}
	t.tasks[id] = child
	if !t.waiting[id] {
		// Its first stop is the SIGSTOP that a new task of a tracee begins with.
		var status unix.WaitStatus
		if _, err := unix.Wait4(id, &status, unix.WALL, nil); err != nil {
			return err
		}
		if !status.Stopped() {
			delete(t.tasks, id) // killed with all others
			return nil
		}
	}
	delete(t.waiting, id)
	return unix.PtraceSyscall(id, 0)
}

// callInfo is the kernel's struct ptrace_syscall_info (ptrace(2), PTRACE_GET_SYSCALL_INFO).
type callInfo struct {
	Op   uint8
	_    [3]uint8
	Arch uint32
	IP   uint64
	SP   uint64
	Data [8]uint64 // at entry the number and six arguments, at exit the result and in the lowest byte whether it is an error
}

// call handles a stop at the entry to, or the exit from, a system call.
func (t *tracer) call(tid int, this *task) error {
	var info callInfo
	const getSyscallInfo, entry, exit = 0x420e, 1, 2
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return errno
	}
	switch info.Op {
	case entry:
		c := &call{number: info.Data[0], args: [6]uint64(info.Data[1:7]), tid: tid, process: this.process, proc: t.proc}
		this.entered = c
		if c.number == unix.SYS_EXIT_GROUP && !this.process.child {
			t.trace.Left = t.children()
		}
		op, ok := c.op()
		if !ok || !t.counts(op) {
			return nil
		}
		t.trace.Hits++
		this.fail = t.fault.Errno
		if c.number == unix.SYS_CLOSE {
			return nil // the descriptor is free even after an error (close(2))
		}
		return t.change(tid, func(r *unix.PtraceRegs) { r.Orig_rax = ^uint64(0) })
	case exit:
		if this.fail != 0 {
			errno := this.fail
			this.fail = 0
			return t.change(tid, func(r *unix.PtraceRegs) { r.Rax = -uint64(errno) })
		}
		if this.entered != nil && info.Data[1]&0xff == 0 {
			this.entered.succeeded(info.Data[0])
		}
	}
	return nil
}

// counts counts an operation, and tells whether it is to fail.
func (t *tracer) counts(op Op) bool {
	i, ok := t.index[op]
	if !ok {
		i = len(t.trace.Seen)
		t.index[op] = i
		t.trace.Seen = append(t.trace.Seen, Seen{Op: op})
	}
	t.trace.Seen[i].Times++
	return t.fault != nil && t.fault.Op == op && (t.fault.Nth == 0 || t.fault.Nth == t.trace.Seen[i].Times)
}

func (t *tracer) change(tid int, f func(*unix.PtraceRegs)) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	f(&r)
	return unix.PtraceSetRegs(tid, &r)
}

// children lists the children that the program has now.
func (t *tracer) children() []string {
	var left []string
	for tid, task := range t.tasks {
		if task.process.child {
			continue
		}
		data, err := t.proc.ReadFile(fmt.Sprintf("%d/task/%d/children", t.main, tid))
		if err != nil {
			continue // a thread that has ended
		}
		for pid := range strings.FieldsSeq(string(data)) {
			line, err := t.proc.ReadFile(pid + "/stat")
			// One that has ended is the kernel's to reap with PID 1.
			if err == nil && !strings.Contains(string(line), ") Z ") {
				left = append(left, string(line))
			}
		}
	}
	return left
}
