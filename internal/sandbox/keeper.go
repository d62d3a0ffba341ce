package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// keeper is the parent's side of a process that holds the reading end of a pipe whose other end only the parent has: when
// the pipe ends without the word, the parent is dead, and the keeper kills PID 1 and removes what the sandbox held.
type keeper struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// dismissed is the word.
const dismissed = "done"

func startKeeper(pidfd *os.File, held holdings) (*keeper, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer r.Close()
	cmd := &exec.Cmd{
		Path: selfExe, Args: []string{keeperName}, Env: []string{"PATH=" + os.Getenv("PATH")},
		Dir:        "/",
		ExtraFiles: []*os.File{r, pidfd}, // become descriptors 3 and 4
		// Out of reach of a terminal that ends the parent.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("starting the sandbox's keeper: %w", err)
	}
	k := &keeper{cmd: cmd, pipe: w}
	if err := json.NewEncoder(w).Encode(held); err != nil {
		return nil, errors.Join(fmt.Errorf("talking to the sandbox's keeper: %w", err), k.dismiss())
	}
	return k, nil
}

// dismiss lets the keeper end and waits for it.
func (k *keeper) dismiss() error {
	_, err := k.pipe.WriteString(dismissed)
	err = errors.Join(err, k.pipe.Close(), k.cmd.Wait())
	if err != nil {
		return fmt.Errorf("dismissing the sandbox's keeper: %w", err)
	}
	return nil
}

// runKeeper is the keeper. It has nobody to complain to but its exit status: when it must act, its parent is dead. What it
// cannot remove, the next start collects.
func runKeeper() int {
	// Whoever ends the parent with a signal to the whole group or session must not end the keeper as well.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	pipe, pidfd := os.NewFile(3, "parent"), 4
	closeFrom3() // release may run programs
	dec := json.NewDecoder(pipe)
	var held holdings
	decErr := dec.Decode(&held)
	rest, err := io.ReadAll(io.MultiReader(dec.Buffered(), pipe))
	if err == nil && len(rest) >= len(dismissed) && string(rest[len(rest)-len(dismissed):]) == dismissed {
		return 0
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return 1
	}
	for {
		// A pidfd becomes readable when its process has ended (pidfd_open(2)).
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(killTimeout.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return 1
		}
		break
	}
	if decErr != nil || held.release(context.Background()) != nil {
		return 1
	}
	return 0
}
