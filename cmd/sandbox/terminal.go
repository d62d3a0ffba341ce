package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// takeTerminal makes this program the terminal's foreground process group alone, where it shares that group with whoever
// started it. make ends itself at Ctrl-C, and its status then says "interrupted" however cleanly this program ends: so
// Ctrl-C must not reach it. The function that is returned gives the terminal back.
func takeTerminal() (giveBack func() error, err error) {
	nothing := func() error { return nil }
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOENT) {
		return nothing, nil // there is no terminal
	}
	if err != nil {
		return nothing, fmt.Errorf("opening the terminal: %w", err)
	}
	before := unix.Getpgrp()
	foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || foreground != before || before == os.Getpid() {
		// In the background, or alone already, as when a shell runs it.
		return nothing, unix.Close(fd)
	}
	if err := unix.Setpgid(0, 0); err != nil {
		return nothing, errors.Join(fmt.Errorf("making a process group: %w", err), unix.Close(fd))
	}
	// Setting the foreground group from the background stops whoever does not ignore this signal (tcsetpgrp(3)).
	signal.Ignore(unix.SIGTTOU)
	set := func(group int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group); err != nil {
			return fmt.Errorf("making process group %d the terminal's foreground: %w", group, err)
		}
		return nil
	}
	if err := set(os.Getpid()); err != nil {
		return nothing, errors.Join(err, unix.Close(fd))
	}
	// Nobody would continue a group that Ctrl-Z has stopped: the shell knows of make's alone.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTSTP)
	return func() error { return errors.Join(set(before), unix.Close(fd)) }, nil
}
