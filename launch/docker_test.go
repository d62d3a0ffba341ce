package launch_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"

	"golang.org/x/sys/unix"
)

// tarOf makes an archive with one program in it.
func tarOf(name, path string) (io.Reader, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	return &b, w.Close()
}

// TestDocker starts a real dockerd through the launcher on the bare root tree and uses it.
func TestDocker(t *testing.T) {
	s := startReady(t, options(t, "/usr/bin/dockerd", "-s", "overlay2"))
	importProbe(t, s)

	t.Run("the launcher is PID 1, the daemon and containerd are its children", func(t *testing.T) {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.PID()))
		if err != nil || filepath.Base(exe) != "dockerlaunch" {
			t.Errorf("PID 1 is %s, %v", exe, err)
		}
		for _, name := range []string{"dockerd", "containerd"} {
			if child(t, s, name) == 0 {
				t.Errorf("PID 1 has no child %s", name)
			}
		}
	})
	t.Run("storage driver", func(t *testing.T) {
		if got := docker(t, s, "info", "--format", "{{.Driver}}"); got != "overlay2" {
			t.Errorf("the storage driver is %s", got)
		}
	})
	t.Run("no warning of dockerd about what the launcher should have prepared", func(t *testing.T) {
		for _, w := range strings.Split(docker(t, s, "info", "--format", `{{range .Warnings}}{{println .}}{{end}}`), "\n") {
			if strings.Contains(w, "memory limit") || strings.Contains(w, "bridge-nf") || strings.Contains(w, "No cpu") || strings.Contains(w, "ip_forward") || strings.Contains(w, "IPv4 forwarding") {
				t.Errorf("docker info warns: %s", w)
			}
		}
	})
	t.Run("memory limit", func(t *testing.T) {
		const limit = 48 << 20
		got := docker(t, s, "run", "--rm", "--memory", strconv.Itoa(limit), "probe", "first",
			"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
		if got != strconv.Itoa(limit) {
			t.Errorf("inside the container the limit is %s, want %d", got, limit)
		}
	})
	t.Run("pids limit", func(t *testing.T) {
		got := docker(t, s, "run", "--rm", "--pids-limit", "77", "probe", "first", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")
		if got != "77" {
			t.Errorf("inside the container the limit is %s", got)
		}
	})
	t.Run("open files", func(t *testing.T) {
		// The hard limit is the launcher's own where that may not be raised, and never the daemon's million.
		n, err := strconv.ParseUint(docker(t, s, "run", "--rm", "probe", "limit"), 10, 64)
		if err != nil || n > 524288 || n < 1024 {
			t.Errorf("a container may open %d files, %v", n, err)
		}
	})
	t.Run("published port", func(t *testing.T) {
		id := docker(t, s, "run", "-d", "-p", "8080:80", "probe", "serve", ":80", "hello from inside")
		defer docker(t, s, "rm", "-f", id)
		if got := dial(t, net.JoinHostPort(s.Addr().String(), "8080")); got != "hello from inside\n" {
			t.Errorf("from outside the sandbox the port says %q", got)
		}
		// docker-proxy answers on the sandbox's own loopback, which the launcher brought up.
		if got := docker(t, s, "run", "--rm", "--network", "host", "probe", "dial", "127.0.0.1:8080"); got != "hello from inside" {
			t.Errorf("on the loopback the port says %q", got)
		}
	})
	t.Run("bridge network", func(t *testing.T) {
		id := docker(t, s, "run", "-d", "probe", "serve", ":80", "hello over the bridge")
		defer docker(t, s, "rm", "-f", id)
		address := docker(t, s, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
		if got := docker(t, s, "run", "--rm", "probe", "dial", address+":80"); got != "hello over the bridge" {
			t.Errorf("another container says %q", got)
		}
	})
	t.Run("the sandbox is no router for its neighbours", func(t *testing.T) {
		// Whichever variant the daemon was given.
		nft, nftErr := s.Command(t.Context(), "iptables-nft", "-S", "FORWARD").CombinedOutput()
		legacy, legacyErr := s.Command(t.Context(), "iptables-legacy", "-S", "FORWARD").CombinedOutput()
		if !strings.Contains(string(nft)+string(legacy), "-P FORWARD DROP") {
			t.Errorf("the policy of FORWARD is not DROP: %v %s\n%v %s", nftErr, nft, legacyErr, legacy)
		}
	})
	t.Run("docker top", func(t *testing.T) {
		id := docker(t, s, "run", "-d", "probe", "wait")
		defer docker(t, s, "rm", "-f", id)
		if got := docker(t, s, "top", id); !strings.Contains(got, "/probe wait") {
			t.Errorf("docker top says:\n%s", got)
		}
	})
	t.Run("a second look finds nothing to do", func(t *testing.T) { planAgain(t, s) })
}

// planAgain asks the launcher, inside the running system, what it would do now: nothing that was done is to be done again.
func planAgain(t *testing.T, s *sandbox.Sandbox) {
	out, err := s.Command(t.Context(), sandbox.LauncherPath, "plan", "--json").Output()
	var plan struct {
		Steps []struct{ Name, Verdict, Note string }
	}
	if jsonErr := json.Unmarshal(out, &plan); jsonErr != nil {
		t.Fatalf("plan --json: %v, %v\n%s", err, jsonErr, out)
	}
	if len(plan.Steps) < 40 {
		t.Errorf("the plan has only %d steps", len(plan.Steps))
	}
	running := false
	for _, step := range plan.Steps {
		switch {
		case strings.HasPrefix(step.Name, "PID file"):
			// dockerd is running, and a second one is refused.
			running = running || step.Verdict == "refuse"
		case slices.Contains([]string{"kernel", "limits", "oom score", "sockets", "data-root lock", "files left empty", "OCI runtime", "iptables"}, step.Name):
			// They are of the process that asks, or done each time.
		case step.Verdict == "do", step.Verdict == "refuse":
			t.Errorf("%s: %s (%s)", step.Name, step.Verdict, step.Note)
		}
	}
	if !running {
		t.Error("a second daemon would not be refused")
	}
}

// dial connects to a port of the sandbox from outside of it and returns what it says, once somebody listens: a container is told to run before its program is at that.
func dial(t *testing.T, address string) string {
	t.Helper()
	const limit = 10 * time.Second
	begin := time.Now()
	c, err := net.DialTimeout("tcp", address, limit)
	for ; errors.Is(err, unix.ECONNREFUSED) && time.Since(begin) < limit; c, err = net.DialTimeout("tcp", address, limit) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("from outside: %v", err)
		return ""
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("from outside: %v", err)
	}
	return string(data)
}

// TestAgainAndAfterKill starts on one tree and state twice in a row, and once more after everything was killed, with /run
// kept as it was: that is what `docker restart` finds after an unclean stop.
func TestAgainAndAfterKill(t *testing.T) {
	o := options(t, "dockerd")
	run := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Binds = []sandbox.Bind{{Source: run, Target: "/run"}}

	first := startReady(t, o)
	importProbe(t, first)
	stop(t, first)

	second := startReady(t, o)
	id := docker(t, second, "run", "-d", "--restart=always", "probe", "wait")
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(run, "docker.pid")); err != nil {
		t.Fatalf("the kill left no PID file, so that this test shows nothing: %v", err)
	}

	third := startReady(t, o)
	deadline := time.Now().Add(startLimit)
	for docker(t, third, "inspect", "--format", "{{.State.Running}}", id) != "true" {
		if time.Now().After(deadline) {
			t.Fatal("after the kill the container with restart=always is not back")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got := docker(t, third, "run", "--rm", "probe", "cat", "/etc/hostname"); !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(got) {
		t.Errorf("a new container says %q", got)
	}
}

// stop stops a sandbox as a person does, and wants a clean end.
func stop(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if status := s.Wait(); status != 0 {
		t.Fatalf("after SIGTERM the daemon's exit status is %d", status)
	}
}

// TestOldCommandLine gives the daemon's command line of Docker's first releases.
func TestOldCommandLine(t *testing.T) {
	log := &lockedBuffer{}
	o := options(t, "/usr/bin/docker", "-d", "-s", "overlay", "-g", "/var/lib/docker")
	o.Stdout, o.Stderr = log, log
	s := startReady(t, o)
	if got := docker(t, s, "info", "--format", "{{.Driver}} {{.DockerRootDir}}"); got != "overlay2 /var/lib/docker" {
		t.Errorf("docker info says %s", got)
	}
	for _, notice := range []string{"docker -d", "-d", "-s", "-g"} {
		if !strings.Contains(log.String(), `level=info msg="`+notice+`: `) {
			t.Errorf("no notice about %s in:\n%s", notice, log)
		}
	}
}

// TestLibrary launches from another program.
func TestLibrary(t *testing.T) {
	o := options(t, "/usr/bin/dockerd", "-s", "overlay2")
	o.Launcher = program(t, "testdata/library")
	s := startReady(t, o)
	if got := docker(t, s, "info", "--format", "{{.Driver}}"); got != "overlay2" {
		t.Errorf("the storage driver is %s", got)
	}
}

// TestReadOnlyRoot starts on a root that nothing can be written to, with volumes where something has to be.
func TestReadOnlyRoot(t *testing.T) {
	o := options(t, "dockerd")
	o.ReadonlyRoot = true
	s := startReady(t, o)
	importProbe(t, s)
	if got := docker(t, s, "run", "--rm", "probe", "cat", "/etc/hostname"); got == "" {
		t.Error("a container says nothing")
	}
}
