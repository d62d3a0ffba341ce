package cgroups

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

const (
	// helperVar makes the test binary one of the helper processes.
	helperVar = "DOCKERLAUNCH_TEST_CGROUP_HELPER"
	// boxVar tells a test that it runs in a box, and which.
	boxVar = "DOCKERLAUNCH_TEST_CGROUP_BOX"
)

// TestMain is also the helper processes, so that the tests need no programs: a bare machine has none.
func TestMain(m *testing.M) {
	switch os.Getenv(helperVar) {
	case "":
		os.Exit(m.Run())
	case "exit":
	case "wait":
		time.Sleep(time.Minute)
	case "fork":
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{helperVar + "=exit"}
			_ = cmd.Run() // its end is of no interest
		}
	case "eat":
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is told to begin
		eaten := make([]byte, 128<<20)
		for i := 0; i < len(eaten); i += 4096 {
			eaten[i] = 1
		}
		fmt.Println(len(eaten))
	}
}

// helper starts a helper process in a cgroup; it ends with the test.
func helper(t testing.TB, kind, dir string) *exec.Cmd {
	t.Helper()
	cmd := helperCommand(t, kind, dir)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the helper %s in %s: %v", kind, dir, err)
	}
	t.Cleanup(func() { stop(cmd) })
	return cmd
}

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

func helperCommand(t testing.TB, kind, dir string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperVar + "=" + kind}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: open(t, dir)}
	return cmd
}

func open(t testing.TB, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("opening %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// newBox makes a cgroup in this system's cgroup2, with all the controllers that can be had, and removes it with everything in
// it when the test is over. Whoever is inside of a cgroup namespace in the box cannot tell it from a container's cgroup.
func newBox(t *testing.T) string {
	t.Helper()
	testenv.NeedRoot(t)
	f, err := Observe(Paths{})
	if err != nil {
		t.Fatal(err)
	}
	if f.Unified == nil {
		// The machine layer has cgroup2 for certain.
		t.Skip("this system has no cgroup2 mounted")
	}
	if len(f.Unified.Controllers) == 0 {
		t.Skip("the cgroup2 of this system has no controllers")
	}
	top := f.Unified.Target
	for _, c := range f.Unified.Controllers {
		if slices.Contains(f.Unified.SubtreeControl, c) {
			continue
		}
		if err := writeFile(filepath.Join(top, "cgroup.subtree_control"), "+"+c); err != nil {
			// Processes beside the controllers, or somebody else's use of them: this system is not ours to change. The
			// machine layer has one that is.
			t.Skipf("the controllers of this system's cgroup2 cannot be handed down here: %v", err)
		}
		t.Cleanup(func() {
			// Another run of these tests may have it in use (EBUSY), and then takes it back itself.
			if err := writeFile(filepath.Join(top, "cgroup.subtree_control"), "-"+c); err != nil {
				t.Log(err)
			}
		})
	}
	return newGroup(t, top)
}

func newGroup(t *testing.T, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "dockerlaunch-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	must(t, "making it readable for all", os.Chmod(dir, 0o755))
	return dir
}

// remove kills what is in a cgroup and removes it with those below it.
func remove(t testing.TB, dir string) {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, e := range list {
		if e.IsDir() {
			remove(t, filepath.Join(dir, e.Name()))
		}
	}
	for range 500 {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 1 && pid != os.Getpid() {
				_ = unix.Kill(pid, unix.SIGKILL) // it may be gone
			}
		}
		if err := os.Remove(dir); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the cgroup %s is left behind", dir)
}

// runInBox runs the calling top-level test again as a process in the box, with mounts of its own and the other namespaces that
// are asked for. There insideBox tells that.
func runInBox(t *testing.T, dir string, cloneflags uintptr) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), boxVar+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: open(t, dir), Cloneflags: unix.CLONE_NEWNS | cloneflags, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("in the box: %v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("in the box:\n%s", out)
	}
}

// insideBox tells whether the test was started by runInBox. Then all mounts are private, and the goroutine has its thread.
func insideBox(t *testing.T) (dir string, ok bool) {
	t.Helper()
	dir = os.Getenv(boxVar)
	if dir == "" {
		return "", false
	}
	runtime.LockOSThread()
	must(t, "making all mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	if os.Getpid() == 1 {
		must(t, "mounting /proc", unix.Mount("proc", "/proc", "proc", 0, ""))
	}
	return dir, true
}

// clear takes all cgroup mounts away from the mount namespace.
func clear(t *testing.T) {
	t.Helper()
	for {
		f, err := Observe(Paths{})
		if err != nil {
			t.Fatal(err)
		}
		target := ""
		if f.RootFSType != "" {
			target = f.Root
		} else if len(f.Mounts) > 0 {
			target = f.Mounts[0].Target
		}
		if target == "" {
			return
		}
		must(t, "unmounting "+target, unix.Unmount(target, unix.MNT_DETACH))
	}
}

// enter gives the thread a cgroup namespace, by the action that does it.
func enter(t *testing.T) {
	t.Helper()
	if kept, err := (Unshare{}).Apply(t.Context()); kept || err != nil {
		t.Fatalf("Unshare: kept is %v: %v", kept, err)
	}
	if kept, err := (Unshare{}).Apply(t.Context()); !kept || err != nil {
		t.Fatalf("Unshare, again: kept is %v: %v", kept, err)
	}
}

// apply applies actions, wants them all to succeed but those that allowed is true for, and returns how many were kept.
func apply(t *testing.T, actions []Action, allowed func(Action, error) bool) (kept int) {
	t.Helper()
	for _, a := range actions {
		k, err := a.Apply(t.Context())
		if err != nil && (allowed == nil || !allowed(a, err)) {
			t.Errorf("%s: %v", a, err)
		}
		if k {
			kept++
		}
		t.Logf("%s: kept %v, %v", a, k, err)
	}
	return kept
}

func plan(t *testing.T, want Want, habitat Habitat) ([]Action, []Warning) {
	t.Helper()
	f, err := Observe(Paths{})
	if err != nil {
		t.Fatal(err)
	}
	actions, warnings, err := Plan(f, want, habitat)
	if err != nil {
		t.Fatal(err)
	}
	return actions, warnings
}

// scratch is a folder on a tmpfs of its own, so that mounts in it go with it.
func scratch(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, "mounting a tmpfs", unix.Mount("scratch", dir, "tmpfs", 0, ""))
	t.Cleanup(func() {
		for unix.Unmount(dir, unix.MNT_DETACH) == nil {
		}
	})
	return dir
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func read(t testing.TB, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func write(t testing.TB, value string, parts ...string) {
	t.Helper()
	must(t, "writing", writeFile(filepath.Join(parts...), value))
}
