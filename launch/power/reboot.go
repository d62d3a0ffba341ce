package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotMachine is what is answered where reboot(2) would not mean the machine: in another PID namespace than the kernel's
// first it kills that namespace's init (reboot(2), "Behavior inside PID namespaces").
var ErrNotMachine = errors.New("this is a container, whose machine is not its to turn off")

// initPIDNamespace is the kernel's first PID namespace, PROC_PID_INIT_INO in include/linux/proc_ns.h.
const initPIDNamespace = "pid:[4026531836]"

// OnMachine tells whether this process is in the kernel's first PID namespace. Where /proc cannot say, it is not.
func OnMachine() bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && ns == initPIDNamespace
}

// Do ends the machine by reboot(2), at once: what is not on the disks is lost. machine has to be true, so that nobody calls it
// in a container by mistake; a PID 1 knows it from its start, when /proc is gone too. It returns only on failure.
func (a Action) Do(machine bool) error {
	if !machine {
		return fmt.Errorf("%s: %w", a, ErrNotMachine)
	}
	command := 0
	switch a {
	case Reboot:
		command = unix.LINUX_REBOOT_CMD_RESTART
	case PowerOff:
		command = unix.LINUX_REBOOT_CMD_POWER_OFF
	case Halt:
		command = unix.LINUX_REBOOT_CMD_HALT
	default:
		return fmt.Errorf("%q is no way out of a machine", a)
	}
	if err := unix.Reboot(command); err != nil {
		return fmt.Errorf("reboot(2) to %s (it takes CAP_SYS_BOOT): %w", a, err)
	}
	return fmt.Errorf("reboot(2) to %s came back", a)
}

// ErrLate is what the error of a step wraps that did not end in time; it goes on in the background.
var ErrLate = errors.New("it has not ended in time")

// Sync writes all filesystems' buffers to the disks and waits for it, until ctx ends: a broken disk, or a network filesystem
// whose server is gone, would keep sync(2) for good.
func Sync(ctx context.Context) error {
	return bounded(ctx, func(context.Context) error {
		unix.Sync()
		return nil
	})
}

// bounded runs do in a goroutine and waits until it ends or ctx does. A panic becomes an error. do gets ctx, and a short while
// after its end to come back with an error of its own.
func bounded(ctx context.Context, do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if caught := recover(); caught != nil {
				done <- fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught)
			}
		}()
		done <- do(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(500 * time.Millisecond)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return fmt.Errorf("%w, and is left to itself", ErrLate)
	}
}

// ReadOnlyRoot mounts / read-only, so that its filesystem is clean. One in memory needs none of it.
func ReadOnlyRoot(ctx context.Context) error {
	return bounded(ctx, func(context.Context) error {
		var fs unix.Statfs_t
		if err := unix.Statfs("/", &fs); err != nil {
			return fmt.Errorf("statfs(/): %w", err)
		}
		const ramfs = 0x858458f6 // RAMFS_MAGIC of include/uapi/linux/magic.h
		if fs.Type == ramfs || fs.Type == unix.TMPFS_MAGIC || fs.Flags&unix.ST_RDONLY != 0 {
			return nil
		}
		if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("mounting / read-only (the next boot checks it): %w", err)
		}
		return nil
	})
}
