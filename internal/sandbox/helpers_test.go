package sandbox

import (
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func mustHierarchies(t *testing.T) []hierarchy {
	t.Helper()
	hs, err := hostHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	return hs
}

func indexOf(t *testing.T, list []string, part string) int {
	t.Helper()
	for i, s := range list {
		if strings.Contains(s, part) {
			return i
		}
	}
	t.Fatalf("no %s in %v", part, list)
	return -1
}

// exitStatus is a command's status, or -1 where it did not run.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// insiders counts the processes that LeftOver finds.
func insiders(t *testing.T, sb *Sandbox) int {
	t.Helper()
	procs, err := sb.leftProcesses()
	if err != nil {
		t.Fatal(err)
	}
	return len(procs)
}

// sleeper is a process that the test may do with what it likes.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // most tests have done so already
		_ = cmd.Wait()
	})
	return cmd
}

func decodeHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

// onTmpfs returns a folder that can hold an overlay's upper layer also where the temporary folder cannot, as in a container
// whose root is an overlay itself. For tests in a mount namespace of their own.
func onTmpfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	// Below it: the mount itself is what LeftOver would find at a state folder.
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o755); err != nil {
		t.Fatal(err)
	}
	return in
}
