// Command init is process 1 of a test machine. It needs nothing of the kernel but the initramfs it lies in: no /proc, no
// /dev, no module. It runs the commands of its script one after the other, reports through the second serial port, and
// turns the machine off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/vm/script"
)

func main() {
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	rep, err := openReport()
	if err != nil {
		fmt.Fprintf(os.Stderr, "vm init: %v\n", err)
	} else if err := work(rep); err != nil {
		rep.send(script.Event{Kind: "error", Message: err.Error()})
	} else {
		rep.send(script.Event{Kind: "done"})
	}
	rep.drain()
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintf(os.Stderr, "vm init: turning the machine off: %v\n", err)
	}
	os.Exit(1) // the kernel panics, and with panic=-1 and -no-reboot that ends the machine too
}

func work(rep *report) error {
	data, err := os.ReadFile(script.Path)
	if err != nil {
		return err
	}
	var s script.Script
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("reading %s: %w", script.Path, err)
	}
	for _, name := range s.Mount {
		if err := mount(name); err != nil {
			return err
		}
	}
	rep.send(script.Event{Kind: "ready"})
	for i, c := range s.Commands {
		status, err := run(rep, i, c)
		event := script.Event{Kind: "exit", Command: i, Status: status}
		if err != nil {
			event.Message = err.Error()
		}
		rep.send(event)
	}
	return nil
}

func mount(name string) error {
	table := map[string]struct{ fstype, target string }{
		"proc": {"proc", "/proc"}, "sys": {"sysfs", "/sys"}, "dev": {"devtmpfs", "/dev"}, "tmp": {"tmpfs", "/tmp"},
	}
	m, ok := table[name]
	if !ok {
		return fmt.Errorf("mount: nothing is called %q here", name)
	}
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.fstype, m.target, m.fstype, 0, ""); err != nil {
		return &os.PathError{Op: "mount " + m.fstype, Path: m.target, Err: err}
	}
	return nil
}

// run starts the program, copies what it prints into the report, and waits for it. Orphans that end meanwhile are reaped.
func run(rep *report, index int, c script.Command) (status int, err error) {
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return 127, err
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return 127, err
	}
	inWrite.Close() // standard input is at its end; there may be no /dev/null to say so
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return 127, err
	}
	argv := append([]string{filepath.Base(c.Path)}, c.Args...)
	pid, err := syscall.ForkExec(c.Path, argv, &syscall.ProcAttr{
		Dir: c.Dir, Env: c.Env, Files: []uintptr{inRead.Fd(), outWrite.Fd(), outWrite.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	inRead.Close()
	outWrite.Close()
	if err != nil {
		return 127, &os.PathError{Op: "exec", Path: c.Path, Err: err}
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		buf := make([]byte, 16<<10)
		for {
			n, err := outRead.Read(buf)
			if n > 0 {
				rep.send(script.Event{Kind: "output", Command: index, Data: buf[:n]})
			}
			if err != nil {
				return
			}
		}
	}()
	if c.Limit > 0 {
		timer := time.AfterFunc(c.Limit, func() {
			rep.send(script.Event{Kind: "output", Command: index, Data: fmt.Appendf(nil, "\nvm init: ended after %v\n", c.Limit)})
			unix.Kill(-pid, unix.SIGKILL) // the exit status tells whether it worked
		})
		defer timer.Stop()
	}
	status = wait(pid)
	// A daemon that the program left behind may hold the pipe open: what it prints later is not this command's.
	select {
	case <-copied:
	case <-time.After(time.Second):
	}
	outRead.Close()
	return status, nil
}

func wait(pid int) int {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 127
		case got == pid && ws.Exited():
			return ws.ExitStatus()
		case got == pid && ws.Signaled():
			return 128 + int(ws.Signal())
		}
	}
}

// report is the second serial port.
type report struct {
	mu sync.Mutex
	fd int
}

func openReport() (*report, error) {
	fd, err := unix.Open(script.Report, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: script.Report, Err: err}
	}
	termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, &os.PathError{Op: "tcgets", Path: script.Report, Err: err}
	}
	// Raw, so that the line discipline neither turns \n into \r\n nor echoes.
	termios.Iflag, termios.Oflag, termios.Lflag = 0, 0, 0
	termios.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, termios); err != nil {
		return nil, &os.PathError{Op: "tcsets", Path: script.Report, Err: err}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, &os.PathError{Op: "fcntl", Path: script.Report, Err: err}
	}
	return &report{fd: fd}, nil
}

func (r *report) send(e script.Event) {
	line, err := json.Marshal(e)
	if err != nil {
		fmt.Fprintf(os.Stderr, "vm init: %v\n", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for rest := append(line, '\n'); len(rest) > 0; {
		n, err := unix.Write(r.fd, rest)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // the host then misses an event and says so
			fmt.Fprintf(os.Stderr, "vm init: writing the report: %v\n", err)
			return
		}
		rest = rest[n:]
	}
}

// drain waits until the last byte has left the port; power goes at once.
func (r *report) drain() {
	if r == nil {
		return
	}
	if err := unix.IoctlSetInt(r.fd, unix.TCSBRK, 1); err != nil {
		fmt.Fprintf(os.Stderr, "vm init: draining the report: %v\n", err)
	}
}
