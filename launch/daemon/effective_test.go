package daemon

import (
	"slices"
	"testing"
)

func effective(t *testing.T, args, json, v string) Effective {
	t.Helper()
	c, err := Translate(append([]string{"dockerd"}, words(args)...))
	if err != nil {
		t.Fatal(err)
	}
	e := Effective{Command: c, Args: ParseArgs(c.Args), Version: version(t, v)}
	if json != "" {
		e.File = read(t, json)
	}
	return e
}

func TestEffectiveDefaults(t *testing.T) {
	// What --help prints of dockerd's defaults is in testdata; the rest was read in moby.
	e := effective(t, "", "", "")
	for what, got := range map[string][2]any{
		"data root": {e.DataRoot(), "/var/lib/docker"}, "exec root": {e.ExecRoot(), "/var/run/docker"}, "pid file": {e.Pidfile(), "/var/run/docker.pid"},
		"containerd": {e.ContainerdAddress(), ""}, "iptables": {e.IPTables(), true}, "ip6tables": {e.IP6Tables(), true},
		"userland proxy": {e.UserlandProxy(), true}, "firewall": {e.FirewallBackend(), "iptables"}, "driver": {e.StorageDriver(), ""},
		"file": {e.ConfigFile(), "/etc/docker/daemon.json"}, "debug": {e.Debug(), false}, "tls": {e.TLS(), false},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %v, want %v", what, got[0], got[1])
		}
	}
	if got := e.Hosts(); !slices.Equal(got, []string{"unix:///var/run/docker.sock"}) {
		t.Errorf("hosts %q", got)
	}
	if speaks, where := e.Speaks("debug"); speaks || where != "" {
		t.Errorf("speaks: %v, %q", speaks, where)
	}
}

func TestEffective(t *testing.T) {
	const args = `-g /d --exec-root /e -p _ -H fd:// -H _ --containerd /c --iptables=false --ip6tables=false --userland-proxy=false --firewall-backend nftables -s vfs --config-file /f -D`
	const json = `{"data-root": "/d", "exec-root": "/e", "hosts": ["fd://", ""], "containerd": "/c", "iptables": false, "ip6tables": false,
		"userland-proxy": false, "firewall-backend": "nftables", "storage-driver": "vfs", "debug": true}`
	for name, e := range map[string]Effective{"args": effective(t, args, "", ""), "file": effective(t, "", json, "")} {
		for what, got := range map[string][2]any{
			"data root": {e.DataRoot(), "/d"}, "exec root": {e.ExecRoot(), "/e"}, "containerd": {e.ContainerdAddress(), "/c"}, "iptables": {e.IPTables(), false},
			"ip6tables": {e.IP6Tables(), false}, "userland proxy": {e.UserlandProxy(), false}, "firewall": {e.FirewallBackend(), "nftables"},
			"driver": {e.StorageDriver(), "vfs"}, "debug": {e.Debug(), true},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: %s is %v, want %v", name, what, got[0], got[1])
			}
		}
		if got := e.Hosts(); !slices.Equal(got, []string{"fd://"}) {
			t.Errorf("%s: hosts %q", name, got)
		}
		e.Driver = "btrfs"
		if got := e.StorageDriver(); got != "btrfs" {
			t.Errorf("%s: DOCKER_DRIVER does not win over %s", name, got)
		}
	}
	e := effective(t, args, json, "")
	if e.Pidfile() != "" || e.ConfigFile() != "/f" {
		t.Errorf("pid file %q, configuration %q", e.Pidfile(), e.ConfigFile())
	}
	if _, where := e.Speaks("exec-root"); where != "--exec-root on the command line" {
		t.Errorf("exec-root is in %q", where)
	}
	if got := effective(t, "", `{"graph": "/old", "pidfile": "", "data-root": ""}`, ""); got.DataRoot() != "/old" || got.Pidfile() != DefaultPidfile {
		t.Errorf("data root %q, pid file %q", got.DataRoot(), got.Pidfile())
	}
	if got := effective(t, "", `{"proxies": {"iptables": false}, "x": {"data-root": "/x"}}`, ""); got.IPTables() || got.DataRoot() != DefaultDataRoot {
		t.Error("of nested keys, bools alone take effect")
	}
}

func TestEffectiveTLSAndIPv6(t *testing.T) {
	for args, want := range map[string]bool{"--tls": true, "--tls=false": false, "--tlsverify": true, "--tlsverify=false": true, "--tlscert x": false} {
		e := effective(t, args, "", "")
		host := DefaultHost
		if want {
			host = DefaultTLSHost
		}
		if e.TLS() != want || !slices.Equal(e.Hosts(), []string{host}) {
			t.Errorf("%s: %v, %q", args, e.TLS(), e.Hosts())
		}
	}
	if !effective(t, "", `{"tlsverify": false}`, "").TLS() || !effective(t, "", `{"tls": true}`, "").TLS() {
		t.Error("daemon.json does not turn TLS on")
	}
	for v, want := range map[string]bool{"20.10.24": false, "26.1.5": false, "27.0.0-rc.1": true, "29.7.2": true, "dev": true} {
		if got := effective(t, "", "", v).IP6Tables(); got != want {
			t.Errorf("ip6tables of %s: %v", v, got)
		}
	}
}

func TestEmbeddedContainerd(t *testing.T) {
	for _, c := range []struct {
		args, json, version string
		want                bool
	}{
		{"", "", "29.7.2", false},
		{"--feature embedded-containerd", "", "29.7.2", true},
		{"--feature=embedded-containerd=true", "", "29.7.2", true},
		{"--feature=embedded-containerd=1 --feature other=false", "", "29.7.2", true},
		{"--feature=embedded-containerd=false", "", "29.7.2", false},
		{"--feature=embedded-containerd --feature=embedded-containerd=false", "", "29.7.2", false},
		{"--feature=embedded-containerd=maybe", "", "29.7.2", false},
		{"--feature=containerd-snapshotter", "", "29.7.2", false},
		{"", `{"features": {"embedded-containerd": true}}`, "29.7.2", true},
		{"", `{"features": {"embedded-containerd": false, "x": true}}`, "29.7.2", false},
		{"", `{"features": {"embedded-containerd": true}}`, "", true},
		{"", `{"features": {"embedded-containerd": true}}`, "dev", true},
		{"--feature=embedded-containerd", "", "28.5.2", true}, // whether it knows it may turn out only when all is planned
	} {
		if got := effective(t, c.args, c.json, c.version).EmbeddedContainerd(); got != c.want {
			t.Errorf("%s %s, dockerd %q: %v", c.args, c.json, c.version, got)
		}
	}
}

func TestShutdownTimeout(t *testing.T) {
	for _, c := range []struct {
		args, json string
		want       int
	}{
		{"", "", 15},
		{"--shutdown-timeout 40", "", 40},
		{"--shutdown-timeout=-1", "", -1},
		{"", `{"shutdown-timeout": 300}`, 300},
		{"", `{"shutdown-timeout": -1}`, -1},
		{"", `{"shutdown-timeout": 0}`, 15},
		{"--shutdown-timeout 3", "", 15}, // dockerd waits for its containers' own 10 seconds, and 5 more
		{"--shutdown-timeout 30", `{"default-stop-timeout": 90}`, 95},
		{"--shutdown-timeout long", "", 15},
		{"--shutdown-timeout 99999999999999", "", 15},
	} {
		if got := effective(t, c.args, c.json, "").ShutdownTimeout(); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.args, c.json, got, c.want)
		}
	}
}
