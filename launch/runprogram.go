package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"golang.org/x/sys/unix"
)

// maxOutput is how much of a program's output is kept, in bytes.
const maxOutput = 64 << 10

// programRunner runs programs to their end, for those that need mkfs and the like, under the reaper.
type programRunner struct {
	init *pidone.Init
	env  []string
}

// Run runs a program and waits for it; where ctx ends first it is killed. See storage.Runner.
func (r programRunner) Run(ctx context.Context, path string, args ...string) (exitCode int, output string, err error) {
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
	select {
	case <-process.Done():
	case <-ctx.Done():
		if err := process.Signal(unix.SIGKILL); err != nil && !errors.Is(err, pidone.ErrEnded) {
			return 0, said.String(), errors.Join(context.Cause(ctx), err)
		}
		<-process.Done()
		return process.Status().ExitCode(), said.String(), fmt.Errorf("%s was killed: %w", path, context.Cause(ctx))
	}
	select {
	case <-read:
	case <-ctx.Done(): // something that the program left behind holds the pipe
	}
	return process.Status().ExitCode(), said.String(), nil
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
