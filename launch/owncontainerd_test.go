package launch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// TestUsersOwnContainerd: one that the user has started is used, wherever he names it, and none is started beside it.
func TestUsersOwnContainerd(t *testing.T) {
	const mine, system = "/mine/containerd.sock", "/run/containerd/containerd.sock"
	for _, c := range []struct {
		name, socket string
		args         []string
		json         string
	}{
		{"by an argument", mine, []string{"/usr/bin/dockerd", "--containerd", mine}, ""},
		{"by daemon.json", mine, nil, `{"containerd": "` + mine + `"}`},
		{"at the usual place", system, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, c.args...)
			o.Env = append(sandbox.DefaultEnv(), "BESIDE_SOCKET="+c.socket, "BESIDE=/usr/bin/containerd --log-level=warn --config=/mine.toml")
			o.Files = []sandbox.File{{Path: "/mine.toml", Data: fmt.Appendf(nil, "version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [%q]\n[grpc]\n  address = %q\n",
				"/var/lib/docker/mine", filepath.Dir(c.socket)+"/state", "io.containerd.grpc.v1.cri", c.socket)}} // that one wants a network
			// As in a container whose /run is a volume: a mount of the launcher's own would hide the socket.
			run := filepath.Join(t.TempDir(), "run")
			if err := os.Mkdir(run, 0o755); err != nil {
				t.Fatal(err)
			}
			o.Binds = []sandbox.Bind{{Source: o.Launcher, Target: "/opt/launcher"}, {Source: run, Target: "/run"}}
			o.Launcher = program(t, "testdata/beside")
			if c.json != "" {
				o.Files = append(o.Files, sandbox.File{Path: "/etc/docker/daemon.json", Data: []byte(c.json)})
			}
			s := startReady(t, o)
			importProbe(t, s)
			if got := docker(t, s, "run", "--rm", "probe", "cat", "/etc/hostname"); got == "" {
				t.Error("a container says nothing")
			}
			all := children(t, s, "containerd")
			if len(all) != 1 {
				t.Fatalf("there are containerds %d", all)
			}
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", all[0]))
			if err != nil || !strings.Contains(string(line), "--config=/mine.toml") {
				t.Errorf("it is %q, %v", line, err)
			}
			line, err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child(t, s, "dockerd")))
			if err != nil || strings.Contains(string(line), "--containerd=") {
				t.Errorf("dockerd is told of another: %q, %v", line, err)
			}
			if _, err := os.Stat(inside(s, "/run/docker/containerd/containerd.sock")); err == nil {
				t.Error("there is a socket of another one")
			}
		})
	}
}

// TestHostsOfTheUsers: where the user names addresses, dockerd opens them, and the launcher none.
func TestHostsOfTheUsers(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		json string
	}{
		"by arguments":   {[]string{"-H", "unix:///run/mine.sock", "-Hunix:///run/second.sock"}, ""},
		"by daemon.json": {nil, `{"hosts": ["unix:///run/mine.sock", "unix:///run/second.sock"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, c.args...)
			if c.json != "" {
				o.Files = []sandbox.File{{Path: "/etc/docker/daemon.json", Data: []byte(c.json)}}
			}
			s := start(t, o)
			for _, path := range []string{"/run/mine.sock", "/run/second.sock"} {
				eventually(t, "answer at "+path, func() bool {
					line, err := ask(inside(s, path))
					return err == nil && line == "HTTP/1.0 200 OK"
				})
			}
			if _, err := os.Stat(inside(s, "/run/docker.sock")); err == nil {
				t.Error("there is a socket that nobody asked for")
			}
			if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", child(t, s, "dockerd"))); err != nil || strings.Contains(string(env), "LISTEN_FDS=") {
				t.Errorf("dockerd is handed sockets: %q, %v", env, err)
			}
		})
	}
}
