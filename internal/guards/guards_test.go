package guards

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench/habitat"
	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/launch"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

func TestMain(m *testing.M) {
	habitat.Init()
	os.Exit(m.Run())
}

func hold(t *testing.T, name string, value int64) {
	t.Helper()
	limits, err := Limits()
	if err != nil {
		t.Fatal(err)
	}
	complaint, hint := Judge(limits, name, value)
	if complaint != "" {
		t.Error(complaint)
	}
	if hint != "" {
		t.Log(hint)
	}
	t.Logf("%s %d", name, value)
}

func built(t *testing.T, name, target string) string {
	t.Helper()
	path, err := filepath.Abs("../../build/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		testenv.Missing(t, "build/"+name+" is not there (run make "+target+")")
	}
	return path
}

func TestLauncherBytes(t *testing.T) {
	st, err := os.Stat(built(t, "dockerlaunch", "build"))
	if err != nil {
		t.Fatal(err)
	}
	hold(t, "launcher-bytes", st.Size())
}

// What a plan costs where everything is still to be done: nothing is known to stand but the programs.
func TestPlannerAllocations(t *testing.T) {
	facts := launch.Facts{ProcMounted: true, Programs: preflight.Found{}, Daemon: launch.DaemonFacts{Path: "/usr/bin/dockerd"}}
	for _, name := range preflight.Names(preflight.Table()) {
		facts.Programs[name] = "/usr/bin/" + name
	}
	plan := func() {
		p, err := launch.NewPlan(launch.Config{}, facts)
		if err != nil || len(p.Steps) < 20 {
			t.Fatalf("these facts give no plan: %v", err)
		}
	}
	hold(t, "planner-allocations", int64(testing.AllocsPerRun(20, plan)))
}

// What the resolving of Docker's modules costs, on a full kernel.
func TestModuleAllocations(t *testing.T) {
	k := vm.KernelNamed(t, "6.12-full")
	root := strings.TrimSuffix(k.Modules, "/lib/modules/"+k.Release)
	o := modules.Options{Root: strings.TrimSuffix(root, "/usr"), Release: k.Release, ConfigDirs: []string{}}
	var names []string
	for _, w := range launch.WantedModules(launch.FirewallIPTablesNft) {
		names = append(names, w.Names[0])
	}
	resolve := func() {
		x, err := modules.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Resolve(modules.Query{Names: names}); err != nil {
			t.Fatal(err)
		}
	}
	hold(t, "modules-allocations", int64(testing.AllocsPerRun(20, resolve)))
}

// What the launcher calls and starts before it executes the daemon, in a container habitat. The numbers vary a little with the
// threads that Go starts, so the smallest of three counts.
func TestLaunchCalls(t *testing.T) {
	testenv.NeedRoot(t)
	strace, err := exec.LookPath("strace")
	if err != nil {
		testenv.Missing(t, "strace is missing (run scripts/install-tools test)")
	}
	root, launcher := built(t, "rootfs", "rootfs"), built(t, "dockerlaunch", "build")
	stage := vm.GoBuild(t, "./cmd/bench", "build")
	for name, env := range map[string][]string{"launch": nil, "launch-tls": {"DOCKER_TLS_CERTDIR=/certs"}} {
		t.Run(name, func(t *testing.T) {
			var best *Trace
			for range 3 {
				trace := traceLaunch(t, strace, habitat.Options{
					Root: root, Launcher: launcher, Stage: stage, Argv: []string{sandbox.LauncherPath}, Env: append(sandbox.DefaultEnv(), env...),
					Files: []sandbox.File{{Path: "/usr/bin/dockerd", Mode: 0o755, Data: habitat.Stub()}},
				})
				if best == nil || trace.Total < best.Total {
					best = &trace
				}
			}
			t.Logf("executed: %q", best.Execed)
			t.Logf("calls: %v", best.Calls)
			hold(t, name+"-calls", int64(best.Total))
			hold(t, name+"-processes", int64(best.Forked))
			hold(t, name+"-programs", int64(len(best.Execed)))
		})
	}
}

// traceLaunch holds the launcher back until strace watches it.
func traceLaunch(t *testing.T, strace string, o habitat.Options) Trace {
	t.Helper()
	gate, open, err := habitat.Gate()
	if err != nil {
		t.Fatal(err)
	}
	opened := false
	defer func() {
		if !opened {
			open() // for a program that still waits; the test has failed already
		}
	}()
	o.Gate = gate
	h, err := habitat.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "--pidns-translation", "-s", "200", "-o", log, "-p", fmt.Sprint(h.PID()))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(os.Interrupt) // it lets go of what it watches; where it has ended there is nothing to do
		cmd.Wait()                       // its status is that of the signal
	}()
	wait(t, h, func() bool { return traced(h.PID()) })
	opened = true
	if err := open(); err != nil {
		t.Fatal(err)
	}
	var trace Trace
	wait(t, h, func() bool {
		data, err := os.ReadFile(log)
		if err != nil {
			return false
		}
		var complete bool
		trace, complete = ReadTrace(string(data), sandbox.LauncherPath, "/usr/bin/dockerd")
		return complete
	})
	return trace
}

// traced tells whether every thread of a process is watched (TracerPid of proc_pid_status(5)).
func traced(pid int) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		return false
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(data), "\nTracerPid:\t0\n") {
			return false
		}
	}
	return true
}

func wait(t *testing.T, h *habitat.Habitat, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come to that within a minute; what the program said:\n%s", strings.Join(h.Output(), "\n"))
		}
	}
}

func TestReadTrace(t *testing.T) {
	log := `101 flock(3, LOCK_SH) = 0
101 execve("/bench/starter", ["x"], 0x1) = 0
101 execve("/l", ["/l"], 0x1 /* 3 vars */) = 0
101 openat(AT_FDCWD, "/a", O_RDONLY) = -1 ENOENT (No such file or directory)
101 futex(0x1, FUTEX_WAIT) = 0
101 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = 5 /* 102 in strace's PID NS */
102 read(3,  <unfinished ...>
101 clone(child_stack=NULL, flags=CLONE_VFORK|SIGCHLD <unfinished ...>
102 <... read resumed>"x", 1) = 1
103 dup3(1, 2, 0) = 2
103 execve("/nowhere", ["x"], 0x1) = -1 ENOENT (No such file or directory)
103 execve("", [""], 0x1 <unfinished ...>
103 <... execve resumed>) = -1 ENOENT (No such file or directory)
103 execve("/usr/bin/containerd", ["x"], 0x1 <unfinished ...>
101 <... clone resumed>) = 6 /* 103 in strace's PID NS */
103 <... execve resumed>) = 0
103 openat(AT_FDCWD, "/containerd", O_RDONLY) = 3
103 clone(child_stack=NULL, flags=SIGCHLD) = 104
104 execve("/bin/true", ["x"], 0x1) = 0
101 execve("/d", ["/d"], 0x1) = 0
101 read(3, "", 1) = 0
`
	for _, log := range []string{log, strings.ReplaceAll(log, "SIGCHLD <unfinished ...>", "SIGCHLD) = 103")} {
		trace, complete := ReadTrace(log, "/l", "/d")
		if !complete || trace.Forked != 1 || !slices.Equal(trace.Execed, []string{"/usr/bin/containerd", "/d"}) {
			t.Errorf("%v %+v", complete, trace)
		}
		if got := fmt.Sprint(trace.Calls); got != "map[dup3:1 execve:4 openat:1 read:1]" || trace.Total != 7 {
			t.Errorf("calls: %s, %d", got, trace.Total)
		}
	}
	if trace, complete := ReadTrace(log, "/other", "/d"); complete || trace.Total != 0 {
		t.Errorf("another program: %+v", trace)
	}
}

func TestLimits(t *testing.T) {
	limits, err := parse("# a\nx 10 # why\n\ny  0\n")
	if err != nil || len(limits) != 2 || limits["x"] != 10 {
		t.Fatalf("%v, %v", limits, err)
	}
	for _, c := range []struct {
		name            string
		value           int64
		complains, hint bool
	}{{"x", 10, false, false}, {"x", 11, true, false}, {"x", 7, false, true}, {"y", 0, false, false}, {"y", 1, true, false}, {"z", 0, true, false}} {
		if complaint, hint := Judge(limits, c.name, c.value); (complaint != "") != c.complains || (hint != "") != c.hint {
			t.Errorf("%s %d: %q, %q", c.name, c.value, complaint, hint)
		}
	}
	for _, bad := range []string{"x", "x y", "x 1 2", "x -1", "x 1\nx 2"} {
		if limits, err := parse(bad); err == nil {
			t.Errorf("%q gave %v", bad, limits)
		}
	}
	if _, err := Limits(); err != nil {
		t.Error(err)
	}
}
