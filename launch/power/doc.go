// Package power is the ways out of a machine: what signals and buttons ask for, the applets poweroff, reboot and halt, the one
// sequence of a shutdown, and the one end of a PID 1 that cannot go on. Whoever is PID 1 ends through here, so that the kernel
// never panics because its init is gone, and a container's end never touches the machine it is on.
package power

import "golang.org/x/sys/unix"

// Action is a way out, or what else PID 1 is asked for.
type Action string

const (
	// Reboot starts the machine again.
	Reboot Action = "reboot"
	// PowerOff turns it off.
	PowerOff Action = "power off"
	// Halt stops it and leaves it on.
	Halt Action = "halt"
	// Reload is for the daemon: its configuration is to be read again.
	Reload Action = "reload"
)

// rtmin is SIGRTMIN as programs see it: the C library keeps 32 and 33 for itself (nptl(7)).
const rtmin = 34

// Request tells what a signal asks PID 1 of a machine for, as systemd, finit and Talos have it; ok is false for a signal that
// asks for nothing. The kernel sends SIGINT for Ctrl-Alt-Del where kernel.ctrl-alt-del is 0, and SIGPWR comes from a UPS.
func Request(s unix.Signal) (action Action, ok bool) {
	switch s {
	case unix.SIGTERM, unix.SIGINT, rtmin + 5:
		return Reboot, true
	case unix.SIGUSR2, unix.SIGPWR, rtmin + 4:
		return PowerOff, true
	case unix.SIGUSR1, rtmin + 3:
		return Halt, true
	case unix.SIGHUP:
		return Reload, true
	}
	return "", false
}

// Signals lists all signals that Request knows, for whoever has to catch them.
func Signals() []unix.Signal {
	return []unix.Signal{
		unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR, unix.SIGHUP, rtmin + 3, rtmin + 4, rtmin + 5,
	}
}

// Signal is the signal that asks for the action and nothing else, whoever PID 1 is: RTMIN+3, +4 or +5, and SIGHUP.
func (a Action) Signal() unix.Signal {
	switch a {
	case Halt:
		return rtmin + 3
	case PowerOff:
		return rtmin + 4
	case Reboot:
		return rtmin + 5
	}
	return unix.SIGHUP
}

// Out tells whether the action ends the machine.
func (a Action) Out() bool { return a == Reboot || a == PowerOff || a == Halt }
