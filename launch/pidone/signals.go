package pidone

import (
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	firstSignal = unix.Signal(1)
	lastSignal  = unix.Signal(64) // SIGRTMAX
)

// bit is a signal's place in a mask, as in the masks of /proc/PID/status.
func bit(s unix.Signal) uint64 { return 1 << (uint(s) - 1) }

// Caught tells whether a signal that is sent to this process arrives in Init.Signals. All do but these:
//
//   - KILL and STOP, which cannot be caught
//   - CHLD, which the reaper answers
//   - URG and PROF, which the Go runtime sends to itself
//   - PIPE, which a write of this process's own to a pipe that nobody reads causes: it is ignored, and the write fails
//   - TTIN and TTOU, by which the terminal stops a background process: they are ignored, as this process goes on
//   - 32, 33 and 34, which the Go runtime leaves to C libraries (nptl(7) keeps the first two for itself): they are ignored
func Caught(s unix.Signal) bool {
	switch s {
	case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, 32, 33, 34:
		return false
	}
	return firstSignal <= s && s <= lastSignal
}

// SignalName returns a signal's name: "SIGTERM", "SIGRTMIN+3" (counted from 34, as the C library has it), "signal 99".
func SignalName(s unix.Signal) string {
	const rtmin = 34
	switch name := unix.SignalName(s); {
	case name != "":
		return name
	case s == rtmin:
		return "SIGRTMIN"
	case rtmin < s && s <= lastSignal:
		return "SIGRTMIN+" + strconv.Itoa(int(s)-rtmin)
	default:
		return "signal " + strconv.Itoa(int(s))
	}
}

// Signals returns the channel of the signals that were sent to this process; Caught tells which. A signal that is sent again
// while the first still waits to be received is one, as with the kernel. None is lost otherwise, however many come and
// however slow the receiver is.
//
// Unless this process is PID 1, those do not arrive that were ignored when the program started, as nohup has it with HUP and
// a shell's & with INT: they stay ignored, for its children too. The Go runtime keeps this only of HUP, INT and TSTP.
func (i *Init) Signals() <-chan unix.Signal { return i.signals }

// dreaded are the signals that end a Go program that is PID 1 and does not catch them, where the kernel would drop them: the
// runtime has handlers of its own for all, and exits in these. It does nothing upon the others.
func dreaded(s unix.Signal) bool {
	switch s {
	case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV,
		unix.SIGTERM, unix.SIGSTKFLT, unix.SIGSYS:
		return true
	}
	return false
}

// first tells whether a signal is caught before all else. Those among the dreaded that nobody sends to ask for something tell of a
// mistake of the program's own.
func (i *Init) first(s unix.Signal) bool {
	switch s {
	case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM:
		return true
	}
	return dreaded(s) && !i.options.Hurry
}

// takeSignals begins to install the handlers without which this process could end, and that of the reaper.
func (i *Init) takeSignals() (childEnded chan os.Signal) {
	if !i.isPID1 {
		i.ignored = ignoredFromStart()
	}
	childEnded = make(chan os.Signal, 1)
	i.Go(func() {
		i.catch(i.first)
		signal.Notify(childEnded, unix.SIGCHLD)
		close(i.taken)
		i.deliver()
	})
	signal.Ignore(unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU)
	for s := unix.Signal(32); s <= 34; s++ {
		ignoreDefault(s)
	}
	return childEnded
}

// catch installs handlers. Each signal has a channel of its own: package signal drops what does not fit into a channel, and in
// a common one a storm of one signal would drop the others.
func (i *Init) catch(wanted func(unix.Signal) bool) {
	for s := firstSignal; s <= lastSignal; s++ {
		if !Caught(s) || !wanted(s) || i.ignored&bit(s) != 0 {
			continue
		}
		c := make(chan os.Signal, 1)
		signal.Notify(c, s)
		i.caught = append(i.caught, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
}

// kernelSigaction is at least as large as the kernel's struct sigaction, whose first word is the handler.
type kernelSigaction [8]uintptr

const (
	sigDefault = 0 // SIG_DFL
	sigIgnore  = 1 // SIG_IGN
	maskBytes  = 8 // of the kernel's sigset_t
)

// handler returns what the kernel does upon a signal: sigDefault, sigIgnore or a handler's address.
func handler(s unix.Signal) uintptr {
	var now kernelSigaction
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&now)), maskBytes, 0, 0)
	if errno != 0 {
		return sigDefault // there is no such signal, so that nothing is done upon it
	}
	return now[0]
}

// ignoredFromStart returns what was ignored when the program started and still is. The Go runtime leaves those of HUP, INT and
// the signals of job control as they are, and puts its own handlers in the place of all others (package os/signal).
func ignoredFromStart() (mask uint64) {
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		if handler(s) == sigIgnore {
			mask |= bit(s)
		}
	}
	return mask
}

// ignoreDefault ignores a signal of which package signal does not speak, unless somebody has put a handler there.
func ignoreDefault(s unix.Signal) {
	if handler(s) != sigDefault {
		return
	}
	ignore := kernelSigaction{sigIgnore}
	// It can only fail where there is no such signal.
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&ignore)), 0, maskBytes, 0, 0)
}

// deliver hands signals on in the order in which they came.
func (i *Init) deliver() {
	more := reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(i.more)}
	var waiting []unix.Signal
	for {
		// Where something waits, the last case is its delivery. The one before is the wish for the other signals.
		cases := append(i.caught, more)
		if len(waiting) > 0 {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectSend, Chan: reflect.ValueOf(i.signals), Send: reflect.ValueOf(waiting[0])})
		}
		chosen, value, _ := reflect.Select(cases)
		switch chosen {
		case len(i.caught):
			// Each handler costs the runtime two switches of threads, all together more milliseconds than a start may take.
			i.catch(func(s unix.Signal) bool { return !i.first(s) })
			close(i.allCaught)
			more.Chan = reflect.Value{} // the case is never chosen again
			continue
		case len(i.caught) + 1:
			waiting = waiting[1:]
			continue
		}
		if s := value.Interface().(unix.Signal); !slices.Contains(waiting, s) {
			waiting = append(waiting, s)
		}
	}
}
