package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// progress shows how far a step is: one line that is drawn over on a terminal, and elsewhere a line when a step begins and
// when it ends.
type progress struct {
	w        io.Writer
	terminal bool
	current  string
	drawn    time.Time
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && isTerminal(f)}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// step reports that done of total parts of a step are done.
func (p *progress) step(name string, done, total int) {
	if !p.terminal {
		if name != p.current {
			fmt.Fprintf(p.w, "%s: %d to do\n", name, total-done+1)
		}
		if p.current = name; done == total {
			fmt.Fprintf(p.w, "%s: done\n", name)
		}
		return
	}
	if name == p.current && done < total && time.Since(p.drawn) < 50*time.Millisecond {
		return
	}
	p.current, p.drawn = name, time.Now()
	fmt.Fprintf(p.w, "\r\x1b[K%s: %d of %d", name, done, total)
}

// end makes room for what is printed next.
func (p *progress) end() {
	if p.terminal && p.current != "" {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
