package pidone

import (
	"os"
	"os/signal"
	"reflect"
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
// HUP and INT do not arrive where they were ignored when the program started, as nohup and a shell's & have it, unless this
// process is PID 1. The Go runtime does not tell that of other signals.
func (i *Init) Signals() <-chan unix.Signal { return i.signals }

// takeSignals installs handlers. Each signal has a channel of its own: package signal drops what does not fit into a channel,
// and in a common one a storm of one signal would drop the others.
func (i *Init) takeSignals() (caught []reflect.SelectCase, childEnded chan os.Signal) {
	childEnded = make(chan os.Signal, 1)
	signal.Notify(childEnded, unix.SIGCHLD)
	for s := firstSignal; s <= lastSignal; s++ {
		if !Caught(s) {
			continue
		}
		if !i.isPID1 && signal.Ignored(s) {
			i.ignored |= bit(s)
			continue
		}
		c := make(chan os.Signal, 1)
		signal.Notify(c, s)
		caught = append(caught, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	signal.Ignore(unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU)
	for s := unix.Signal(32); s <= 34; s++ {
		ignoreDefault(s)
	}
	return caught, childEnded
}

// kernelSigaction is at least as large as the kernel's struct sigaction, whose first word is the handler.
type kernelSigaction [8]uintptr

const (
	sigDefault = 0 // SIG_DFL
	sigIgnore  = 1 // SIG_IGN
	maskBytes  = 8 // of the kernel's sigset_t
)

// ignoreDefault ignores a signal of which package signal does not speak, unless somebody has put a handler there.
func ignoreDefault(s unix.Signal) {
	var now kernelSigaction
	// Neither call can fail for these numbers; if one does, the signal keeps its default.
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&now)), maskBytes, 0, 0)
	if errno == 0 && now[0] == sigDefault {
		ignore := kernelSigaction{sigIgnore}
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&ignore)), 0, maskBytes, 0, 0)
	}
}

// deliver hands signals on in the order in which they came.
func (i *Init) deliver(caught []reflect.SelectCase) {
	var waiting []unix.Signal
	for {
		// Where something waits, the last case is its delivery.
		cases := caught
		if len(waiting) > 0 {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectSend, Chan: reflect.ValueOf(i.signals), Send: reflect.ValueOf(waiting[0])})
		}
		chosen, value, _ := reflect.Select(cases)
		if chosen == len(caught) {
			waiting = waiting[1:]
			continue
		}
		if s := value.Interface().(unix.Signal); !contains(waiting, s) {
			waiting = append(waiting, s)
		}
	}
}

func contains(list []unix.Signal, s unix.Signal) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}
