package nested

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// limit bounds each command, and each wait for a daemon: others may keep the machine busy.
const limit = 2 * time.Minute

// outer is the Docker around all others. One for all tests, as loading the image takes seconds.
type outer struct {
	*sandbox.Sandbox
	dir string // of this run, on the host
	log *os.File
}

var (
	outerOnce sync.Once
	theOuter  *outer
	outerErr  error
)

func TestMain(m *testing.M) {
	sandbox.Init() // before all else: this binary is also the stages of its sandboxes
	status := m.Run()
	if theOuter != nil {
		if err := theOuter.end(status != 0); err != nil {
			fmt.Fprintln(os.Stderr, "--- FAIL: the end of the outer Docker:", err)
			status = 1
		}
	}
	os.Exit(status)
}

// built is a file that make has built.
func built(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("DOCKERLAUNCH_TEST_BUILD")
	if dir == "" {
		dir = filepath.Join("..", "..", "build")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		testenv.Missing(t, fmt.Sprintf("there is no build/%s (make test builds it)", name))
	} else if err != nil {
		t.Fatal(err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// theOuterDocker starts the outer Docker for the first test that wants it, with the images that all of them use.
func theOuterDocker(t *testing.T) *outer {
	t.Helper()
	testenv.NeedRoot(t)
	root, image, launcher := built(t, "rootfs"), built(t, "image.tar"), built(t, "dockerlaunch")
	outerOnce.Do(func() { theOuter, outerErr = startOuter(root, image, launcher) })
	if outerErr != nil {
		t.Fatalf("there is no outer Docker: %v", outerErr)
	}
	return theOuter
}

func startOuter(root, image, launcher string) (o *outer, err error) {
	dir, err := os.MkdirTemp("", "dockerlaunch-nested-")
	if err != nil {
		return nil, err
	}
	o = &outer{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.end(true))
		}
	}()
	if o.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		return nil, err
	}
	if err := buildGuest(filepath.Join(shared, "guest")); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	o.Sandbox, err = sandbox.Start(ctx, sandbox.Options{
		Root: root, Launcher: launcher, State: filepath.Join(dir, "state"), Stdout: o.log, Stderr: o.log,
		Binds: []sandbox.Bind{{Source: image, Target: "/image.tar", ReadOnly: true}, {Source: shared, Target: "/shared"}},
	})
	if err != nil {
		return nil, err
	}
	if err := o.Ready(ctx); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"load", "-i", "/image.tar"},
		{"import", "--change", `ENTRYPOINT ["/guest"]`, "/shared/guest.tar", "guest"},
		{"save", "-o", "/shared/guest-image.tar", "guest"},
	} {
		if args[0] == "import" {
			if err := pack(filepath.Join(shared, "guest.tar"), shared, "guest"); err != nil {
				return nil, err
			}
		}
		if out, err := o.Docker(ctx, args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return o, nil
}

// buildGuest builds the program that the tests' containers run.
func buildGuest(path string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the guest: %w\n%s", err, out)
	}
	return nil
}

// pack makes a tar archive of files of a folder.
func pack(archive, dir string, names ...string) error {
	if out, err := exec.Command("tar", append([]string{"-C", dir, "-cf", archive}, names...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	return nil
}

// copyFile has a file under another name, by a link where both are on one filesystem.
func copyFile(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w\n%s", err, out)
	}
	return nil
}

// end stops the outer Docker and looks that nothing of it is left on the host.
func (o *outer) end(failed bool) error {
	var errs []error
	if o.Sandbox != nil {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := o.Stop(ctx); err != nil {
			errs = append(errs, err)
		}
		left, err := o.LeftOver(ctx)
		if err != nil || len(left) > 0 {
			errs = append(errs, fmt.Errorf("left over: %q, %w", left, err))
		}
	}
	if failed || len(errs) > 0 {
		if text, err := os.ReadFile(filepath.Join(o.dir, "log")); err == nil {
			fmt.Fprintf(os.Stderr, "the last that the outer Docker said:\n%s\n", lastLines(string(text), 30))
		}
	}
	if o.log != nil {
		errs = append(errs, o.log.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(o.dir))...)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
