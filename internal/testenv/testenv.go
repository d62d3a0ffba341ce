// Package testenv gives the tests of every package the same two things: a way to say what they need of the machine, which
// under CI fails instead of skipping, and fresh namespaces to be destructive in.
package testenv

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childVar names the environment variable that tells a re-executed test binary which test is to go on inside the namespaces.
const childVar = "DOCKERLAUNCH_TEST_INSIDE"

// childLimit bounds a test inside namespaces; a hanging system call must not hang the whole run.
const childLimit = 2 * time.Minute

// Missing ends the calling test because the machine lacks what it needs: as a skip on a person's machine, as a failure
// under CI=true or DOCKERLAUNCH_TEST_STRICT=1, where a layer that does not run must not look like one that passed.
func Missing(t testing.TB, why string) {
	t.Helper()
	if Strict() {
		t.Fatalf("this layer cannot run here, and must: %s", why)
	}
	t.Skipf("layer not run: %s", why)
}

// Strict tells whether a layer that cannot run is a failure.
func Strict() bool {
	return os.Getenv("CI") == "true" || os.Getenv("DOCKERLAUNCH_TEST_STRICT") == "1"
}

// NeedRoot ends the test where it does not run as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "it needs root (run make test as root)")
	}
}

// InNamespaces runs the calling top-level test again in a child process that has fresh namespaces, and reports whether
// this process is that child:
//
//	func TestX(t *testing.T) {
//		if !testenv.InNamespaces(t, unix.CLONE_NEWNS|unix.CLONE_NEWPID) {
//			return
//		}
//		... destructive things; every mount is private and goes with the process ...
//	}
//
// A mount namespace is always among them and its mounts are made private. With CLONE_NEWPID the child is PID 1 and /proc
// is mounted anew.
func InNamespaces(t *testing.T, cloneflags uintptr) bool {
	t.Helper()
	NeedRoot(t)
	if os.Getenv(childVar) == t.Name() {
		settle(t, cloneflags)
		return true
	}
	if strings.Contains(t.Name(), "/") {
		t.Fatal("InNamespaces is for top-level tests: a subtest cannot be run again alone")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatalf("finding the test binary: %v", err)
	}
	cmd := exec.Command(exe, "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout="+childLimit.String())
	cmd.Env = append(os.Environ(), childVar+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: cloneflags | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("inside the namespaces: %v\n%s", err, out)
	}
	// A child that ran nothing, or skipped, also exits 0.
	if !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("inside the namespaces the test did not pass:\n%s", out)
	}
	if testing.Verbose() {
		t.Logf("inside the namespaces:\n%s", out)
	}
	return false
}

func settle(t *testing.T, cloneflags uintptr) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("making all mounts private: %v", err)
	}
	if cloneflags&unix.CLONE_NEWPID != 0 {
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			t.Fatalf("mounting /proc of the new PID namespace: %v", err)
		}
	}
}
