package launch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tailLines is how many lines of a program's output are kept for the message that tells of its end.
	tailLines = 5
	// maxLine is how much of a line is kept, in bytes.
	maxLine = 400
	// drainLimit bounds the wait for output that is still on its way when its program has ended: a process that the program
	// left behind may hold the pipe open for ever.
	drainLimit = 200 * time.Millisecond
)

// tail copies a program's output to where it belongs and remembers its last lines. Each line is handed to observe.
type tail struct {
	mu      sync.Mutex
	lines   []string
	partial []byte
	observe func(line string)
	done    chan struct{}
}

// pipe makes a pipe whose writing end, which it returns, is the program's output; copying goes on until the last holder has closed
// it. Only the end that is read here is one for the runtime's poller.
func (t *tail) pipe(name string, to io.Writer, run func(func())) (w int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	if err := unix.SetNonblock(ends[0], true); err != nil {
		return -1, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(ends[0]), unix.Close(ends[1]))
	}
	r := os.NewFile(uintptr(ends[0]), "the output of "+name)
	t.done = make(chan struct{})
	done := t.done
	run(func() {
		defer close(done)
		defer r.Close()
		buffer := make([]byte, 16<<10)
		for {
			n, err := r.Read(buffer)
			t.take(buffer[:n])
			// A reader of ours that went away must not stop the daemon: what it says is read all the same.
			_, _ = to.Write(buffer[:n])
			if err != nil {
				if err != io.EOF {
					// Its next line finds nobody: SIGPIPE for one that does not expect that.
					_, _ = fmt.Fprintf(to, "dockerlaunch: the output of %s cannot be read any more, which may end it: %v\n", name, err)
				}
				return
			}
		}
	})
	return ends[1], nil
}

// take remembers output.
func (t *tail) take(data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		if room := maxLine - len(t.partial); room > 0 {
			t.partial = append(t.partial, line[:min(len(line), room)]...)
		}
		data = rest
		if !ended {
			return
		}
		text := string(t.partial)
		t.partial = t.partial[:0]
		t.lines = append(t.lines, text)
		if len(t.lines) > tailLines {
			t.lines = append(t.lines[:0], t.lines[1:]...)
		}
		if t.observe != nil {
			t.observe(text)
		}
	}
}

// last returns the last lines, once all output is in or drainLimit is over.
func (t *tail) last() string {
	if t.done == nil {
		return ""
	}
	select {
	case <-t.done:
	case <-time.After(drainLimit):
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
