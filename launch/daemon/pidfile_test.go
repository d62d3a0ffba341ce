package daemon

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// pidFiles makes an exec-root with the PID files of dockerd and its containerd, and returns what is seen of them.
func pidFiles(t *testing.T, dockerd, containerd string) (dir string, seen []PIDFile) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"docker.pid": dockerd, "containerd/containerd.pid": containerd} {
		if text == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := ObservePIDFiles(Effective{Args: ParseArgs([]string{"--pidfile", dir + "/docker.pid", "--exec-root", dir})})
	if err != nil {
		t.Fatal(err)
	}
	return dir, seen
}

// sleeper starts a process under a name, and returns its PID.
func sleeper(t *testing.T, name string) int {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	// The name that /proc/PID/comm gives is that of the file, so that a link serves.
	program := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(sleep, program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("a process that was killed ended well")
		}
	})
	return cmd.Process.Pid
}

func TestPIDFiles(t *testing.T) {
	alive, other := sleeper(t, "dockerd"), sleeper(t, "postgres")
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text        string
		seen, alive bool
	}{
		"a dockerd that runs":      {strconv.Itoa(alive), true, true},
		"a PID that was used anew": {strconv.Itoa(other), true, false},
		"a process that has ended": {strconv.Itoa(ended.Process.Pid) + "\n", true, false},
		"our own PID":              {strconv.Itoa(os.Getpid()), true, false},
		"no number":                {"me", false, false},
		"empty":                    {"", false, false},
		"zero":                     {"0", false, false},
		"somebody's long file":     {strings.Repeat("1", 100), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, seen := pidFiles(t, c.text, "")
			if (len(seen) == 1) != c.seen || c.seen && seen[0].Alive != c.alive {
				t.Fatalf("seen: %+v", seen)
			}
			if !c.seen {
				return
			}
			kept, err := seen[0].Apply(context.Background())
			_, statErr := os.Stat(filepath.Join(dir, "docker.pid"))
			if c.alive && (err == nil || statErr != nil) {
				t.Errorf("the file of a daemon that runs: kept %v, %v; the file: %v", kept, err, statErr)
			}
			if !c.alive && (err != nil || kept || !os.IsNotExist(statErr)) {
				t.Errorf("a stale file: kept %v, %v; the file: %v", kept, err, statErr)
			}
		})
	}
}

func TestPIDFileThatChanges(t *testing.T) {
	dir, seen := pidFiles(t, strconv.Itoa(os.Getpid()), "")
	path := filepath.Join(dir, "docker.pid")
	if err := os.WriteFile(path, []byte(strconv.Itoa(sleeper(t, "postgres"))), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := seen[0].Apply(context.Background()); err == nil {
		t.Error("a file that somebody else has written in between was removed")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if kept, err := seen[0].Apply(context.Background()); err != nil || !kept {
		t.Errorf("a file that is gone: kept %v, %v", kept, err)
	}
}

func TestPIDFileOfContainerd(t *testing.T) {
	if _, seen := pidFiles(t, "", "1\n"); len(seen) != 1 || !strings.HasSuffix(seen[0].Path, "containerd/containerd.pid") {
		t.Errorf("seen: %+v", seen)
	}
	// With a containerd of the user's the file is none of dockerd's.
	e := Effective{Args: ParseArgs([]string{"--containerd", "/run/c.sock", "--pidfile="})}
	if seen, err := ObservePIDFiles(e); err != nil || len(seen) != 0 {
		t.Errorf("seen: %+v, %v", seen, err)
	}
}
