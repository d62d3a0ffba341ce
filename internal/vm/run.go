package vm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/vm/script"
)

// Result is what became of one command.
type Result struct {
	// Name is the command's package or path, with its arguments.
	Name string
	// Status is the exit status, 128+n when signal n ended the program, 127 when it could not be started.
	Status int
	// Output is what the program wrote to its standard output and error, unmixed with the console.
	Output string
	// Message is why a program could not be started.
	Message string
}

// Run boots a machine, runs the commands one after the other, and returns their results in the same order. The test fails
// where the machine does not come up, or ends before it has reported on all of them.
func Run(t testing.TB, o Options) []Result {
	t.Helper()
	if o.Init+o.Initramfs != "" || len(o.Commands) == 0 {
		t.Fatal("vm.Run needs Commands, and the harness's init to run them")
	}
	m, listener := start(t, o, true)
	results := make([]Result, len(o.Commands))
	for i, c := range o.Commands {
		results[i].Name = strings.Join(append([]string{c.Test + c.Program + c.Path}, c.Args...), " ")
		results[i].Status = -1
	}
	conn, err := listener.Accept()
	if err != nil {
		<-m.done
		t.Fatalf("QEMU did not start: %v (%v)", m.err, err)
	}
	defer conn.Close()
	done := false
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e script.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Command >= len(results) {
			t.Errorf("the machine reported %q: %v", lines.Text(), err)
			continue
		}
		r := &results[e.Command]
		switch e.Kind {
		case "output":
			r.Output += string(e.Data)
			show(e.Data)
		case "exit":
			r.Status, r.Message = e.Status, e.Message
		case "error":
			t.Errorf("the machine's init: %s", e.Message)
		case "done":
			done = true
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("reading the machine's report: %v", err)
	}
	if err := m.Wait(); err != nil {
		t.Errorf("the machine: %v", err)
	}
	if !done {
		t.Fatalf("the machine ended before its work was done; results until then: %+v", results)
	}
	return results
}

// show prints what the machine said under go test -v, as it comes. Each line gets a mark, so that a test inside is not
// taken for one of the host's.
func show(data []byte) {
	if testing.Verbose() {
		for line := range bytes.Lines(data) {
			fmt.Fprintf(os.Stderr, "  vm| %s\n", bytes.Trim(line, "\r\n"))
		}
	}
}

// Check fails the test where the command did not exit with status 0.
func (r Result) Check(t testing.TB) {
	t.Helper()
	if r.Status != 0 {
		t.Errorf("%s: exit status %d %s\n%s", r.Name, r.Status, r.Message, r.Output)
	}
}

// CheckTest fails the test where the command is not a Go test binary in which each of the named top-level tests ran and
// passed: one that runs nothing exits with 0 too. The command needs -test.v among its arguments.
func (r Result) CheckTest(t testing.TB, names ...string) {
	t.Helper()
	r.Check(t)
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^--- PASS: ` + regexp.QuoteMeta(name) + ` `).MatchString(r.Output) {
			t.Errorf("%s: %s did not pass:\n%s", r.Name, name, r.Output)
		}
	}
}
