package launch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestMain(m *testing.M) {
	sandbox.Init() // before all else: this binary is also the stages of its sandboxes
	status := m.Run()
	if err := os.RemoveAll(programs); err != nil {
		fmt.Fprintln(os.Stderr, "removing the tests' programs:", err)
		status = 1
	}
	os.Exit(status)
}

// programs is the folder that the tests' programs are built in.
var programs = filepath.Join(os.TempDir(), "dockerlaunch-test-"+strconv.Itoa(os.Getpid()))

// startLimit bounds the time from the start of the launcher to a daemon that answers.
const startLimit = 90 * time.Second

// rootfs is the built root tree; DOCKERLAUNCH_TEST_ROOTFS names another one.
func rootfs(t *testing.T) string {
	t.Helper()
	testenv.NeedRoot(t)
	dir := os.Getenv("DOCKERLAUNCH_TEST_ROOTFS")
	if dir == "" {
		dir = filepath.Join("..", "build", "rootfs")
	}
	if _, err := os.Stat(filepath.Join(dir, "usr", "bin")); err != nil {
		testenv.Missing(t, fmt.Sprintf("there is no root tree (make rootfs): %v", err))
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var built sync.Map // folder of a main package -> func() (string, error)

// program builds a main package without cgo, once for all tests, and returns the binary's path.
func program(t *testing.T, dir string) string {
	t.Helper()
	build, _ := built.LoadOrStore(dir, sync.OnceValues(func() (string, error) {
		if err := os.MkdirAll(programs, 0o700); err != nil {
			return "", err
		}
		path := filepath.Join(programs, filepath.Base(dir))
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./"+dir)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", dir, err, text)
		}
		return path, nil
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// launcher builds the launcher from the sources under test, which build/dockerlaunch may be older than.
func launcher(t *testing.T) string { return program(t, "../cmd/dockerlaunch") }

// options are those of a sandbox with the launcher under test, on a state of its own.
func options(t *testing.T, argv ...string) sandbox.Options {
	t.Helper()
	return sandbox.Options{Root: rootfs(t), Launcher: launcher(t), Argv: argv, State: filepath.Join(t.TempDir(), "state")}
}

// start starts a sandbox, which the end of the test stops and looks whether anything is left of it.
func start(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	log := &lockedBuffer{}
	if o.Stdout == nil {
		o.Stdout = log
	}
	if o.Stderr == nil {
		o.Stderr = log
	}
	s, err := sandbox.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("starting the sandbox: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last that the launcher and the daemon said:\n%s", log.tail(30))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stopping the sandbox: %v", err)
		}
		left, err := s.LeftOver(ctx)
		if err != nil || len(left) > 0 {
			t.Errorf("left over after the stop: %q, %v", left, err)
		}
	})
	return s
}

// startReady starts a sandbox and waits until its daemon answers.
func startReady(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	s := start(t, o)
	ready(t, s)
	return s
}

func ready(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		t.Fatalf("the daemon does not answer: %v", err)
	}
}

// refused runs a launcher that is expected to end by itself, and returns its exit status and what it said.
func refused(t *testing.T, o sandbox.Options) (status int, said string) {
	t.Helper()
	log := &lockedBuffer{}
	o.Stdout, o.Stderr = log, log
	s := start(t, o)
	select {
	case <-s.Done():
	case <-time.After(startLimit):
		t.Fatalf("the launcher does not end:\n%s", log)
	}
	return s.Wait(), log.String()
}

// docker runs the tree's docker client in the sandbox and returns what it printed.
func docker(t *testing.T, s *sandbox.Sandbox, args ...string) string {
	t.Helper()
	out, err := tryDocker(t, s, nil, args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func tryDocker(t *testing.T, s *sandbox.Sandbox, stdin io.Reader, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	cmd := s.Docker(ctx, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// importProbe makes the image "probe" out of the program that the tests' containers run.
func importProbe(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	archive, err := tarOf("probe", program(t, "testdata/probe"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := tryDocker(t, s, archive, "import", "--change", `ENTRYPOINT ["/probe"]`, "-", "probe"); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
}

// child returns the process ID, as the host has it, of a child of the launcher by its name; 0 where there is none.
func child(t *testing.T, s *sandbox.Sandbox, name string) int {
	t.Helper()
	if all := children(t, s, name); len(all) > 0 {
		return all[0]
	}
	return 0
}

// children returns the process IDs of all children of that name.
func children(t *testing.T, s *sandbox.Sandbox, name string) (found []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for _, pid := range strings.Fields(string(data)) {
			if comm, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil && strings.TrimSpace(string(comm)) == name {
				n, err := strconv.Atoi(pid)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, n)
			}
		}
	}
	return found
}

// lockedBuffer takes the output of several processes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) tail(n int) string {
	lines := strings.Split(b.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
