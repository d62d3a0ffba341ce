// Command probe is the first program of a machine whose start is measured: it leaves a child that waits for Docker, and
// executes the init that the kernel command line names as BENCH_INIT. So whatever the init is, the same program tells in the
// same way when Docker answered. It says one line on the console, which package boot reads.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/bench/boot/line"
	"github.com/dockerlaunch/dockerlaunch/internal/bench/ping"
)

// waitWord makes this program the child; behind it stands when the init was executed, in nanoseconds.
const waitWord = "bench-wait"

// procDir is where the child sees the processes, in a mount namespace of its own, whatever the init mounts.
const procDir = "/bench/proc"

// limit bounds the wait.
const limit = 5 * time.Minute

func main() {
	runtime.LockOSThread() // a mount namespace is a thread's
	var err error
	if len(os.Args) == 3 && os.Args[1] == waitWord {
		err = wait(os.Args[2])
	} else {
		err = launch()
	}
	fmt.Printf("%s %v\n", line.Failed, err)
	if os.Getpid() == 1 {
		select {} // the kernel would panic; who reads the console ends the machine
	}
	os.Exit(1)
}

// launch executes the init. It returns only on failure.
func launch() error {
	path := os.Getenv("BENCH_INIT")
	if path == "" {
		return errors.New("the kernel command line has no BENCH_INIT")
	}
	var env []string
	for _, word := range os.Environ() {
		if !strings.HasPrefix(word, "BENCH_INIT=") {
			env = append(env, word)
		}
	}
	begin := strconv.FormatInt(uptime(), 10)
	child, err := os.StartProcess("/init", []string{"bench-probe", waitWord, begin}, &os.ProcAttr{
		Env: []string{"GOMAXPROCS=1"}, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return err
	}
	if err := child.Release(); err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: path, Err: unix.Exec(path, []string{"/init"}, env)}
}

// wait says when Docker answered. It returns only on failure.
func wait(begin string) error {
	initAt, err := strconv.ParseInt(begin, 10, 64)
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if err := unix.Mount("proc", procDir, "proc", 0, ""); err != nil {
		return &os.PathError{Op: "mount", Path: procDir, Err: err}
	}
	// A path that stays the same where the init makes another folder the root.
	if err := unix.Chdir(procDir); err != nil {
		return &os.PathError{Op: "chdir", Path: procDir, Err: err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		err := ping.Unix(ctx, "1/root/run/docker.sock")
		ready := uptime()
		if err == nil {
			modules, err := os.ReadFile("modules")
			if err != nil {
				return err
			}
			fmt.Println(line.Line{Init: time.Duration(initAt), Ready: time.Duration(ready), Modules: strings.Count(string(modules), "\n")})
			select {}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no answer within %v: %w", limit, err)
		}
		pause := unix.NsecToTimespec(int64(5 * time.Millisecond))
		if err := unix.Nanosleep(&pause, nil); err != nil && err != unix.EINTR {
			return os.NewSyscallError("nanosleep", err)
		}
	}
}

// uptime is the time since the kernel's start in nanoseconds, as in /proc/uptime.
func uptime() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // every kernel has it (clock_gettime(2))
	}
	return t.Nano()
}
