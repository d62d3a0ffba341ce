package launch_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"golang.org/x/sys/unix"
)

// TestRefusals: each way in which a system is not fit, or a command line wrong, with its exit status and what is said.
func TestRefusals(t *testing.T) {
	const ca = "/etc/ssl/certs/ca-certificates.crt"
	iptables := []string{"/usr/sbin/iptables", "/usr/bin/iptables", "/sbin/iptables"}
	for name, c := range map[string]struct {
		argv   []string
		change func(o *sandbox.Options)
		status int
		says   []string
		// surprise tells that only the kernel knows, when it is asked to execute.
		surprise bool
	}{
		"unprivileged": {
			change: func(o *sandbox.Options) { o.UID, o.GID = 1000, 1000 },
			status: 3, says: []string{"CAP_SYS_ADMIN", "--privileged"},
		},
		"root without the capability to mount": {
			change: func(o *sandbox.Options) { o.DropCaps = []int{unix.CAP_SYS_ADMIN} },
			status: 3, says: []string{"CAP_SYS_ADMIN", "--privileged"},
		},
		"no iptables": {
			change: func(o *sandbox.Options) { o.Hide = iptables },
			status: 3, says: []string{"iptables is missing", "Install iptables", "--iptables=false"},
		},
		"no ca-certificates": {
			change: func(o *sandbox.Options) { o.Hide = []string{ca} },
			status: 3, says: []string{"ca-certificates is missing", "Install ca-certificates", "--without ca-certificates"},
		},
		"both, told at once": {
			change: func(o *sandbox.Options) { o.Hide = append([]string{ca}, iptables...) },
			status: 3, says: []string{"2 reasons", "ca-certificates is missing", "iptables is missing"},
		},
		"daemon not found in PATH": {
			argv: []string{"no-such-dockerd"}, status: 127, says: []string{"no-such-dockerd", "PATH"},
		},
		"daemon not found at its path": {
			argv: []string{"/opt/dockerd"}, status: 127, says: []string{"/opt/dockerd"},
		},
		"daemon not executable": {
			argv:   []string{"/opt/dockerd"},
			change: func(o *sandbox.Options) { o.Files = []sandbox.File{{Path: "/opt/dockerd", Mode: 0o644}} },
			status: 126, says: []string{"/opt/dockerd", "permission denied"},
		},
		"daemon is no program": {
			argv: []string{"/opt/dockerd"},
			change: func(o *sandbox.Options) {
				o.Files = []sandbox.File{{Path: "/opt/dockerd", Mode: 0o755, Data: []byte("MZ")}}
			},
			status: 126, says: []string{"/opt/dockerd", "architecture"}, surprise: true,
		},
		"daemon's interpreter is missing": {
			argv: []string{"/opt/dockerd"},
			change: func(o *sandbox.Options) {
				o.Files = []sandbox.File{{Path: "/opt/dockerd", Mode: 0o755, Data: []byte("#!/opt/no-shell\n")}}
			},
			status: 127, says: []string{"/opt/dockerd", "interpreter"}, surprise: true,
		},
		"bad flag": {
			argv: []string{"--cgroup=v9"}, status: 2, says: []string{"v9", "dockerlaunch help"},
		},
		"a client's command": {
			argv: []string{"docker", "run", "hello-world"}, status: 2, says: []string{"run"},
		},
		"an unknown name to do without": {
			argv: []string{"--without", "iptable"}, status: 2, says: []string{"iptable", "iptables"},
		},
		"read-only root without a folder to mount on": {
			change: func(o *sandbox.Options) { o.ReadonlyRoot, o.Hide = true, []string{"/sys"} },
			status: 3, says: []string{"/sys", "read-only"},
		},
		"read-only root without /var/run": {
			change: func(o *sandbox.Options) { o.ReadonlyRoot, o.Hide = true, []string{"/var/run"} },
			status: 3, says: []string{"/var/run", "read-only"},
		},
		"read-only root, no /proc": {
			change: func(o *sandbox.Options) { o.ReadonlyRoot, o.Hide = true, []string{"/proc"} },
			status: 3, says: []string{"/proc", "read-only"},
		},
		"no /proc, and a file in its place": {
			change: func(o *sandbox.Options) {
				o.Hide = []string{"/proc"}
				o.Files = []sandbox.File{{Path: "/proc", Data: []byte("x")}}
			},
			status: 3, says: []string{"/proc", "file"},
		},
		"read-only data-root": {
			argv:   []string{"dockerd", "--data-root", "/data"},
			change: func(o *sandbox.Options) { o.ReadonlyRoot = true },
			status: 3, says: []string{"data-root /data", "read-only", "volume"},
		},
		"daemon.json with a mistake": {
			change: func(o *sandbox.Options) {
				o.Files = []sandbox.File{{Path: "/etc/docker/daemon.json", Data: []byte("{\n\"debug\": tru\n}")}}
			},
			status: 3, says: []string{"/etc/docker/daemon.json", "line 2"},
		},
		"daemon.json against an argument": {
			argv: []string{"dockerd", "--data-root", "/var/lib/docker"},
			change: func(o *sandbox.Options) {
				o.Files = []sandbox.File{{Path: "/etc/docker/daemon.json", Data: []byte(`{"data-root": "/var/lib/docker"}`)}}
			},
			status: 3, says: []string{"--data-root", "daemon.json"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, c.argv...)
			if c.change != nil {
				c.change(&o)
			}
			status, said := refused(t, o)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			if foretold := foretell(t, o); foretold != status && !c.surprise {
				t.Errorf("plan says exit status %d, and it is %d", foretold, status)
			}
			for _, part := range c.says {
				if !strings.Contains(said, part) {
					t.Errorf("it does not say %q:\n%s", part, said)
				}
			}
			if strings.Contains(said, "panic") || strings.Contains(said, "goroutine") {
				t.Errorf("that is no message for a user:\n%s", said)
			}
		})
	}
}

// foretell asks for the plan of a launch, with nothing mounted yet, and returns the exit status that it comes to.
func foretell(t *testing.T, o sandbox.Options) int {
	t.Helper()
	o.Argv = append([]string{"plan"}, o.Argv...)
	o.State = filepath.Join(t.TempDir(), "state")
	status, _ := refused(t, o)
	return status
}

// TestPlanForetells: where nothing is mounted yet and much is odd, the plan comes to what the launch comes to.
func TestPlanForetells(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *sandbox.Options)
		status int
	}{
		"the bare tree":    {func(*sandbox.Options) {}, 0},
		"a read-only root": {func(o *sandbox.Options) { o.ReadonlyRoot = true }, 0},
		"a file at /dev/null, on a /dev that is mounted": {func(o *sandbox.Options) {
			dev := t.TempDir()
			if err := os.WriteFile(filepath.Join(dev, "null"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			o.Binds = []sandbox.Bind{{Source: dev, Target: "/dev"}}
		}, 3},
		"a file at /var/run": {func(o *sandbox.Options) {
			o.Hide = []string{"/var/run"}
			o.Files = []sandbox.File{{Path: "/var/run"}}
		}, 3},
		"a data-root that is a file": {func(o *sandbox.Options) {
			o.Files = []sandbox.File{{Path: "/etc/docker/daemon.json", Data: []byte(`{"data-root": "/etc/docker/daemon.json"}`)}}
		}, 3},
		"a CA bundle in the spare place alone": {func(o *sandbox.Options) {
			o.Hide = []string{"/etc/ssl/certs/ca-certificates.crt"}
			o.Files = []sandbox.File{{Path: "/usr/etc/ssl/certs/ca-certificates.crt", Data: []byte("a bundle")}}
		}, 0},
		"an empty CA bundle, and one in the spare place": {func(o *sandbox.Options) {
			o.Files = []sandbox.File{
				{Path: "/usr/etc/ssl/certs/ca-certificates.crt", Data: []byte("a bundle")},
				{Path: "/etc/ssl/certs/ca-certificates.crt"},
			}
		}, 3},
		"something mounted below /run": {func(o *sandbox.Options) {
			o.Binds = append(o.Binds, sandbox.Bind{Source: t.TempDir(), Target: "/run/secrets"})
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "/opt/dockerd")
			c.change(&o)
			o.Binds = append(o.Binds, sandbox.Bind{Source: program(t, "testdata/stub"), Target: "/opt/dockerd"})
			status, said := refused(t, o)
			if status != c.status {
				t.Errorf("exit status %d, want %d:\n%s", status, c.status, said)
			}
			if foretold := foretell(t, o); foretold != status {
				t.Errorf("plan says exit status %d, and it is %d:\n%s", foretold, status, said)
			}
		})
	}
}

// TestForeignFilesystem: what is mounted and wrong is named, and left alone.
func TestForeignFilesystem(t *testing.T) {
	o := options(t)
	o.Binds = []sandbox.Bind{{Source: t.TempDir(), Target: "/proc"}}
	status, said := refused(t, o)
	if status != 3 || !strings.Contains(said, "/proc") || !strings.Contains(said, "mounted there") {
		t.Errorf("exit status %d:\n%s", status, said)
	}
}

// TestWarnings: what can be done without is told, with the flag that makes it harmless, and the daemon is started.
func TestWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		argv   []string
		change func(o *sandbox.Options)
		says   []string
		args   []string
	}{
		"no docker-proxy": {
			change: func(o *sandbox.Options) { o.Hide = wherever("docker-proxy") },
			says:   []string{"docker-proxy is missing"}, args: []string{"--userland-proxy=false"},
		},
		"no iptables, as the user says": {
			argv:   []string{"dockerd", "--iptables=false"},
			change: func(o *sandbox.Options) { o.Hide = wherever("iptables") },
			args:   []string{"--iptables=false"},
		},
		"no ps, as the user says": {
			argv:   []string{"--without", "ps", "dockerd"},
			change: func(o *sandbox.Options) { o.Hide = wherever("ps") },
			says:   []string{"ps is missing", "docker top"},
		},
		"no git, xz, ssh, docker-init": {
			change: func(o *sandbox.Options) {
				o.Hide = slices.Concat(wherever("git"), wherever("xz"), wherever("ssh"), wherever("docker-init"))
			},
			says: []string{"git is missing", "xz is missing", "ssh is missing", "docker-init is missing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := &lockedBuffer{}
			o := options(t, c.argv...)
			c.change(&o)
			o.Stdout, o.Stderr = log, log
			s := startReady(t, o)
			cmdline, err := os.ReadFile(filepath.Join("/proc", itoa(child(t, s, "dockerd")), "cmdline"))
			if err != nil {
				t.Fatal(err)
			}
			for _, arg := range c.args {
				if !slices.Contains(strings.Split(string(cmdline), "\x00"), arg) {
					t.Errorf("the daemon was not given %s: %q", arg, cmdline)
				}
			}
			for _, part := range c.says {
				if !strings.Contains(log.String(), part) {
					t.Errorf("it does not say %q:\n%s", part, log)
				}
			}
		})
	}
}

// wherever lists the places at which a program may be in the tree.
func wherever(name string) []string {
	return []string{"/usr/bin/" + name, "/usr/sbin/" + name, "/usr/libexec/docker/" + name}
}
