package pidone

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spawnLimit bounds the time from a fork to the program: execve reads the program, maybe from a file server that is gone.
const spawnLimit = 30 * time.Second

// Null as a descriptor of a Command stands for /dev/null.
const Null = -1

// Command says what to start and how. Nothing is inherited but what it says: the child has an empty signal mask, every
// signal's default action (apart from those that Init.Signals says were ignored from the start), and no other descriptors.
type Command struct {
	Path string   // of the program; PATH is not searched
	Args []string // with the program's name as the first; nil stands for Path alone
	Env  []string // NAME=VALUE; nil is an empty environment
	Dir  string   // working directory; "" leaves it as it is

	// Stdin, Stdout and Stderr are descriptors of this process, or Null. 0 is this process's own one, also as Stdout and
	// Stderr, so that the zero value inherits all three.
	Stdin, Stdout, Stderr int
	// Files become descriptors 3, 4, ... of the child.
	Files []int
	// ListenFDs sets LISTEN_FDS to the number of Files and LISTEN_PID to the child's id (sd_listen_fds(3)), in place of any
	// in Env.
	ListenFDs bool

	// Limits are set for the child only.
	Limits []Limit
	// OOMScoreAdj is written to /proc/self/oom_score_adj in the child only, from -1000 to 1000.
	OOMScoreAdj *int

	// Session makes the child the leader of a session of its own.
	Session bool
	// Foreground makes the child the leader of a process group of its own, in the foreground of the terminal that is its
	// stdin, so that Ctrl-C goes to it; with Session the terminal becomes the session's own. Where stdin is no terminal, or
	// that of another session, it only makes the group.
	Foreground bool
	// ParentDeathSignal is sent to the child when this process ends; 0 is none. The child then belongs to the main thread where
	// that calls Spawn, and else to a thread kept for the purpose, whose namespaces it has; without, to the calling thread.
	ParentDeathSignal unix.Signal
}

// Limit is a resource limit, with Resource such as unix.RLIMIT_NOFILE.
type Limit struct {
	Resource int
	Value    unix.Rlimit
}

// Spawn starts a process. It returns when the program is executed, or an *ExecError where it is not, in which case no process
// is left. It may be called by any number of goroutines at once. A program that takes longer than spawnLimit to be read, from a
// file server that does not answer, is given up with ETIMEDOUT.
func (i *Init) Spawn(c Command) (*Process, error) {
	s, err := i.Begin(c)
	if err != nil {
		return nil, err
	}
	if err := s.Wait(); err != nil {
		return nil, err
	}
	return s.Process, nil
}

// Spawning is a process that is about to execute its program.
type Spawning struct {
	Process *Process

	path, dir string
	report    int // the end of a pipe that tells of a failure
	plan      *plan
}

// Begin is the first half of Spawn, for who has something else to do while the program is executed. Wait has to be called.
func (i *Init) Begin(c Command) (*Spawning, error) {
	<-i.taken
	if !i.options.Later {
		<-i.allCaught
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("starting %s: making a pipe: %w", c.Path, err)
	}
	p, plan, err := i.start(c, pipe[1])
	// The child has its own copy: as long as this one is open, the end of that one is not seen.
	unix.Close(pipe[1])
	if err != nil {
		unix.Close(pipe[0])
		return nil, err
	}
	return &Spawning{Process: p, path: c.Path, dir: c.Dir, report: pipe[0], plan: plan}, nil
}

// Wait is the other half of Spawn, to be called once. The error is Spawn's; no process is left then.
func (s *Spawning) Wait() error {
	defer unix.Close(s.report)
	p := s.Process
	failed, err := readFailure(s.report)
	runtime.KeepAlive(s.plan)
	switch {
	case err != nil:
		// Whatever it is doing, nobody is to find it done later.
		if killErr := p.Signal(unix.SIGKILL); killErr != nil && !errors.Is(killErr, ErrEnded) {
			err = errors.Join(err, killErr)
		}
		err = &ExecError{Path: s.path, Stage: StageExec, Err: err}
	case failed != nil:
		err = &ExecError{Path: s.path, Stage: failed.stage, Dir: s.dir, Err: syscall.Errno(failed.errno)}
	default:
		return nil
	}
	// A Spawn that failed is not to leave a zombie, if only for a moment. What not even KILL ends at once, the reaper waits for.
	select {
	case <-p.done:
	case <-time.After(time.Second):
	}
	return err
}

// start prepares and forks. The plan is to be kept until the program is executed.
func (i *Init) start(c Command, report int) (*Process, *plan, error) {
	plan, err := i.plan(c, report)
	if err != nil {
		return nil, nil, err
	}
	null := -1
	for n, fd := range plan.files {
		if fd != Null {
			continue
		}
		if null < 0 {
			if null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
				return nil, nil, fmt.Errorf("starting %s: opening /dev/null: %w", c.Path, err)
			}
			defer unix.Close(null)
		}
		plan.files[n] = int32(null)
	}
	p := &Process{init: i, done: make(chan struct{})}
	var errno syscall.Errno
	forkIt := func() {
		// Others who make a descriptor and then mark it close-on-exec hold the lock for reading.
		syscall.ForkLock.Lock()
		defer syscall.ForkLock.Unlock()
		i.mu.Lock()
		defer i.mu.Unlock()
		var pid uintptr
		if pid, errno = fork(plan); errno == 0 {
			p.pid = int(pid)
			i.children[p.pid] = p
		}
	}
	// The main thread stays as long as the process does.
	if plan.deathSig != 0 && unix.Gettid() != unix.Getpid() {
		i.parents.do(i, forkIt)
	} else {
		forkIt()
	}
	if errno != 0 {
		return nil, nil, &ExecError{Path: c.Path, Stage: StageFork, Err: errno}
	}
	return p, plan, nil
}

func (i *Init) plan(c Command, report int) (*plan, error) {
	if len(c.Args) == 0 {
		c.Args = []string{c.Path}
	}
	p := &plan{
		report:     int32(report),
		ignored:    i.ignored,
		deathSig:   uintptr(c.ParentDeathSignal),
		parent:     uintptr(unix.Getpid()),
		session:    c.Session,
		foreground: c.Foreground,
	}
	var err error
	text := func(s string) (b *byte) {
		if err == nil {
			b, err = unix.BytePtrFromString(s)
		}
		return b
	}
	texts := func(list []string) (b []*byte) {
		if err == nil {
			b, err = syscall.SlicePtrFromStrings(list)
		}
		return b
	}
	p.path, p.args = text(c.Path), texts(c.Args)
	if c.Dir != "" {
		p.dir = text(c.Dir)
	}
	if c.OOMScoreAdj != nil {
		p.oomPath, p.oomScore = text("/proc/self/oom_score_adj"), []byte(strconv.Itoa(*c.OOMScoreAdj))
	}
	env := c.Env
	if c.ListenFDs {
		env = listenEnv(env, len(c.Files))
	}
	p.env = texts(env)
	if err != nil {
		return nil, fmt.Errorf("starting %q: a NUL byte in its path, arguments, environment or directory: %w", c.Path, err)
	}
	if c.ListenFDs {
		last := p.env[len(p.env)-2]
		p.listenPID = unsafe.Slice(last, len(listenPID)+1)[len(listenPIDName):]
	}
	for _, l := range c.Limits {
		p.limits = append(p.limits, limit{uintptr(l.Resource), l.Value})
	}
	p.files, err = c.files()
	return p, err
}

// The variable into which the child writes its id, with room for the digits of any; nine or so are unused.
const (
	listenPIDName = "LISTEN_PID="
	listenPID     = listenPIDName + "0000000000"
)

// listenEnv returns env with the variables of sd_listen_fds(3), LISTEN_PID as the last.
func listenEnv(env []string, files int) []string {
	out := make([]string, 0, len(env)+2)
	for _, v := range env {
		if name, _, _ := strings.Cut(v, "="); name != "LISTEN_PID" && name != "LISTEN_FDS" {
			out = append(out, v)
		}
	}
	return append(out, "LISTEN_FDS="+strconv.Itoa(files), listenPID)
}

func (c *Command) files() ([]int32, error) {
	files := append([]int{c.Stdin, c.Stdout, c.Stderr}, c.Files...)
	out := make([]int32, len(files))
	for n, fd := range files {
		if n < 3 && fd == 0 {
			fd = n
		}
		if fd < Null || fd == Null && n >= 3 {
			return nil, fmt.Errorf("starting %s: %d is no descriptor to pass on as %d", c.Path, fd, n)
		}
		out[n] = int32(fd)
	}
	return out, nil
}

// readFailure waits until the program is executed or has failed to be.
func readFailure(fd int) (*failure, error) {
	deadline := time.Now().Add(spawnLimit)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("no answer from the new process within %s: %w", spawnLimit, unix.ETIMEDOUT)
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == unix.EINTR || err == nil && ready == 0 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("waiting for the new process: poll: %w", err)
		}
		var f failure
		n, err := unix.Read(fd, unsafe.Slice((*byte)(unsafe.Pointer(&f)), failureBytes))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, fmt.Errorf("waiting for the new process: read: %w", err)
		case n == 0:
			// execve has closed it; or the child was killed before it got there, which its status tells.
			return nil, nil
		case n != int(failureBytes):
			return nil, fmt.Errorf("the new process said %d bytes instead of %d", n, failureBytes)
		}
		return &f, nil
	}
}

// forker forks on a thread that stays. What prctl(2) calls the parent, whose death is signalled, is the thread that forked,
// and a goroutine that ends while locked to its thread takes that with it.
type forker struct {
	once sync.Once
	work chan func()
}

func (f *forker) do(i *Init, work func()) {
	f.once.Do(func() {
		f.work = make(chan func())
		i.Go(func() {
			runtime.LockOSThread()
			for w := range f.work {
				i.guarded(w) // a panic must not end the thread
			}
		})
	})
	done := make(chan struct{})
	f.work <- func() {
		defer close(done)
		work()
	}
	<-done
}
