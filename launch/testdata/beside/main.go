// Command beside is PID 1 of a system whose user starts a program of his own before the launcher: BESIDE is its command line,
// BESIDE_SOCKET where it answers. Then the launcher at /opt/launcher takes its place, with that program as its child.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "beside:", err)
		os.Exit(1)
	}
}

func run() error {
	if os.Getpid() != 1 { // under another name, as modprobe
		return syscall.Exec("/opt/launcher", os.Args, os.Environ())
	}
	// What every program wants to see; the launcher keeps it.
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	words := strings.Fields(os.Getenv("BESIDE"))
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr // there may be no /dev/null yet
	if err := cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", os.Getenv("BESIDE_SOCKET"))
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			return err
		}
	}
	return syscall.Exec("/opt/launcher", append([]string{"/usr/bin/dockerlaunch"}, os.Args[1:]...), os.Environ())
}
