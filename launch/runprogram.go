package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"golang.org/x/sys/unix"
)

const (
	// maxOutput is how much of a program's output is kept, in bytes.
	maxOutput = 64 << 10
	// programLimit bounds a program's work: the check of a large disk takes minutes, and one that is about to break longer.
	programLimit = 30 * time.Minute
	// repairLimit bounds it where a repair was asked for, which must not be broken off in each boot anew.
	repairLimit = 12 * time.Hour
	// sayEvery is how often it is said that a program goes on.
	sayEvery = 20 * time.Second
	// endGrace is what a program gets to end after each signal that ends it.
	endGrace = 5 * time.Second
)

// programRunner runs programs to their end, for those that need mkfs and the like, under the reaper.
type programRunner struct {
	init *pidone.Init
	env  []string
	// say tells the user that a program goes on.
	say func(text string)
	// limit bounds a program's work.
	limit time.Duration
}

// Run runs a program and waits for it; where ctx or the limit ends first it is ended. See storage.Runner.
func (r *programRunner) Run(ctx context.Context, path string, args ...string) (exitCode int, output string, err error) {
	from, to, err := os.Pipe()
	if err != nil {
		return 0, "", fmt.Errorf("making a pipe for the output of %s: %w", path, err)
	}
	defer from.Close()
	process, err := r.init.Spawn(pidone.Command{
		Path: path, Args: append([]string{path}, args...), Env: r.env, Stdin: pidone.Null, Stdout: int(to.Fd()), Stderr: int(to.Fd()),
	})
	if closeErr := to.Close(); err != nil || closeErr != nil {
		return 0, "", errors.Join(err, closeErr)
	}
	said := &limitedBuffer{}
	read := make(chan struct{})
	r.init.Go(func() {
		defer close(read)
		// What cannot be read any more is the end of the output.
		_, _ = io.Copy(said, from)
	})
	ctx, cancel := context.WithTimeoutCause(ctx, r.limit, fmt.Errorf("it has not ended within %v", r.limit))
	defer cancel()
	if err := r.wait(ctx, strings.Join(append([]string{path}, args...), " "), process); err != nil {
		return 0, said.String(), err
	}
	select {
	case <-read:
	case <-time.After(endGrace): // something that the program left behind holds the pipe
	}
	return process.Status().ExitCode(), said.String(), nil
}

// wait waits for a process, and ends it where ctx ends: by SIGTERM, upon which e2fsck writes what it has in memory, then by
// SIGKILL. The error is then the cause.
func (r *programRunner) wait(ctx context.Context, name string, process interface {
	Done() <-chan struct{}
	Signal(unix.Signal) error
}) error {
	began := time.Now()
	for ctx.Err() == nil {
		select {
		case <-process.Done():
			return nil
		case <-ctx.Done():
		case <-time.After(sayEvery):
			r.say(fmt.Sprintf("%s goes on: %v of at most %v. Ctrl-Alt-Del and the power button end it",
				name, time.Since(began).Round(time.Second), r.limit))
		}
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := process.Signal(signal); err != nil && !errors.Is(err, pidone.ErrEnded) {
			return errors.Join(context.Cause(ctx), err)
		}
		select {
		case <-process.Done():
			return fmt.Errorf("%s was ended: %w", name, context.Cause(ctx))
		case <-time.After(endGrace):
		}
	}
	return fmt.Errorf("%s was killed, and does not end: it waits in the kernel for a disk that does not answer: %w", name, context.Cause(ctx))
}

// limitedBuffer keeps the first maxOutput bytes and takes the rest without keeping it.
type limitedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *limitedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := maxOutput - b.buffer.Len(); room > 0 {
		b.buffer.Write(data[:min(room, len(data))])
	}
	return len(data), nil
}

func (b *limitedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
