package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// found is what testdata/stub reports.
type found struct {
	PID                              int
	Hostname                         string
	Args, Env                        []string
	ProcBefore, SysBefore, Root      []string
	Mountinfo, Cgroup, Status, Route string
	Namespaces, FDs                  map[string]string
	Up                               map[string]bool
}

func report(t *testing.T, o Options) found {
	t.Helper()
	o.Argv = append([]string{"report"}, o.Argv...)
	out, code := run(t, o)
	var r found
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("status %d, %v, output:\n%s", code, err, out)
	}
	return r
}

func TestInside(t *testing.T) {
	o := options(t, "some", "arguments")
	o.Hostname = "elsewhere"
	r := report(t, o)

	if r.PID != 1 || r.Hostname != "elsewhere" {
		t.Errorf("PID %d, host name %q", r.PID, r.Hostname)
	}
	if got, want := strings.Join(r.Args, " "), LauncherPath+" report some arguments"; got != want {
		t.Errorf("arguments %q, want %q", got, want)
	}
	if got, want := strings.Join(r.Env, " "), strings.Join(DefaultEnv(), " "); got != want {
		t.Errorf("environment %q, want %q", got, want)
	}
	if len(r.ProcBefore) > 0 || len(r.SysBefore) > 0 {
		t.Errorf("something was mounted: /proc has %v, /sys has %v", r.ProcBefore, r.SysBefore)
	}
	var mounts []string
	for line := range strings.Lines(r.Mountinfo) {
		f := strings.Fields(line)
		mounts = append(mounts, f[4])
		if strings.Contains(line, "shared:") || strings.Contains(line, "master:") {
			t.Errorf("a mount is connected to the host's: %s", line)
		}
	}
	if got := strings.Join(mounts, " "); got != "/ /var/lib/docker /proc" { // /proc is the stub's own
		t.Errorf("mounts: %s", got)
	}
	for line := range strings.Lines(r.Cgroup) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[2] != "/" {
			t.Errorf("not the root of its cgroup namespace: %s", line)
		}
	}
	for _, kind := range []string{"pid", "mnt", "net", "ipc", "uts", "cgroup"} {
		mine, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if r.Namespaces[kind] == mine || r.Namespaces[kind] == "" {
			t.Errorf("%s namespace %q is the host's", kind, r.Namespaces[kind])
		}
	}
	if up, there := r.Up["lo"]; up || !there {
		t.Errorf("lo: there %v, up %v; it must be there and down", there, up)
	}
	if !r.Up["eth0"] || len(r.Up) != 2 {
		// A kernel with ifb, tunnels and the like built in makes such devices in every new namespace, down.
		for name, up := range r.Up {
			if up && name != "eth0" {
				t.Errorf("%s is up", name)
			}
		}
	}
	if !strings.Contains(r.Route, "eth0\t00000000\t") {
		t.Errorf("no default route through eth0:\n%s", r.Route)
	}
	if r.FDs["0"] != "/dev/null" {
		t.Errorf("stdin is %q", r.FDs["0"])
	}
	for fd, to := range r.FDs { // descriptors 3 and up are the stub's own
		if fd > "2" && strings.HasPrefix(to, "pipe:") {
			t.Errorf("descriptor %s of the parent is open: %s", fd, to)
		}
	}
}

func TestSignalsAreAtTheirDefault(t *testing.T) {
	r := report(t, options(t))
	for line := range strings.Lines(r.Status) {
		if mask, ok := strings.CutPrefix(line, "SigIgn:"); ok && strings.Trim(mask, "0 \t\n") != "" {
			t.Errorf("ignored signals: %s", line)
		}
		if mask, ok := strings.CutPrefix(line, "SigBlk:"); ok && strings.Trim(mask, "0 \t\n") != "" {
			t.Errorf("blocked signals: %s", line)
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

func TestStateIsKeptAndTheTreeIsNot(t *testing.T) {
	o := options(t, "write", "/etc/written", "by the launcher")
	if out, code := run(t, o); code != 0 {
		t.Fatal(out)
	}
	o.Argv = []string{"write", "/var/lib/docker/data", "by the daemon"}
	if out, code := run(t, o); code != 0 {
		t.Fatal(out)
	}
	for path, want := range map[string]string{"/etc/written": "by the launcher", "/var/lib/docker/data": "by the daemon", "/etc/marker": "from the tree"} {
		o.Argv = []string{"cat", path}
		if out, code := run(t, o); code != 0 || out != want {
			t.Errorf("%s: status %d, %q, want %q", path, code, out, want)
		}
	}
	if exists(filepath.Join(o.Root, "etc/written")) || exists(filepath.Join(o.Root, LauncherPath)) || exists(filepath.Join(o.Root, "var")) {
		t.Error("the tree was written to")
	}
	if b, err := os.ReadFile(filepath.Join(o.State, "docker/data")); err != nil || string(b) != "by the daemon" {
		t.Errorf("docker's data: %q, %v", b, err)
	}
}

func TestTemporaryState(t *testing.T) {
	o := options(t, "write", "/etc/written", "x")
	o.State = ""
	sb := start(t, o)
	sb.Wait()
	if !exists(filepath.Join(sb.State(), "upper/etc/written")) {
		t.Error("not written to the temporary state")
	}
	if err := sb.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if exists(sb.State()) {
		t.Error("the temporary state folder stays")
	}
}

func TestOneSandboxPerState(t *testing.T) {
	o := options(t, "sleep")
	start(t, o)
	if _, err := Start(context.Background(), o); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("second sandbox on one state: %v", err)
	}
}

func TestUpperOnTmpfs(t *testing.T) {
	o := options(t, "write", "/etc/written", "x")
	// An overlay cannot be the upper layer of another one. Nested in a private namespace, as the mount would be the host's.
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := o.State
	for _, d := range []string{"l", "u", "w", "m"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	opts := fmt.Sprintf("lowerdir=%s/l,upperdir=%s/u,workdir=%s/w", dir, dir, dir)
	o.State = filepath.Join(dir, "m")
	if err := unix.Mount("o", o.State, "overlay", 0, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(o.State, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	sb, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if code := sb.Wait(); code != 0 || !sb.Volatile() {
		t.Errorf("status %d (%v), volatile %v", code, sb.Output(), sb.Volatile())
	}
	if err := sb.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if exists(filepath.Join(o.State, "upper/etc/written")) {
		t.Error("it was written to the state folder all the same")
	}
}

func TestCommand(t *testing.T) {
	sb := start(t, options(t, "serve"))
	if err := sb.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	out, err := sb.Command(context.Background(), LauncherPath, "cat", "/etc/marker").CombinedOutput()
	if err != nil || string(out) != "from the tree" {
		t.Errorf("%q, %v", out, err)
	}
	err = sb.Command(context.Background(), LauncherPath, "exit", "9").Run()
	if code := exitStatus(err); code != 9 {
		t.Errorf("status %d: %v", code, err)
	}
	out, err = sb.Command(context.Background(), "no-such-program").CombinedOutput()
	if code := exitStatus(err); code != enterFailed || !strings.Contains(string(out), "no-such-program") {
		t.Errorf("a program that is not there: status %d, %s", code, out)
	}

	// The end of ctx ends the program, not only the stage that waits for it.
	ctx, cancel := context.WithCancel(context.Background())
	cmd := sb.Command(ctx, LauncherPath, "sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to run inside", func() bool { return insiders(t, sb) == 4 }) // the stub, its child, stage, command
	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("a cancelled command ended well")
	}
	waitFor(t, "the command to be gone", func() bool { return insiders(t, sb) == 2 })

	// So does the end of the sandbox.
	cmd = sb.Command(context.Background(), LauncherPath, "sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to run inside", func() bool { return insiders(t, sb) == 4 })
	if err := sb.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if code := exitStatus(cmd.Wait()); code != 128+9 {
		t.Errorf("status %d of a command whose sandbox ended", code)
	}
	// Its PID is somebody else's now, or nobody's.
	if err := sb.Command(context.Background(), LauncherPath, "cat", "/etc/marker").Run(); exitStatus(err) != enterFailed {
		t.Errorf("a command in an ended sandbox: %v", err)
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
