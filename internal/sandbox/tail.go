package sandbox

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"sync"
)

const (
	tailBytes = 16 << 10
	tailLines = 20
)

// tail keeps the last bytes written through its writers, for the error that says why a process ended.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// lines returns the last lines, at most tailLines, without their newlines.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimRight(string(t.buf), "\r\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-tailLines):]
}

func (t *tail) keep(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailBytes; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
		// The first line is cut: what is left of it would mislead.
		if i := bytes.IndexByte(t.buf, '\n'); i >= 0 {
			t.buf = append(t.buf[:0], t.buf[i+1:]...)
		}
	}
}

// tailWriter hands on to w and keeps the end. A writer that fails gets no more, but never blocks or ends the process that
// writes: a full disk under a log must not stop a daemon.
type tailWriter struct {
	t *tail
	w io.Writer
}

func (tw *tailWriter) Write(p []byte) (int, error) {
	tw.t.keep(p)
	if tw.w != nil {
		if _, err := tw.w.Write(p); err != nil {
			tw.w = nil
			tw.t.keep([]byte("(writing this output on failed: " + err.Error() + ")\n"))
		}
	}
	return len(p), nil
}

// writers returns what exec.Cmd is to write the two outputs to. Where both are the same, so are the results: exec then
// uses one pipe, which keeps the lines in order.
func (t *tail) writers(stdout, stderr io.Writer) (io.Writer, io.Writer) {
	out := &tailWriter{t, stdout}
	if same(stdout, stderr) {
		return out, out
	}
	return out, &tailWriter{t, stderr}
}

func same(a, b io.Writer) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	ta, tb := reflect.TypeOf(a), reflect.TypeOf(b)
	return ta == tb && ta.Comparable() && a == b
}
