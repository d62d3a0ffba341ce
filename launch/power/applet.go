package power

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Exit statuses of the applets.
const (
	exitAsked  = 0
	exitFailed = 1
	exitUsage  = 2
)

// IsApplet tells whether a program of this name is one of the applets: poweroff, reboot, halt and shutdown.
func IsApplet(name string) bool {
	switch name {
	case "poweroff", "reboot", "halt", "shutdown":
		return true
	}
	return false
}

// Applet is the program poweroff, reboot, halt or shutdown, with its arguments: it asks PID 1 by a signal, and comes back
// before the machine goes down. Its exit status is 0 where PID 1 was asked, 1 where it could not be, 2 for wrong arguments.
func Applet(name string, args []string, stdout, stderr io.Writer) int {
	return applet{name: name, out: stdout, err: stderr, system: system{}.complete(), self: "/proc/self", init: "/proc/1",
		send: func(s unix.Signal) error { return unix.Kill(1, s) }, machine: OnMachine}.run(args)
}

type applet struct {
	name     string
	out, err io.Writer
	system   system
	// self and init are the folders of /proc for this process and PID 1.
	self, init string
	send       func(unix.Signal) error
	machine    func() bool
}

// order is what the arguments ask for.
type order struct {
	action                      Action
	force, noSync, record, help bool
}

func (a applet) run(args []string) int {
	o, err := parseOrder(a.name, args)
	switch {
	case err != nil:
		return a.fail(exitUsage, fmt.Errorf("%w\nTry: %s --help", err, a.name))
	case o.help:
		if _, err := io.WriteString(a.out, a.help()); err != nil {
			return a.fail(exitFailed, err)
		}
		return exitAsked
	case o.record:
		return exitAsked // there is no wtmp to write a record to
	case o.force:
		return a.force(o)
	}
	if err := a.ask(o.action); err != nil {
		return a.fail(exitFailed, err)
	}
	return exitAsked
}

func (a applet) fail(status int, err error) int {
	fmt.Fprintf(a.err, "%s: %v\n", a.name, err)
	return status
}

// force ends the machine without asking anybody.
func (a applet) force(o order) int {
	if !a.machine() {
		return a.fail(exitFailed, fmt.Errorf("-f: %w", ErrNotMachine))
	}
	if !o.noSync {
		ctx, cancel := context.WithTimeout(context.Background(), syncLimit)
		defer cancel()
		if err := a.system.sync(ctx); err != nil {
			fmt.Fprintf(a.err, "%s: writing everything to the disks: %v; going on\n", a.name, err)
		}
	}
	return a.fail(exitFailed, a.system.reboot(o.action, true))
}

// ask sends PID 1 the signal for the action, where PID 1 is a program that knows it. To others it might mean anything, and the
// kernel drops what they have no handler for.
func (a applet) ask(action Action) error {
	s := action.Signal()
	who, err := a.knows(s)
	if err != nil {
		return fmt.Errorf("asking PID 1 to %s: %w", action, err)
	}
	switch err := a.send(s); {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("asking PID 1 (%s) to %s: only root may (%w)", who, action, err)
	case err != nil:
		return fmt.Errorf("asking PID 1 (%s) to %s: %w", who, action, err)
	}
	return nil
}

// knows tells PID 1's name, and the reason where it does not act on the signal as on a machine's init.
func (a applet) knows(s unix.Signal) (who string, err error) {
	data, err := os.ReadFile(filepath.Join(a.init, "comm"))
	if err != nil {
		return "", fmt.Errorf("%w (is /proc mounted?)", err)
	}
	who = strings.TrimSpace(string(data))
	status, err := os.ReadFile(filepath.Join(a.init, "status"))
	if err != nil {
		return who, err
	}
	caught, err := catches(string(status), s)
	if err != nil {
		return who, err
	}
	known := slices.Contains([]string{"dockerlaunch", "systemd", "init"}, who) || a.same()
	if !known || !caught {
		return who, fmt.Errorf("PID 1 is %s, which does not act on signal %d: it is neither dockerlaunch nor an init with systemd's signals "+
			"(end it in its own way, or with -f everything at once)", who, int(s))
	}
	return who, nil
}

// same tells whether PID 1 executes the same file as this process, which only root can see.
func (a applet) same() bool {
	one, err := os.Stat(filepath.Join(a.init, "exe"))
	if err != nil {
		return false
	}
	self, err := os.Stat(filepath.Join(a.self, "exe"))
	return err == nil && os.SameFile(one, self)
}

// catches reads SigCgt of a /proc/PID/status, bit n-1 standing for signal n.
func catches(status string, s unix.Signal) (bool, error) {
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, "SigCgt:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			if err != nil {
				return false, fmt.Errorf("the signals that PID 1 handles: %w", err)
			}
			return mask&(1<<(uint(s)-1)) != 0, nil
		}
	}
	return false, errors.New("the kernel does not tell which signals PID 1 handles")
}

// parseOrder reads the arguments, those of sysvinit's and systemd's programs as far as they mean something here.
func parseOrder(name string, args []string) (order, error) {
	o := order{action: PowerOff}
	switch name {
	case "reboot":
		o.action = Reboot
	case "halt":
		o.action = Halt
	}
	shutdown := name == "shutdown"
	when := ""
	for _, arg := range args {
		long, isLong := strings.CutPrefix(arg, "--")
		switch {
		case isLong:
			if err := o.long(long, shutdown); err != nil {
				return o, err
			}
		case len(arg) > 1 && arg[0] == '-':
			for _, letter := range arg[1:] {
				if err := o.short(letter, shutdown); err != nil {
					return o, err
				}
			}
		case shutdown && when == "":
			when = arg
		case !shutdown:
			return o, fmt.Errorf("%q is not understood: there are only options", arg)
		default:
			// What follows the time is a message to users who are logged in, and here nobody is.
		}
	}
	if shutdown && !o.help && when != "now" && when != "+0" {
		return o, fmt.Errorf("the time has to be now: %q is not understood", when)
	}
	return o, nil
}

func (o *order) long(name string, shutdown bool) error {
	switch {
	case name == "help":
		o.help = true
	case name == "halt":
		o.action = Halt
	case name == "poweroff":
		o.action = PowerOff
	case name == "reboot":
		o.action = Reboot
	case name == "no-wall":
	case !shutdown && name == "force":
		o.force = true
	case !shutdown && name == "wtmp-only":
		o.record = true
	case !shutdown && name == "no-wtmp":
	case !shutdown && name == "no-sync":
		o.noSync = true
	default:
		return fmt.Errorf("--%s is no option", name)
	}
	return nil
}

func (o *order) short(letter rune, shutdown bool) error {
	switch {
	case letter == 'H' && shutdown:
		o.action = Halt
	case (letter == 'h' || letter == 'P') && shutdown, letter == 'p' && !shutdown:
		o.action = PowerOff
	case letter == 'r' && shutdown:
		o.action = Reboot
	case letter == 'h' && !shutdown:
		o.help = true
	case letter == 'f' && !shutdown:
		o.force = true
	case letter == 'w' && !shutdown:
		o.record = true
	case letter == 'n' && !shutdown:
		o.noSync = true
	case letter == 'd' && !shutdown: // no record in wtmp: there is none anyway
	default:
		return fmt.Errorf("-%c is no option", letter)
	}
	return nil
}

func (a applet) help() string {
	if a.name == "shutdown" {
		return `Usage: shutdown [OPTION] now

Asks PID 1 to end everything in order and to turn the machine off.

  -h, -P, --poweroff  turn it off
  -H, --halt          stop it and leave it on
  -r, --reboot        start it again
      --help          this text
`
	}
	what := a.name
	if what == "poweroff" {
		what = "turn off"
	}
	return `Usage: ` + a.name + ` [OPTION]

Asks PID 1 to end everything in order, and then to ` + what + ` the machine.

  -f, --force         at once: nothing is stopped, PID 1 is not asked
  -n, --no-sync       with -f: not even write to the disks what waits for it
  -w, --wtmp-only     do nothing: there is no wtmp to write to
  -d, --no-wtmp       as without: there is no wtmp to write to
  -p, --poweroff      turn off;  --reboot, --halt: the same for these
  -h, --help          this text
`
}
