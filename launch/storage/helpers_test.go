package storage

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// tool gives the path of a program that scripts/install-tools installs.
func tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if path := filepath.Join(dir, name); unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	testenv.Missing(t, "there is no "+name+" (scripts/install-tools test)")
	return ""
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// image makes a sparse file of zeros.
func image(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
	return path
}

func poke(t testing.TB, path string, at int64, data string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(data), at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// loop makes a loop device of an image, which goes with the test.
func loop(t testing.TB, image string, args ...string) string {
	t.Helper()
	testenv.NeedRoot(t)
	device := strings.TrimSpace(command(t, "losetup", append(args, "--find", "--show", image)...))
	t.Cleanup(func() {
		if out, err := exec.Command(tool(t, "losetup"), "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("detaching %s: %v: %s", device, err, out)
		}
	})
	return device
}

// runner runs programs as a program that is not PID 1 may do it.
type runner struct {
	ran    []string
	before func(path string, cmd *exec.Cmd) // may change the command, or end it early
}

func (r *runner) Run(ctx context.Context, path string, args ...string) (int, string, error) {
	r.ran = append(r.ran, filepath.Base(path)+" "+strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, path, args...)
	if r.before != nil {
		r.before(path, cmd)
	}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(interface{ Signal() unix.Signal }); ok && exit.ExitCode() < 0 {
			return 128 + int(status.Signal()), string(out), nil
		}
		return exit.ExitCode(), string(out), nil
	}
	return 0, string(out), err
}

// diskAt describes one device as the survey does.
func diskAt(t testing.TB, path string) Disk {
	t.Helper()
	disks, err := Survey(t.Context(), Spec{Value: path}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range disks {
		if d.Path == path {
			return d
		}
	}
	t.Fatalf("%s is not among %v", path, disks)
	return Disk{}
}
