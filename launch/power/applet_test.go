package power

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseOrder(t *testing.T) {
	for line, want := range map[string]order{
		"poweroff":                  {action: PowerOff},
		"reboot":                    {action: Reboot},
		"halt":                      {action: Halt},
		"halt -p":                   {action: PowerOff},
		"reboot -f":                 {action: Reboot, force: true},
		"reboot -ffnd":              {action: Reboot, force: true, noSync: true},
		"poweroff --force --reboot": {action: Reboot, force: true},
		"halt -w":                   {action: Halt, record: true},
		"halt --help":               {action: Halt, help: true},
		"shutdown now":              {action: PowerOff},
		"shutdown -h now":           {action: PowerOff},
		"shutdown -r +0 bye bye":    {action: Reboot},
		"shutdown -H now":           {action: Halt},
		"shutdown --help":           {action: PowerOff, help: true},
	} {
		words := strings.Fields(line)
		if got, err := parseOrder(words[0], words[1:]); got != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"reboot now", "poweroff -x", "halt --later", "shutdown", "shutdown -h", "shutdown +5", "shutdown -c", "shutdown -f now", "shutdown 12:00"} {
		words := strings.Fields(line)
		if got, err := parseOrder(words[0], words[1:]); err == nil {
			t.Errorf("%s: %+v and no error", line, got)
		}
	}
}

func FuzzParseOrder(f *testing.F) {
	f.Add("shutdown", "-h\nnow\nbye")
	f.Add("reboot", "-f\n--no-sync")
	f.Fuzz(func(t *testing.T, name, args string) {
		if o, err := parseOrder(name, strings.Split(args, "\n")); err == nil && !o.action.Out() {
			t.Errorf("%q %q: %+v", name, args, o)
		}
	})
}

// process makes folders as /proc has them for a process.
func process(t *testing.T, comm, caught, exe string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"comm": comm + "\n", "status": "Name:\tx\nSigCgt:\t" + caught + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if exe == "" {
		exe = "/x"
	}
	if err := os.Symlink(exe, filepath.Join(dir, "exe")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestApplet(t *testing.T) {
	const all, none = "fffffffffffffeff", "0000000000000000"
	for name, c := range map[string]struct {
		args     string
		init     [3]string
		send     error
		machine  bool
		status   int
		sent     unix.Signal
		did      string
		complain string
	}{
		"the launcher":              {args: "poweroff", init: [3]string{"dockerlaunch", all, "/x"}, sent: 38},
		"the launcher as init":      {args: "reboot", init: [3]string{"init", all, "/x"}, sent: 39},
		"systemd":                   {args: "halt", init: [3]string{"systemd", none, "/x"}, status: 1, complain: "PID 1 is systemd"},
		"systemd that listens":      {args: "halt", init: [3]string{"systemd", "7fe3c0fe28014a03", "/x"}, sent: 37},
		"this program, renamed":     {args: "halt", init: [3]string{"renamed", all, "/bin/sh"}, sent: 37},
		"tini":                      {args: "poweroff", init: [3]string{"tini", all, "/x"}, status: 1, complain: "PID 1 is tini, which does not act"},
		"an init of another kind":   {args: "poweroff", init: [3]string{"init", none, "/x"}, status: 1, complain: "neither dockerlaunch nor"},
		"no permission":             {args: "poweroff", init: [3]string{"init", all, "/x"}, send: unix.EPERM, status: 1, sent: 38, complain: "only root may"},
		"wrong arguments":           {args: "poweroff soon", status: 2, complain: `"soon" is not understood`},
		"a record":                  {args: "poweroff -w"},
		"by force":                  {args: "reboot -f", machine: true, status: 1, did: "sync reboot", complain: "rebooted"},
		"by force, without sync":    {args: "poweroff -fn", machine: true, status: 1, did: "power off", complain: "rebooted"},
		"by force in a container":   {args: "reboot -f", status: 1, complain: "container"},
		"shutdown":                  {args: "shutdown -r now", init: [3]string{"init", all, "/x"}, sent: 39},
		"signals that nobody knows": {args: "halt", init: [3]string{"init", "x", "/x"}, status: 1, complain: "invalid syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			var sent unix.Signal
			var did []string
			words := strings.Fields(c.args)
			a := applet{
				name: words[0], out: &out, err: &stderr,
				self: process(t, "x", all, "/bin/sh"), init: process(t, c.init[0], c.init[1], c.init[2]),
				send:    func(s unix.Signal) error { sent = s; return c.send },
				machine: func() bool { return c.machine },
				system: system{
					sync:   func(context.Context) error { did = append(did, "sync"); return nil },
					reboot: func(a Action, _ bool) error { did = append(did, string(a)); return errRebooted },
				},
			}
			if status := a.run(words[1:]); status != c.status || sent != c.sent || strings.Join(did, " ") != c.did {
				t.Errorf("status %d, signal %d, did %q: %s", status, sent, did, stderr.String())
			}
			if !strings.Contains(stderr.String(), c.complain) || c.complain == "" && stderr.Len() > 0 {
				t.Errorf("it complains: %s", stderr.String())
			}
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestAppletHelp(t *testing.T) {
	for _, name := range []string{"poweroff", "reboot", "halt", "shutdown"} {
		var out, stderr bytes.Buffer
		if status := Applet(name, []string{"--help"}, &out, &stderr); status != 0 || stderr.Len() > 0 || !strings.HasPrefix(out.String(), "Usage: "+name) {
			t.Errorf("%s: status %d, %s%s", name, status, out.String(), stderr.String())
		}
		if !IsApplet(name) {
			t.Errorf("%s is none", name)
		}
		if status := Applet(name, []string{"--help"}, brokenWriter{}, &stderr); status != 1 {
			t.Errorf("%s to a full disk: status %d", name, status)
		}
	}
	if IsApplet("modprobe") {
		t.Error("modprobe is none of these")
	}
}

func TestCatches(t *testing.T) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	// The Go runtime handles all but those that nobody can.
	for s, want := range map[unix.Signal]bool{unix.SIGTERM: true, unix.SIGKILL: false, 38: true, unix.SIGSTOP: false} {
		if got, err := catches(string(data), s); got != want || err != nil {
			t.Errorf("signal %d: %v, %v", s, got, err)
		}
	}
	if _, err := catches("", 1); err == nil {
		t.Error("a status without the line was no error")
	}
}
