package launch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/report"
	"golang.org/x/sys/unix"
)

// TestSupervisedHandOver: a daemon that is a child gets what one that takes the launcher's place gets.
func TestSupervisedHandOver(t *testing.T) {
	env := []string{"PATH=/usr/bin:/usr/sbin", "HOME=/home/me", "ODD=a=b c", "EMPTY=", "container=lxc", "NOTIFY_SOCKET=/nowhere"}
	status, said := stubbed(t, env, "/usr/bin/stub", "-s", "overlay", "--", "two words", "")
	if status != 0 {
		t.Fatalf("exit status %d:\n%s", status, strings.Join(said, "\n"))
	}
	if got := with(said, "arg"); !slices.Equal(got, []string{"/usr/bin/stub", "-s", "overlay", "--", "two words", ""}) {
		t.Errorf("arguments are %q", got)
	}
	if got := with(said, "env"); !slices.Equal(got, env) {
		t.Errorf("environment is %q, want %q", got, env)
	}
	if got := with(said, "pid"); slices.Equal(got, []string{"1"}) {
		t.Error("the daemon is PID 1")
	}
	for _, fd := range with(said, "fd") {
		if number, goal, _ := strings.Cut(fd, " "); number > "2" && !strings.HasPrefix(goal, "/sys/fs/cgroup/") {
			t.Errorf("a file of the launcher's is open in the daemon: %s", fd)
		}
	}
	for _, name := range []string{"SigIgn", "SigBlk"} {
		if mask := testenv.SignalMask(t, strings.Join(said, "\n"), name); mask != 0 {
			t.Errorf("the daemon starts with %s %x", name, mask)
		}
	}
}

// TestSupervisedDockerd: dockerd gets the sockets that are open, and who listens for its word.
func TestSupervisedDockerd(t *testing.T) {
	_, said := stubbed(t, []string{"PATH=/usr/bin:/usr/sbin", "NOTIFY_SOCKET=/nowhere"}, "/opt/dockerd", "--label", "x")
	pid := strings.Join(with(said, "pid"), "")
	env := with(said, "env")
	for _, entry := range []string{"LISTEN_FDS=1", "NOTIFY_SOCKET=/run/dockerlaunch/notify"} {
		if !slices.Contains(env, entry) {
			t.Errorf("there is no %s in %q", entry, env)
		}
	}
	i := slices.IndexFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "LISTEN_PID=") })
	if i < 0 {
		t.Fatalf("there is no LISTEN_PID in %q", env)
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(env[i], "LISTEN_PID=")); err != nil || strconv.Itoa(n) != pid {
		t.Errorf("%s, and its PID is %s", env[i], pid)
	}
	if !slices.ContainsFunc(with(said, "fd"), func(fd string) bool { return strings.HasPrefix(fd, "3 socket:") }) {
		t.Errorf("descriptor 3 is no socket: %q", with(said, "fd"))
	}
}

func TestKilledDaemonsStatus(t *testing.T) {
	if status, said := stubbed(t, []string{"PATH=/usr/bin:/usr/sbin", "STUB_EXIT=signal"}, "stub"); status != 128+9 {
		t.Errorf("exit status %d\n%s", status, strings.Join(said, "\n"))
	}
}

// ask sends the question whether the daemon answers to its socket and returns the answer's first line, however long that
// takes.
func ask(socket string) (string, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return askOver(c)
}

// askOver is ask over a connection.
func askOver(c net.Conn) (string, error) {
	if err := c.SetDeadline(time.Now().Add(startLimit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "GET /_ping HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	line, _, _ := strings.Cut(string(answer), "\r\n")
	return line, err
}

// inside is a path of the sandbox as the host has it.
func inside(s *sandbox.Sandbox, path string) string {
	return filepath.Join("/proc", strconv.Itoa(s.PID()), "root", path)
}

// TestReport: what the launcher leaves behind about the start.
func TestReport(t *testing.T) {
	s := startReady(t, options(t))
	var run struct {
		Habitat string
		Daemon  []string
		ReadyNS int64 `json:"ready_ns"`
		Steps   []struct{ Name, Lane, Outcome string }
		Events  []struct{ Who, What string }
	}
	var data []byte
	eventually(t, "report", func() bool {
		var err error
		data, err = os.ReadFile(inside(s, "/run/dockerlaunch/report.json"))
		return err == nil
	})
	if err := json.Unmarshal(data, &run); err != nil {
		t.Fatal(err)
	}
	if run.Habitat != "container" || run.ReadyNS <= 0 || len(run.Steps) < 40 || len(run.Daemon) == 0 {
		t.Errorf("%+v", run)
	}
	for _, want := range []string{"containerd started", "containerd answers", "dockerd started", "dockerd Loading containers: done.", "dockerd ready"} {
		if !slices.ContainsFunc(run.Events, func(e struct{ Who, What string }) bool { return e.Who+" "+e.What == want }) {
			t.Errorf("there is no event %q in %v", want, run.Events)
		}
	}
}

// TestReportOfDaemonThatEnds: a daemon that ends before it is ready is in the report, with its phases until then.
func TestReportOfDaemonThatEnds(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	o := options(t, "--default-cgroupns-mode=nonsense")
	o.Binds = []sandbox.Bind{{Source: run, Target: "/run"}}
	if status, said := refused(t, o); status != 1 {
		t.Fatalf("exit status %d:\n%s", status, said)
	}
	r, err := report.Read(filepath.Join(run, strings.TrimPrefix(report.Path, "/run/")))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Error, "exit status 1") || r.Ready != 0 || len(r.Steps) < 40 || !slices.ContainsFunc(r.Events, func(e report.Event) bool { return e.What == "started" && e.Who == "dockerd" }) {
		t.Errorf("%+v", r)
	}
}

// TestContainerdComesBack: containerd is kept running under the same daemon.
func TestContainerdComesBack(t *testing.T) {
	s := startReady(t, options(t))
	importProbe(t, s)
	id := docker(t, s, "run", "-d", "probe", "wait")
	defer docker(t, s, "rm", "-f", id)
	daemon, first := child(t, s, "dockerd"), child(t, s, "containerd")
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another containerd", func() bool { pid := child(t, s, "containerd"); return pid != 0 && pid != first })
	if now := child(t, s, "dockerd"); now != daemon {
		t.Errorf("the daemon was process %d and is %d", daemon, now)
	}
	// dockerd finds the new one by itself, at gRPC's pace.
	eventually(t, "docker run under the new containerd", func() bool {
		out, err := tryDocker(t, s, nil, "run", "--rm", "probe", "limit")
		return err == nil && strings.TrimSpace(out) != ""
	})
	// The container has outlived it, and is the daemon's as before.
	if got := docker(t, s, "exec", id, "/probe", "limit"); got == "" {
		t.Error("nothing can be executed in a container that is older")
	}
	docker(t, s, "stop", id)
	if got := docker(t, s, "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}", id); got != "exited 0 0" {
		t.Errorf("a container that is older, and is stopped: %s", got)
	}
}

// TestContainerdWithoutPIDFile: one containerd is kept running, also where its PID file cannot be written.
func TestContainerdWithoutPIDFile(t *testing.T) {
	log := &lockedBuffer{}
	o := options(t)
	o.Stdout, o.Stderr = log, log
	s := startReady(t, o)
	file := inside(s, "/run/docker/containerd/containerd.pid")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file) // a test that has failed leaves it to the sandbox
	first := child(t, s, "containerd")
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := 0
	eventually(t, "another containerd", func() bool { second = child(t, s, "containerd"); return second != 0 && second != first })
	eventually(t, "warning", func() bool { return strings.Contains(log.String(), "writing containerd's PID file") })
	// A third would come after pauses of 500 ms and a second, and be the one that is found.
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if n := children(t, s, "containerd"); len(n) > 1 || len(n) == 1 && n[0] != second {
			t.Fatalf("there are containerds %d, and it was %d", n, second)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startLimit); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s", what)
		}
	}
}

// TestNoZombies: containers that come and go leave nothing behind in the process table.
func TestNoZombies(t *testing.T) {
	s := startReady(t, options(t))
	importProbe(t, s)
	for range 10 {
		docker(t, s, "run", "--rm", "probe", "limit")
	}
	eventually(t, "process table without zombies", func() bool { return len(zombies(t, s)) == 0 })
}

// zombies lists the processes in the launcher's PID namespace that nobody has waited for.
func zombies(t *testing.T, s *sandbox.Sandbox) []string {
	t.Helper()
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		stat := string(data)
		if !strings.HasPrefix(stat[strings.LastIndexByte(stat, ')')+1:], " Z ") {
			continue
		}
		// A zombie has no namespaces any more, but a parent that has.
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if ns, err := os.Readlink("/proc/" + fields[1] + "/ns/pid"); err == nil && ns == namespace {
			found = append(found, stat)
		}
	}
	return found
}

// TestStop: what `docker stop` does ends the daemon cleanly and soon.
func TestStop(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Binds = []sandbox.Bind{{Source: run, Target: "/run"}}
	s := startReady(t, o)
	begin := time.Now()
	if err := unix.Kill(s.PID(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(startLimit):
		t.Fatal("the launcher does not end")
	}
	if status := s.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	t.Logf("stopped in %v", time.Since(begin))
	for _, path := range []string{"docker.sock", "docker.pid", "docker/containerd/containerd.sock", "docker/containerd/containerd.pid"} {
		if _, err := os.Lstat(filepath.Join(run, path)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", path, err)
		}
	}
}

// TestHangUpBeforeReady: a HUP that comes too early would kill dockerd, and is kept.
func TestHangUpBeforeReady(t *testing.T) {
	s := start(t, options(t))
	eventually(t, "daemon", func() bool { return child(t, s, "dockerd") != 0 })
	if err := unix.Kill(s.PID(), unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		t.Errorf("after a HUP: %v", err)
	}
}

// TestDaemonThatIsKilled: it is there again each time, the pauses grow, and no process is left behind.
func TestDaemonThatIsKilled(t *testing.T) {
	t.Parallel() // it waits most of the time
	log := &lockedBuffer{}
	o := options(t, "--restart")
	o.Stdout, o.Stderr = log, log
	s := startReady(t, o)
	last := 0
	for i, pause := range []string{"500ms", "1s", "2s", "4s", "8s", "16s", "30s", "30s", "30s", "30s"} {
		var pid int
		eventually(t, "daemon", func() bool { pid = child(t, s, "dockerd"); return pid != 0 && pid != last })
		ready(t, s)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		last = pid
		eventually(t, "message", func() bool { return strings.Count(log.String(), "killed by SIGKILL") == i+1 })
		if want := "starting it again in " + pause; strings.Count(log.String(), want) == 0 {
			t.Errorf("kill %d: it does not say %q", i+1, want)
		}
	}
	eventually(t, "daemon", func() bool { return child(t, s, "dockerd") != 0 })
	ready(t, s)
	eventually(t, "process table without zombies", func() bool { return len(zombies(t, s)) == 0 })
}

// TestMemory: a supervisor whose daemon is ready takes little memory, in KiB.
func TestMemory(t *testing.T) {
	const limit = 8 << 10
	s := startReady(t, options(t))
	resident := func() (kib int) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				if _, err := fmt.Sscan(rest, &kib); err != nil {
					t.Fatal(err)
				}
			}
		}
		return kib
	}
	eventually(t, "small PID 1", func() bool { kib := resident(); return kib > 0 && kib < limit })
	t.Logf("PID 1 has %d KiB", resident())
}
