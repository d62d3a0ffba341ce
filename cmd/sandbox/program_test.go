package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// rootfs is the tree that make rootfs builds.
const rootfs = "../../build/rootfs"

var programs struct {
	once sync.Once
	dir  string
	err  error
}

// program builds one of the module's programs once, static as in the Makefile.
func program(t *testing.T, name string) string {
	t.Helper()
	programs.once.Do(func() {
		programs.dir, programs.err = os.MkdirTemp("", "sandbox-programs-")
		for _, p := range []string{"dockerlaunch", "hello"} {
			if programs.err != nil {
				return
			}
			cmd := exec.Command("go", "build", "-o", filepath.Join(programs.dir, p), "../"+p)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				programs.err = fmt.Errorf("building %s: %w\n%s", p, err, out)
			}
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

// running is the program in a process of its own, leader of a process group as a shell makes it.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    output
	errOut output
	ended  chan struct{}
	code   int
}

// output is a buffer that is read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// launch starts the program with the real tree and launcher, on a state folder, and any other flags.
func launch(t *testing.T, state string, flags ...string) *running {
	t.Helper()
	return launchTo(t, nil, state, flags...)
}

// launchTo is launch with stdout going straight to a file, where one is given.
func launchTo(t *testing.T, stdout *os.File, state string, flags ...string) *running {
	t.Helper()
	testenv.NeedRoot(t)
	if _, err := os.Stat(filepath.Join(rootfs, "usr/bin")); err != nil {
		testenv.Missing(t, "there is no root tree (make rootfs)")
	}
	args := append([]string{"--root", rootfs, "--launcher", program(t, "dockerlaunch"), "--hello", program(t, "hello"), "--state", state}, flags...)
	r := &running{t: t, cmd: exec.Command("/proc/self/exe", args...), ended: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), selfVar+"=1")
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errOut
	if stdout != nil {
		r.cmd.Stdout = stdout
	}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // the status is what counts
		r.code = r.cmd.ProcessState.ExitCode()
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // where the test failed half-way: the keeper then clears up
		<-r.ended
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", r.out.String(), r.errOut.String())
		}
	})
	return r
}

func (r *running) waitFor(text string) string {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(r.out.String(), text) {
			return r.out.String()
		}
		select {
		case <-r.ended:
			r.t.Fatalf("it ended with status %d before it said %q", r.code, text)
		default:
		}
	}
	r.t.Fatalf("it did not say %q", text)
	return ""
}

func (r *running) signalGroup(sig syscall.Signal) {
	r.t.Helper()
	if err := unix.Kill(-r.cmd.Process.Pid, sig); err != nil {
		r.t.Fatal(err)
	}
}

// end waits for the end, and looks for what may be left.
func (r *running) end(want int) {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(time.Minute):
		r.t.Fatal("it did not end")
	}
	if r.code != want {
		r.t.Errorf("status %d, want %d", r.code, want)
	}
	r.nothingLeft()
}

// nothingLeft looks for cgroups and devices that bear the program's PID, and for processes that see its state.
func (r *running) nothingLeft() {
	r.t.Helper()
	pid := r.cmd.Process.Pid
	mine := regexp.MustCompile(fmt.Sprintf(`^dockerlaunch-\d+-%d-`, pid))
	// Groups of others come and go meanwhile.
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && mine.MatchString(d.Name()) {
			r.t.Errorf("cgroup %s is left", path)
		}
		return nil
	})
	devices, err := net.Interfaces()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range devices {
		if strings.HasPrefix(d.Name, "dl"+strconv.FormatInt(int64(pid), 36)+"-") {
			r.t.Errorf("device %s is left", d.Name)
		}
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.Contains(string(b), r.state()) {
		r.t.Errorf("mounts are left:\n%s", b)
	}
	if pid := r.inner(); pid != 0 && unix.Kill(pid, 0) == nil {
		r.t.Errorf("PID %d is left", pid)
	}
}

func (r *running) state() string {
	for i, a := range r.cmd.Args {
		if a == "--state" {
			return r.cmd.Args[i+1]
		}
	}
	return ""
}

// inner is the launcher's PID as the program told it, or 0.
func (r *running) inner() int {
	m := regexp.MustCompile(`started +PID (\d+)`).FindStringSubmatch(r.out.String())
	if m == nil {
		return 0
	}
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		r.t.Fatal(err)
	}
	return pid
}
