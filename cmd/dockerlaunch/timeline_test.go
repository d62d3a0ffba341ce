package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/report"
)

const machineReport = "../../launch/report/testdata/machine.json"

// show runs the verb and returns what it wrote.
func show(t *testing.T, env map[string]string, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	status = timeline(args, func(name string) string { return env[name] }, strings.NewReader(stdin), &out, &said)
	return status, out.String(), said.String()
}

func TestTimeline(t *testing.T) {
	data, err := os.ReadFile(machineReport)
	if err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(t.TempDir(), "start.svg")
	for _, test := range []struct {
		args   []string
		stdin  string
		env    map[string]string
		status int
		says   string // part of the output, or of the message where it fails
		not    string
	}{
		{args: []string{machineReport}, says: "█", not: "\x1b"},
		{args: []string{machineReport}, env: map[string]string{"LANG": "C"}, says: "#", not: "█"},
		{args: []string{machineReport}, env: map[string]string{"LANG": "C", "LC_ALL": "de_DE.UTF-8"}, says: "█"},
		{args: []string{machineReport}, env: map[string]string{"COLUMNS": "50"}, says: "ready", not: strings.Repeat(" ", 45)},
		{args: []string{"-"}, stdin: string(data), says: "kernel"},
		{args: []string{"--svg", "-", machineReport}, says: "<svg "},
		{args: []string{"--svg=" + picture, machineReport}},
		{args: []string{"--json", machineReport}, says: `"boot_ns": 1834000000`},
		{args: []string{"--help"}, says: "--svg"},

		{args: []string{"--svg", "/nonexistent/x.svg", machineReport}, status: 1, says: "/nonexistent/x.svg"},
		{args: []string{"/nonexistent"}, status: 1, says: "there is no report"},
		{args: []string{"/nonexistent"}, status: 1, says: "/nonexistent: no such file"},
		{args: []string{"-"}, stdin: "{", status: 1, says: "no report of a start"},
		{args: []string{"-"}, stdin: "{}", status: 1, says: "no report of a start"},
		{args: []string{"-"}, stdin: "null", status: 1, says: "no report of a start"},
		{args: []string{"--svg=-", "--json"}, status: 2, says: "exclude"},
		{args: []string{"--svg="}, status: 2, says: "needs the name"},
		{args: []string{"a", "b"}, status: 2, says: "one report"},
		{args: []string{"--wrong"}, status: 2, says: "--wrong"},
	} {
		status, stdout, stderr := show(t, test.env, test.stdin, test.args...)
		text := stdout
		if test.status != 0 {
			text = stderr
			if stdout != "" {
				t.Errorf("%q: output beside the message: %s", test.args, stdout)
			}
		}
		if status != test.status || !strings.Contains(text, test.says) || test.not != "" && strings.Contains(text, test.not) {
			t.Errorf("%q: exit status %d, want %d, saying %q and not %q:\n%s%s", test.args, status, test.status, test.says, test.not, stdout, stderr)
		}
	}
	if drawn, err := os.ReadFile(picture); err != nil || !bytes.HasPrefix(drawn, []byte("<svg ")) {
		t.Errorf("%v: %.100s", err, drawn)
	}
}

// The report that is printed is the one that was read.
func TestTimelineJSON(t *testing.T) {
	_, stdout, _ := show(t, nil, "", "--json", machineReport)
	again, err := report.Parse(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	first, err := report.Read(machineReport)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := json.Marshal(first)
	b, errB := json.Marshal(again)
	if errors.Join(errA, errB) != nil || !bytes.Equal(a, b) {
		t.Errorf("%s\n%s", a, b)
	}
}

// On a terminal the drawing is as wide as that, and coloured unless NO_COLOR is set.
func TestTimelineOnTerminal(t *testing.T) {
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testenv.Missing(t, "it needs a pseudoterminal: "+err.Error())
	}
	defer pty.Close()
	if err := unix.IoctlSetWinsize(int(pty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 70, Row: 20}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env   map[string]string
		color bool
	}{{nil, true}, {map[string]string{"NO_COLOR": "1"}, false}, {map[string]string{"TERM": "dumb"}, false}, {map[string]string{"NO_COLOR": ""}, true}} {
		s := style(func(name string) string { return test.env[name] }, pty)
		if s.Width != 70 || s.Color != test.color || s.ASCII {
			t.Errorf("%v: %+v", test.env, s)
		}
	}
}

// The verb is known to main, and to the help.
func TestTimelineIsAVerb(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run([]string{verbTimeline, machineReport}, &stdout, &stderr); status != 0 || !strings.Contains(stdout.String(), "ready after") {
		t.Errorf("exit status %d:\n%s%s", status, stdout.String(), stderr.String())
	}
	if !strings.Contains(helpText(), "dockerlaunch "+verbTimeline) {
		t.Errorf("the help does not name it:\n%s", helpText())
	}
}
