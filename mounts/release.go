package mounts

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// release lets go of loop devices and swap files on mounts that are still there, and tells of which. What does not work is in
// the list too.
func release(results []UnmountResult) (released []string) {
	holds := func(file string) bool {
		for _, r := range results {
			if r.Outcome == Stuck && within(file, r.entry.Target) {
				return true
			}
		}
		return false
	}
	for _, l := range loopFiles() {
		if holds(l.file) {
			released = append(released, outcome(l.device+" on "+printable(l.file), freeLoop("/dev/"+l.device)))
		}
	}
	for _, file := range swapFiles() {
		if holds(file) {
			released = append(released, outcome("swap to "+printable(file), swapOff(file)))
		}
	}
	return released
}

func outcome(what string, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: %v", what, err)
	}
	return what
}

// freeLoop detaches a loop device from its file. One that is mounted is detached by the kernel after that, see loop(4).
func freeLoop(device string) error {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0), unix.Close(fd))
}

// swapOff is swapoff(2).
func swapOff(path string) error {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(name)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
