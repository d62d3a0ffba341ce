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

// What the user says to dockerd of its containerd counts for ours, which stands in that one's place.
func TestContainerdIsToldWhatDockerdIs(t *testing.T) {
	const noCRI = `disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs"]`
	for _, c := range []struct {
		args, json string
		lines      []string
		formats    bool
	}{
		{"", "", []string{noCRI, `  level = "warn"`}, false},
		{"--log-level=error --log-format json", "", []string{noCRI, `  level = "error"`, `  format = "json"`}, true},
		{"-l info -D", "", []string{`  level = "debug"`}, false},
		{"--cri-containerd", "", []string{`disabled_plugins = ["io.containerd.snapshotter.v1.aufs"]`}, false},
		{"--cri-containerd=false", "", []string{noCRI}, false},
		{"", `{"log-level": "fatal", "log-format": "text", "cri-containerd": true}`,
			[]string{`disabled_plugins = ["io.containerd.snapshotter.v1.aufs"]`, `  level = "fatal"`, `  format = "text"`}, true},
		{"", `{"log-level": ""}`, []string{`  level = "warn"`}, false},
	} {
		text := effective(t, c.args, c.json, "").ManagedContainerd("x").Config()
		for _, line := range c.lines {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("%s %s: there is no line %s in\n%s", c.args, c.json, line, text)
			}
		}
		if strings.Contains(text, "format =") != c.formats {
			t.Errorf("%s %s: a format where nobody names one, or none:\n%s", c.args, c.json, text)
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
	// What a killed one left behind: dockerd would take the PID for a containerd's, and wait a second at the socket.
	left := []string{c.PIDFile, c.Address, c.Address + ".ttrpc"}
	for _, path := range left {
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Apply(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	c.ConfigFile = filepath.Join(dir, "containerd", "containerd.toml", "x")
	if _, err := c.Apply(context.Background()); err == nil {
		t.Error("a file in the place of the folder is no error")
	}
}
