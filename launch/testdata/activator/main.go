// Command activator hands a listening socket to the launcher at /opt/launcher, as systemd does for a unit with a socket unit
// (sd_listen_fds(3)): /mine.sock as descriptor 3, and another beside it as 4.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "activator:", err)
		os.Exit(1)
	}
}

func run() error {
	if os.Getpid() != 1 { // under another name, as modprobe
		return syscall.Exec("/opt/launcher", os.Args, os.Environ())
	}
	for i, path := range []string{"/mine.sock", "/second.sock"} {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
			return err
		}
		if err := syscall.Listen(fd, 10); err != nil {
			return err
		}
		if fd != 3+i {
			// The Go runtime may have descriptors of its own there, which it needs no more.
			if err := syscall.Dup3(fd, 3+i, 0); err != nil {
				return err
			}
		}
	}
	env := append(os.Environ(), "LISTEN_FDS=2", "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	return syscall.Exec("/opt/launcher", append([]string{"/usr/bin/dockerlaunch"}, os.Args[1:]...), env)
}
