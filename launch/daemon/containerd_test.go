package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func managed(t *testing.T, args ...string) Containerd {
	t.Helper()
	command, err := Translate(append([]string{"dockerd"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return Effective{Command: command, Args: ParseArgs(command.Args)}.ManagedContainerd("/usr/bin/containerd")
}

// The folders are dockerd's own, or a change between our containerd and dockerd's would lose every image of Docker 29.
func TestManagedContainerdLiesWhereDockerdHasIt(t *testing.T) {
	c := managed(t)
	if c.Root != "/var/lib/docker/containerd/daemon" || c.State != "/var/run/docker/containerd/daemon" ||
		c.Address != "/var/run/docker/containerd/containerd.sock" || c.PIDFile != "/var/run/docker/containerd/containerd.pid" {
		t.Errorf("%+v", c)
	}
	c = managed(t, "--data-root", "/d", "--exec-root=/e", "-D")
	if c.Root != "/d/containerd/daemon" || c.Address != "/e/containerd/containerd.sock" || c.LogLevel != "debug" {
		t.Errorf("%+v", c)
	}
}

func TestContainerdConfig(t *testing.T) {
	text := managed(t, "--data-root", `/odd "name"\`+"\n").Config()
	for _, line := range []string{
		`root = "/odd \"name\"\\\u000A/containerd/daemon"`,
		`disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs"]`,
		`  address = "/var/run/docker/containerd/containerd.sock"`,
		`  level = "warn"`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, text)
		}
	}
}

func TestContainerdFiles(t *testing.T) {
	dir := t.TempDir()
	c := managed(t, "--exec-root", dir, "--data-root", dir)
	for range 2 {
		if _, err := c.Apply(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "containerd", "containerd.toml")); err != nil || string(data) != c.Config() {
		t.Errorf("the configuration is %q, %v", data, err)
	}
	if err := c.Started(42); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(c.PIDFile); err != nil || string(data) != "42" {
		t.Errorf("the PID file is %q, %v", data, err)
	}
	if err := c.Stopped(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.PIDFile); !os.IsNotExist(err) {
		t.Errorf("the PID file is still there: %v", err)
	}
	c.ConfigFile = filepath.Join(dir, "containerd", "containerd.toml", "x")
	if _, err := c.Apply(context.Background()); err == nil {
		t.Error("a file in the place of the folder is no error")
	}
}
