//go:build linux && amd64

package faults

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

// scenes builds what is run.
func scenes(t *testing.T) map[string]Scene {
	t.Helper()
	testenv.NeedRoot(t)
	root, err := filepath.Abs("../../build/rootfs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin")); err != nil {
		testenv.Missing(t, fmt.Sprintf("there is no root tree (make rootfs): %v", err))
	}
	dir := t.TempDir()
	build := func(name, source string) string {
		path := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", source, err, text)
		}
		return path
	}
	launcher, stub := build("dockerlaunch", "../../cmd/dockerlaunch"), build("stub", "./testdata/stub")
	base := Scene{
		Root: root, Programs: map[string]string{launcherPath: launcher, "/usr/bin/dockerd": stub, "/usr/sbin/dockerd": stub, "/usr/bin/containerd": stub},
		Env: []string{"PATH=/usr/bin:/usr/sbin", "HOME=/root"},
	}
	with := func(args []string, env ...string) Scene {
		s := base
		s.Args, s.Env = args, append(append([]string{}, base.Env...), env...)
		return s
	}
	real := base
	real.Programs = map[string]string{launcherPath: launcher}
	real.StopAt, real.Limit = "API listen on", 2*time.Minute
	return map[string]Scene{
		"real":      real,
		"supervise": with(nil),
		"tls":       with(nil, "DOCKER_TLS_CERTDIR=/certs"),
		"exec":      with([]string{"--exec"}),
		"plan":      with([]string{"plan"}),
	}
}

// TestFaults fails each operation of each scene.
func TestFaults(t *testing.T) {
	everything := os.Getenv("FAULTS") == "all"
	known := map[Op]bool{}
	scenes := scenes(t)
	var jobs []job
	var missed atomic.Int32
	for _, name := range []string{"supervise", "tls", "exec", "plan"} {
		if only := os.Getenv("FAULTS_SCENE"); only != "" && only != name {
			continue
		}
		plain, err := scenes[name].Run(t.Context(), nil, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if plain.Status != 0 {
			t.Fatalf("%s, without a fault: exit status %d\n%s", name, plain.Status, plain.Said)
		}
		operations, calls := 0, 0
		for _, seen := range plain.Seen {
			operations, calls = operations+1, calls+seen.Times
			if known[seen.Op] && !everything {
				continue
			}
			known[seen.Op] = true
			for _, f := range faults(seen, everything) {
				jobs = append(jobs, job{name, scenes[name], plain, f})
			}
		}
		t.Logf("%s: %d operations in %d calls, %v", name, operations, calls, plain.Took)
	}
	begin := time.Now()
	work := make(chan job)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for j := range work {
				j.run(t, &missed)
			}
		})
	}
	for _, j := range jobs {
		work <- j
	}
	close(work)
	workers.Wait()
	t.Logf("%d runs in %v; in %d of them the operation did not come up", len(jobs), time.Since(begin), missed.Load())
	if len(jobs) == 0 || int(missed.Load()) > len(jobs)/20 {
		t.Error("too few of the operations came up again")
	}
}

// TestRealDockerd: with some of the operations failing the real daemon serves and stops all the same.
func TestRealDockerd(t *testing.T) {
	scene := scenes(t)["real"]
	for _, f := range []*Fault{
		nil,
		{Op: Op{Call: "mount", On: "/dev/shm tmpfs"}, Errno: unix.EPERM},
		{Op: Op{Call: "mkdirat", On: "/run/dockerlaunch"}, Errno: unix.ENOSPC, Nth: 1},
		{Op: Op{Call: "renameat", On: "/run/dockerlaunch/report.json.part"}, Errno: unix.ENOSPC},
		{Op: Op{Call: "recvmsg", On: "socket /run/dockerlaunch/notify"}, Errno: unix.ENOBUFS},
		{Op: Op{Call: "linkat", On: "/etc/hosts"}, Errno: unix.EROFS},
	} {
		name := "no fault"
		if f != nil {
			name = f.String()
		}
		t.Run(name, func(t *testing.T) {
			run, err := scene.Run(t.Context(), f, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("exit status %d after %v", run.Status, run.Took)
			if run.Status != 0 || run.Hung || len(run.Left) > 0 || !strings.Contains(run.Said, scene.StopAt) {
				t.Errorf("exit status %d, children left %q\n%s", run.Status, run.Left, run.Said)
			}
			if f != nil && (run.Hits == 0 || !names(strings.Split(run.Said, "\n"), *f)) {
				t.Errorf("%d times failed, and nothing names it\n%s", run.Hits, run.Said)
			}
		})
	}
}

// faults are the ways in which an operation is made to fail: all, or one that depends on its name alone.
func faults(seen Seen, all bool) []Fault {
	var list []Fault
	for _, errno := range Errnos(seen.Op.Call) {
		list = append(list, Fault{Op: seen.Op, Errno: errno})
		if seen.Times > 1 {
			list = append(list, Fault{Op: seen.Op, Errno: errno, Nth: 1})
		}
	}
	if all {
		return list
	}
	h := fnv.New32a()
	fmt.Fprint(h, seen.Op)
	i := int(h.Sum32() % uint32(len(list)))
	return list[i : i+1]
}

// job is one run.
type job struct {
	name  string
	scene Scene
	plain *Run
	fault Fault
}

func (j job) run(t *testing.T, missed *atomic.Int32) {
	scratch, err := os.MkdirTemp("", "faults")
	if err != nil {
		t.Error(err)
		return
	}
	defer func() {
		if err := os.Remove(scratch); err != nil {
			t.Error(err)
		}
	}()
	run, err := j.scene.Run(t.Context(), &j.fault, scratch)
	if err != nil {
		t.Errorf("%s, %v: %v", j.name, j.fault, err)
		return
	}
	if run.Hits == 0 {
		missed.Add(1)
	}
	if wrong := Judge(j.plain, run, j.fault, Harmless(j.fault, j.name == "plan")); wrong != "" {
		t.Errorf("%s, %v: %s (exit status %d, %v)\n  %s", j.name, j.fault, wrong, run.Status, run.Took.Round(time.Millisecond), strings.Join(news(j.plain.Said, run.Said), "\n  "))
	}
}
