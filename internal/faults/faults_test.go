//go:build linux && amd64

package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

// scenes builds what is run.
func scenes(t *testing.T) map[string]Scene {
	t.Helper()
	testenv.NeedRoot(t)
	root, err := filepath.Abs("../../build/rootfs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin")); err != nil {
		testenv.Missing(t, fmt.Sprintf("there is no root tree (make rootfs): %v", err))
	}
	dir := t.TempDir()
	build := func(name, source string) string {
		path := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", source, err, text)
		}
		return path
	}
	launcher, stub := build("dockerlaunch", "../../cmd/dockerlaunch"), build("stub", "./testdata/stub")
	base := Scene{
		Root: root, Programs: map[string]string{launcherPath: launcher, "/usr/bin/dockerd": stub, "/usr/sbin/dockerd": stub, "/usr/bin/containerd": stub},
		Env: []string{"PATH=/usr/bin:/usr/sbin", "HOME=/root"},
	}
	with := func(args []string, env ...string) Scene {
		s := base
		s.Args, s.Env = args, append(append([]string{}, base.Env...), env...)
		return s
	}
	return map[string]Scene{
		"supervise": with(nil),
		"tls":       with(nil, "DOCKER_TLS_CERTDIR=/certs"),
		"exec":      with([]string{"--exec"}),
		"plan":      with([]string{"plan"}),
	}
}

func TestRecord(t *testing.T) {
	for name, scene := range scenes(t) {
		t.Run(name, func(t *testing.T) {
			run, err := scene.Run(t.Context(), nil, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, s := range run.Seen {
				n += s.Times
				t.Log(s.Times, s.Op)
			}
			t.Logf("%d operations, %d calls, status %d, %v, left %q\n%s", len(run.Seen), n, run.Status, run.Took, run.Left, run.Said)
		})
	}
}
