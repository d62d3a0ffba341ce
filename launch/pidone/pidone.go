// Package pidone is what it takes to be PID 1, or a process that stands in for it: every child and every orphan is reaped,
// every signal is caught, processes are started so that none of their statuses is lost, and a panic in a goroutine ends in
// one place instead of in a kernel panic.
//
// It is about processes only. It reads neither files of its own nor the environment, writes no messages, and knows nothing of
// what it starts.
//
// A program that uses it starts processes through Init.Spawn alone: os/exec waits for its children itself, and loses them to
// the reaper.
package pidone

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Options are the choices of a caller of Start.
type Options struct {
	// OnPanic is called, in the goroutine that panicked, with the panic's value and its stack: for goroutines started with
	// Init.Go and for this package's own. It is to bring the program to its one orderly end; where it returns, that goroutine
	// alone has ended. Without it a panic ends the program, as in any Go program.
	OnPanic func(value any, stack []byte)
	// Later has the signals that do no harm uncaught be caught when Init.CatchAll is called, and Spawn not wait for that: for a
	// program that has something to start first.
	Later bool
	// Hurry is for who has a kernel, or a container, that outlives it. Start then does not wait until signals are caught, but Spawn
	// does, and they are at first those alone by which somebody asks a program for something: HUP, INT, QUIT and TERM. The others
	// that would end it go with those of Later.
	Hurry bool
}

// Init is the state of a process that reaps and spawns. There is one in a process: two would take each other's children.
type Init struct {
	options Options
	isPID1  bool
	ignored uint64 // signals that were ignored when the program started, bit n-1 for signal n

	caught    []reflect.SelectCase // of the channels that package signal sends to; deliver's alone once that runs
	catchAll  func()               // closes more
	more      chan struct{}        // closed when those are to be caught that do no harm uncaught
	taken     chan struct{}        // closed when those are caught that come first
	allCaught chan struct{}        // closed when all that Caught names are
	signals   chan unix.Signal

	// mu is held from before a fork until the child is in children, and while one status is taken from the kernel and entered:
	// so that no status is taken of a child that is not entered yet, and no pid is signalled that may be another's already.
	mu       sync.Mutex
	children map[int]*Process

	orphans atomic.Uint64
	parents forker
}

// Start takes over the signals of this process and the reaping of all its children. It is the first statement of main: until
// then a signal that another PID 1 would ignore ends a Go program, and the kernel with it. Afterwards none does; those that do no
// harm uncaught are caught some milliseconds later, and before the first process is started, unless Options.Later is set; see
// Options.Hurry, too.
//
// A process that is not PID 1 becomes a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), so that orphans among its
// descendants come to it.
//
// Spawn undoes for children what Start does to signals. A program that is executed in the place of this one would find ignored
// what Caught names as such.
//
// The soft limit of open files, which the Go runtime has raised for itself, is put back to what this process was started with,
// for that is what children are to inherit.
func Start(options Options) (*Init, error) {
	i := &Init{
		options:   options,
		isPID1:    os.Getpid() == 1,
		more:      make(chan struct{}),
		taken:     make(chan struct{}),
		allCaught: make(chan struct{}),
		signals:   make(chan unix.Signal, 1),
		children:  make(map[int]*Process),
	}
	i.catchAll = sync.OnceFunc(func() { close(i.more) })
	if !options.Later {
		i.CatchAll()
	}
	childEnded := i.takeSignals()
	if !options.Hurry {
		<-i.taken
	}
	if !i.isPID1 {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("becoming a child subreaper: prctl: %w (orphaned processes would go to another parent)", err)
		}
	}
	if err := restoreOpenFiles(); err != nil {
		return nil, err
	}
	// A wait4 that is refused, by a seccomp filter for example, is told here, where the caller can still do without.
	if err := i.reap(); err != nil {
		return nil, err
	}
	i.Go(func() { i.reapForever(childEnded) })
	return i, nil
}

// CatchAll has all signals be caught that Caught names, where Options.Later put that off. It does not wait for it.
func (i *Init) CatchAll() { i.catchAll() }

// IsPID1 tells whether this process is the first of its PID namespace.
func (i *Init) IsPID1() bool { return i.isPID1 }

// Go calls f in a goroutine of its own. A panic in f ends in Options.OnPanic.
func (i *Init) Go(f func()) {
	go i.guarded(f)
}

func (i *Init) guarded(f func()) {
	defer i.recovered()
	f()
}

// recovered is deferred by every goroutine of this package.
func (i *Init) recovered() {
	if i.options.OnPanic == nil {
		return // a panic goes on to end the program
	}
	if value := recover(); value != nil {
		i.options.OnPanic(value, debug.Stack())
	}
}

// restoreOpenFiles undoes what the Go runtime does at its start: it raises the soft RLIMIT_NOFILE of this process, remembers
// the old one where nobody else can read it, and puts it back in syscall.ForkExec and syscall.Exec only (package syscall,
// rlimit.go). An Exec that fails puts it back too, and no path is as sure to fail as the empty one.
func restoreOpenFiles() error {
	if err := syscall.Exec("", []string{""}, nil); !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("putting back the limit of open files: execve of an empty path: %w", err)
	}
	return nil
}
