package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// ownerVar makes the test binary a program that starts a sandbox and waits to be killed.
const ownerVar = "DOCKERLAUNCH_TEST_OWNER"

func TestMain(m *testing.M) {
	Init()
	if args := os.Getenv(ownerVar); args != "" {
		os.Exit(runOwner(strings.Fields(args)))
	}
	code := m.Run()
	if stub.path != "" {
		_ = os.RemoveAll(filepath.Dir(stub.path)) // in the temporary folder, if it stays
	}
	os.Exit(code)
}

// runOwner starts the stub in a sandbox, says its PID, its device and its groups, and waits.
func runOwner(args []string) int {
	sb, err := Start(context.Background(), Options{Root: args[0], State: args[1], Launcher: args[2], Argv: args[3:]})
	if err == nil {
		err = sb.Ready(context.Background())
	}
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("started", sb.PID(), sb.keep.cmd.Process.Pid, sb.veth.Name, strings.Join(sb.groups, ","))
	time.Sleep(time.Hour)
	return 0
}

var stub struct {
	once sync.Once
	path string
	err  error
}

// stubPath builds the stub once: it must be static, which a test binary is not where there is a C compiler.
func stubPath(t *testing.T) string {
	t.Helper()
	stub.once.Do(func() {
		dir, err := os.MkdirTemp("", "sandbox-stub-")
		if err != nil {
			stub.err = err
			return
		}
		stub.path = filepath.Join(dir, "stub")
		cmd := exec.Command("go", "build", "-o", stub.path, "./testdata/stub")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			stub.err = fmt.Errorf("building the stub: %w\n%s", err, out)
		}
	})
	if stub.err != nil {
		t.Fatal(stub.err)
	}
	return stub.path
}

// options are those of a sandbox with the stub on a tree that is nearly empty.
func options(t *testing.T, argv ...string) Options {
	t.Helper()
	testenv.NeedRoot(t)
	tree := t.TempDir()
	for _, dir := range []string{"etc", "usr/bin", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/marker"), []byte("from the tree"), 0o644); err != nil {
		t.Fatal(err)
	}
	return Options{Root: tree, State: t.TempDir(), Launcher: stubPath(t), Argv: argv, StopTimeout: 5 * time.Second}
}

// start starts a sandbox that ends with the test and must leave nothing.
func start(t *testing.T, o Options) *Sandbox {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	sb, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sb.Stop(context.Background()); err != nil && !errors.Is(err, ErrForced) {
			t.Errorf("Stop: %v", err)
		}
		nothingLeft(t, sb)
	})
	return sb
}

func nothingLeft(t *testing.T, sb *Sandbox) {
	t.Helper()
	left, err := sb.LeftOver(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		t.Errorf("left over: %s", l)
	}
}

// run runs the stub to its end and returns what it wrote and its status.
func run(t *testing.T, o Options) (string, int) {
	t.Helper()
	var out bytes.Buffer
	o.Stdout, o.Stderr = &out, &out
	sb := start(t, o)
	select {
	case <-sb.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the stub did not end")
	}
	code := sb.Wait()
	if err := sb.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	return out.String(), code
}

// waitFor waits until a condition holds, and fails the test when it does not within 10 s.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 10 s: %s", what)
}

func dial(t *testing.T, address string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
