package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

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
	Forward                          string
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
	if r.Forward != "0" { // on a machine that forwards, it is inherited
		t.Errorf("ip_forward is %s", r.Forward)
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
	// As nohup or a shell's & leave them.
	signal.Ignore(unix.SIGHUP, unix.SIGINT)
	defer signal.Reset(unix.SIGHUP, unix.SIGINT)
	r := report(t, options(t))
	for _, name := range []string{"SigIgn", "SigBlk"} {
		if mask := testenv.SignalMask(t, r.Status, name); mask != 0 {
			t.Errorf("%s is %x", name, mask)
		}
	}
}

// A host whose mounts are shared, as systemd makes them, must not see what is mounted inside, nor the other way round.
func TestMountsArePrivate(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	before, err := TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	r := report(t, options(t))
	for line := range strings.Lines(r.Mountinfo) {
		if strings.Contains(line, "shared:") || strings.Contains(line, "master:") {
			t.Errorf("a mount is connected to the host's: %s", line)
		}
	}
	after, err := TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range before.New(after) {
		if strings.HasPrefix(item, "mount ") {
			t.Errorf("on the host: %s", item)
		}
	}
}

func TestStateIsKeptAndTheTreeIsNot(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	o := options(t, "write", "/etc/written", "by the launcher")
	o.State = onTmpfs(t)
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
	if !testenv.InNamespaces(t, 0) {
		return
	}
	o := options(t, "write", "/etc/written", "x")
	o.State = ""
	t.Setenv("TMPDIR", onTmpfs(t))
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

func TestUpperOnTmpfs(t *testing.T) {
	// An overlay cannot be the upper layer of another one. Nested in a private namespace, as the mount would be the host's.
	if !testenv.InNamespaces(t, 0) {
		return
	}
	o := options(t, "write", "/etc/written", "x")
	dir := onTmpfs(t)
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
