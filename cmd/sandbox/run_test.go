package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

const settled = "Ctrl-C ends it."

func TestRun(t *testing.T) {
	state := t.TempDir()
	r := launch(t, state)
	out := r.waitFor(settled)
	for _, want := range []string{"memory limit     64 MiB (67108864 bytes)", "default gateway  172.17.0.1 on eth0", "process ID       1", "the daemon answered after"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	m := regexp.MustCompile(`export DOCKER_HOST=unix://(\S+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal("no DOCKER_HOST line")
	}
	if got := ping(t, m[1]); got != "OK" {
		t.Errorf("the daemon answered %q", got)
	}
	// What a terminal does at Ctrl-C, by an impatient person, who may be slower than the end.
	r.signalGroup(unix.SIGINT)
	for range 2 {
		time.Sleep(10 * time.Millisecond)
		if err := unix.Kill(-r.cmd.Process.Pid, unix.SIGINT); err != nil && err != unix.ESRCH {
			t.Fatal(err)
		}
	}
	r.end(0)
	if out := r.out.String(); !strings.Contains(out, "stopping     interrupt") || !strings.Contains(out, "stopped ") {
		t.Error("it does not say that it stopped")
	}
	log, err := os.ReadFile(filepath.Join(state, "dockerd.log"))
	if err != nil || !strings.Contains(string(log), "Daemon shutdown complete") {
		t.Errorf("the daemon was not stopped cleanly, by its log: %v\n%s", err, log)
	}
	if strings.Contains(string(log), "Processing signal 'interrupt'") {
		t.Error("the terminal's signals reached the daemon")
	}

	// Again on the same state, with the image there; and another signal.
	again := launch(t, state, "--verbose", "--", "dockerd", "--debug")
	again.waitFor(settled)
	again.signalGroup(unix.SIGTERM)
	again.end(0)
	// With --debug the daemon logs its clients' requests.
	verbose := again.errOut.String()
	if !strings.Contains(verbose, "Daemon shutdown complete") || !regexp.MustCompile(`Calling POST \S*/containers/create`).MatchString(verbose) {
		t.Errorf("--verbose does not show the log:\n%s", verbose)
	}
	if regexp.MustCompile(`Calling POST \S*/images/create`).MatchString(verbose) {
		t.Error("the image was made again")
	}
}

func ping(t *testing.T, socket string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	resp, err := client.Get("http://docker/_ping")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDaemonThatDies(t *testing.T) {
	r := launch(t, t.TempDir())
	r.waitFor(settled)
	if err := unix.Kill(r.inner(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.end(1)
	if e := r.errOut.String(); !strings.Contains(e, "ended with status 137") || !strings.Contains(e, "API listen on") {
		t.Errorf("neither its status nor the end of its log: %s", e)
	}
}

func TestDaemonThatDoesNotStart(t *testing.T) {
	r := launch(t, t.TempDir(), "--", "dockerd", "--no-such-flag")
	r.end(1)
	if e := r.errOut.String(); !strings.Contains(e, "ended with status") || !strings.Contains(e, "no-such-flag") {
		t.Errorf("neither its status nor the end of its log: %s", e)
	}
}

func TestSignalWhileItStarts(t *testing.T) {
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond} {
		r := launch(t, t.TempDir())
		r.waitFor("started")
		time.Sleep(after)
		r.signalGroup(unix.SIGHUP)
		r.end(0)
		if e := r.errOut.String(); e != "" {
			t.Errorf("after %v: %s", after, e)
		}
	}
}

func TestReaderThatGoesAway(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r := launchTo(t, pw, t.TempDir())
	buf := make([]byte, 1)
	if _, err := pr.Read(buf); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pr.Close(), pw.Close()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // long enough for it to write more
	select {
	case <-r.ended:
		t.Errorf("it ended with status %d when nobody read its output", r.code)
	default:
		r.signalGroup(unix.SIGTERM)
	}
	r.end(0)
}

func TestUnprivileged(t *testing.T) {
	testenv.NeedRoot(t)
	// Where everybody may execute it: the test binary lies in a folder of root's.
	dir, err := os.MkdirTemp("", "sandbox-unprivileged-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "sandbox")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(exe, self, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--root", dir)
	cmd.Dir = "/"
	cmd.Env = []string{selfVar + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "needs root") {
		t.Errorf("%v, %s", err, out)
	}
}

// TestLogOfARunningSandboxStays: a second run on one state is refused, and leaves the first one's log as it is.
func TestLogOfARunningSandboxStays(t *testing.T) {
	state := t.TempDir()
	name := filepath.Join(state, "dockerd.log")
	if err := os.WriteFile(name, []byte("what the first says\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, started := range []bool{false, true} {
		log, err := openLog(config{state: state}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Write([]byte("what the second says\n")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(log.place(started), log.Close()); err != nil {
			t.Fatal(err)
		}
		want := "what the first says\n"
		if started {
			want = "what the second says\n"
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("started %v: the log is %q, %v", started, got, err)
		}
		if entries, err := os.ReadDir(state); err != nil || len(entries) != 1 {
			t.Errorf("started %v: %d files in the state folder, %v", started, len(entries), err)
		}
	}
}
