package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel drops a signal that PID 1 has no handler for yet.
func TestStopAtOnce(t *testing.T) {
	o := options(t, "sleep")
	for range 5 {
		sb := start(t, o)
		if err := sb.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := sb.Wait(); got != 2 { // what Go's runtime does with SIGTERM
			t.Errorf("status %d", got)
		}
	}
}

func TestExitStatusAndOutput(t *testing.T) {
	for _, code := range []int{0, 3, 255} {
		out, got := run(t, options(t, "exit", fmt.Sprint(code)))
		if got != code || !strings.Contains(out, "out: leaving") || !strings.Contains(out, "err: leaving") {
			t.Errorf("status %d, want %d; output %q", got, code, out)
		}
	}
	// Killed from outside: a signal from within cannot kill PID 1.
	sb := start(t, options(t, "sleep"))
	if err := sb.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := sb.Wait(); got != 128+9 {
		t.Errorf("status %d after SIGKILL", got)
	}
	if err := sb.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to an ended launcher: %v", err)
	}
}

func TestServing(t *testing.T) {
	before, err := TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, "serve")
	for _, h := range mustHierarchies(t) {
		if strings.HasSuffix(h.Mountpoint, "/pids") && !h.V2 {
			o.Argv = append(o.Argv, "pids", "docker")
		}
	}
	sb := start(t, o)
	if err := sb.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}

	// The network, both ways: the stub answers with the address it was called from.
	got := dial(t, net.JoinHostPort(sb.Addr().String(), "7"))
	if host, _, _ := net.SplitHostPort(got); host != sb.HostAddr().String() {
		t.Errorf("the sandbox saw %s, want the host's end %s", got, sb.HostAddr())
	}

	// Its groups hold it, and what it made below them.
	dirs := sb.CgroupDirs()
	if len(dirs) != len(mustHierarchies(t)) || len(dirs) == 0 {
		t.Errorf("groups %v", dirs)
	}
	for _, dir := range dirs {
		if pids := groupProcs(dir); len(pids) != 2 {
			t.Errorf("%s holds %v, want the stub and its child", dir, pids)
		}
	}
	for i, arg := range o.Argv {
		if arg == "pids" {
			inner := filepath.Join(dirs[indexOf(t, dirs, "/pids/")], o.Argv[i+1], "nested")
			if len(groupProcs(inner)) != 1 {
				t.Errorf("the group of the stub's child, %s, is not below the sandbox's", inner)
			}
		}
	}

	// While it runs, both ways of looking see it.
	left, err := sb.LeftOver(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("process %d ", sb.PID()), "network device " + sb.veth.Name, "cgroup " + dirs[0]} {
		if !strings.Contains(strings.Join(left, "\n"), want) {
			t.Errorf("LeftOver does not see %q of a running sandbox:\n%s", want, strings.Join(left, "\n"))
		}
	}
	during, err := TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	added := strings.Join(before.New(during), "\n")
	for _, want := range []string{sb.veth.Name, "cgroup " + dirs[0], "namespace net:", "namespace cgroup:"} {
		if !strings.Contains(added, want) {
			t.Errorf("the snapshot does not see %q of a running sandbox:\n%s", want, added)
		}
	}
	for line := range strings.Lines(added) {
		if strings.HasPrefix(line, "mount") && strings.Contains(line, sb.State()) {
			t.Errorf("a mount of the sandbox shows on the host: %s", line)
		}
	}

	if err := sb.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := sb.Wait(); got != 7 {
		t.Errorf("status %d after SIGTERM, want the stub's 7", got)
	}
	nothingLeft(t, sb)
	after, err := TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	rest := strings.Join(before.New(after), "\n")
	for _, gone := range append([]string{sb.veth.Name, sb.State()}, dirs...) {
		if strings.Contains(rest, gone) {
			t.Errorf("%s is still there after Stop", gone)
		}
	}
	if err := sb.Stop(context.Background()); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	for name, stop := range map[string]func(sb *Sandbox) error{
		"timeout": func(sb *Sandbox) error { return sb.Stop(context.Background()) },
		"ctx": func(sb *Sandbox) error {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			return sb.Stop(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "deaf")
			o.StopTimeout = 300 * time.Millisecond
			if name == "ctx" {
				o.StopTimeout = time.Minute
			}
			sb := start(t, o)
			waitFor(t, "the stub to be deaf", func() bool { return len(sb.Output()) > 0 })
			began := time.Now()
			if err := stop(sb); !errors.Is(err, ErrForced) {
				t.Errorf("Stop: %v", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("Stop took %v", took)
			}
			if got := sb.Wait(); got != 128+9 {
				t.Errorf("status %d", got)
			}
			nothingLeft(t, sb)
		})
	}
}

func TestKill(t *testing.T) {
	sb := start(t, options(t, "serve"))
	if err := sb.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := sb.Kill(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, sb)
}

func TestReadyTellsOfTheEnd(t *testing.T) {
	sb := start(t, options(t, "exit", "4"))
	err := sb.Ready(context.Background())
	var end *ExitError
	if !errors.As(err, &end) || end.Code != 4 || !strings.Contains(err.Error(), "err: leaving") {
		t.Errorf("Ready: %v", err)
	}
	// One that neither ends nor answers.
	deaf := start(t, options(t, "deaf"))
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := deaf.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Ready without a daemon: %v", err)
	}
}

func TestOneSandboxPerState(t *testing.T) {
	o := options(t, "sleep")
	start(t, o)
	if _, err := Start(context.Background(), o); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("second sandbox on one state: %v", err)
	}
}

func TestWriterThatFailsDoesNotStopTheLauncher(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	o := options(t, "exit", "5")
	o.Stdout, o.Stderr = full, new(bytes.Buffer)
	sb := start(t, o)
	if got := sb.Wait(); got != 5 {
		t.Errorf("status %d", got)
	}
	if got := o.Stderr.(*bytes.Buffer).String(); !strings.Contains(got, "err: leaving") {
		t.Errorf("stderr %q", got)
	}
}
