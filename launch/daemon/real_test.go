package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// realDaemon is a dockerd in a root tree of its own, asked with --validate, which reads all and starts nothing.
type realDaemon struct {
	root, path string
	version    Version
}

// configIn is where validate puts daemon.json in the root tree.
const configIn = "/tmp/daemon.json"

// findRealDaemon finds dockerd in the tree that DOCKERLAUNCH_TEST_ROOTFS names, else in build/rootfs. Tests call it
// before they go into namespaces, so that go test, which sees the first process alone, knows when to run them anew.
func findRealDaemon(t *testing.T) realDaemon {
	t.Helper()
	root, err := filepath.Abs(cmp.Or(os.Getenv("DOCKERLAUNCH_TEST_ROOTFS"), "../../build/rootfs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"} {
		if _, err := os.Stat(root + path); err == nil {
			return realDaemon{root: root, path: path}
		}
	}
	testenv.Missing(t, "no dockerd in "+root+" (run make rootfs, or set DOCKERLAUNCH_TEST_ROOTFS)")
	return realDaemon{}
}

// prepare asks the version, and covers the tree's /tmp with a tmpfs of this test's own mount namespace, so that nothing
// is written to the tree.
func (d *realDaemon) prepare(t *testing.T) {
	t.Helper()
	out, err := d.run("--version")
	if err != nil {
		t.Fatalf("%s --version: %v\n%s", d.path, err, out)
	}
	if d.version, err = ParseVersion(out); err != nil {
		t.Fatal(err)
	}
	t.Logf("dockerd %s in %s", d.version, d.root)
	if !d.version.AtLeast(23, 0, 0) {
		testenv.Missing(t, "dockerd "+d.version.String()+" has no --validate")
	}
	if err := unix.Mount("tmpfs", d.root+"/tmp", "tmpfs", 0, ""); err != nil {
		t.Fatalf("mounting a tmpfs on %s/tmp: %v", d.root, err)
	}
}

func (d realDaemon) run(args ...string) (string, error) {
	cmd := exec.Command(d.path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: d.root, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// validate runs dockerd --validate and returns what it says against it, "" where it is content.
func (d realDaemon) validate(t *testing.T, args []string, json string) string {
	t.Helper()
	if err := os.WriteFile(d.root+configIn, []byte(json), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := d.run(append([]string{"--validate", "--config-file=" + configIn}, args...)...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &exit) && out != "":
		return out
	}
	t.Fatalf("dockerd %q: %v\n%s", args, err, out)
	return ""
}

// ours is what this package says against it.
func ours(args []string, json string, version Version) error {
	var all []error
	s := ParseArgs(append([]string{"--config-file=" + configIn}, args...))
	for _, one := range append(s.Wrong(), s.Unknown()...) {
		all = append(all, fmt.Errorf("%s: %q", one.Written, one.Wrong))
	}
	for _, one := range s.All() {
		if o, _ := Lookup(one.Option); one.Known && !version.has(o.Since, o.Until) {
			all = append(all, fmt.Errorf("--%s is not in %s", o.Name, version))
		}
	}
	if operands := s.Operands(); len(operands) > 0 {
		all = append(all, fmt.Errorf("operands %q", operands))
	}
	c, err := ReadConfig(strings.NewReader(json))
	if err != nil {
		return errors.Join(append(all, err)...)
	}
	for _, p := range c.Problems(version) {
		if p.Fatal {
			all = append(all, errors.New(p.String()))
		}
	}
	return errors.Join(append(all, CheckConflicts(s, c))...)
}

func TestRealDaemonAgrees(t *testing.T) {
	d := findRealDaemon(t)
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	d.prepare(t)
	for _, test := range []struct{ args, json string }{
		{"", ""}, {"", "{}"}, {"", "null"}, {"", " \n"}, {"", "\ufeff{}"}, {"", utf16Text(`{"debug": true}`, 1, 0)}, {"", "\xff\xfe{"},
		{"", "{"}, {"", "[]"}, {"", "{} {}"}, {"", `{"debug": true,}`}, {"", "\x00\x00"}, {"", `{"labels": ["a=` + "\xff" + `"]}`},
		{"-D", `{"debug": true}`}, {"--debug=false", `{"debug": false}`}, {"-D", `{"debug": null}`}, {"-D", `{"log-level": "debug"}`},
		{"", `{"debug": true, "debug": false}`}, {"-D", `{"x": {"debug": true}}`}, {"", `{"x": {"debug": true}}`}, {"", `{"x": {"y": 1}}`},
		{"-H unix:///x", `{"hosts": ["unix:///y"]}`}, {"-Hunix:///x", `{"host": ["unix:///y"]}`}, {"", `{"host": ["unix:///y"], "label": 7}`},
		{"--label a=b", `{"labels": []}`}, {"--label a=b", `{"label": ["c=d"]}`}, {"--cgroup-parent -D", `{"debug": true}`}, {"--label a=-D", `{"debug": true}`},
		{"--exec-opt native.cgroupdriver=cgroupfs", `{"exec-opts": ["native.cgroupdriver=cgroupfs"]}`}, {"--storage-opt a=b", `{"storage-opts": []}`},
		{"--default-ulimit nofile=1:2", `{"default-ulimits": {"nproc": {"Name": "nproc", "Soft": 1, "Hard": 2}}}`},
		{"--log-opt max-size=1m", `{"log-opts": {"max-file": "2"}}`}, {"--dns 1.1.1.1", `{"dns": ["1.1.1.1"]}`}, {"--dns-search a", `{"dns-search": []}`},
		{"--insecure-registry a", `{"insecure-registries": []}`}, {"--registry-mirror http://a", `{"registry-mirrors": []}`},
		{"--default-address-pool base=10.0.0.0/8,size=24", `{"default-address-pools": []}`}, {"--feature a=true", `{"features": {"b": true}}`},
		{"--add-runtime a=/b", `{"runtimes": {"c": {"path": "/d"}}}`}, {"", `{"features": {"b": true}, "builder": {}, "deprecated-key-path": "x"}`},
		{"--http-proxy http://a", `{"proxies": {"http-proxy": "http://b"}}`}, {"--http-proxy http://a", `{"http-proxy": "http://b"}`}, {"", `{"http-proxy": "http://b"}`},
		{"--host-gateway-ip 1.1.1.1", `{"host-gateway-ip": "1.1.1.1"}`}, {"", `{"host-gateway-ip": "1.1.1.1"}`},
		{"", `{"host-gateway-ips": ["1.1.1.1"]}`}, {"", `{"host-gateway-ip": "1.1.1.1", "host-gateway-ips": ["1.1.1.1"]}`},
		{"", `{"config-file": "/x"}`}, {"", `{"containerd-plugin-namespace": "x"}`}, {"", `{"containerd-plugins-namespace": "x"}`},
		{"--containerd-plugins-namespace x", `{"containerd-plugins-namespace": "x"}`}, {"", `{"restart": false}`}, {"--restart", `{"restart": false}`},
		{"", `{"no-such": 1}`}, {"", `{"Debug": true}`}, {"", `{"data_root": "/x"}`}, {"", `{"graph": "/x"}`}, {"", `{"oom-score-adjust": -500}`},
		{"", `{"proxies": null}`}, {"", `{"proxies": []}`}, {"", `{"proxies": {}}`}, {"", `{"proxies": {"mtu": "1"}}`}, {"", `{"proxies": {"no-proxy": []}}`},
		{"", `{"debug": "true"}`}, {"", `{"mtu": "1"}`}, {"", `{"hosts": "unix:///x"}`}, {"", `{"data-root": 1}`}, {"", `{"log-opts": []}`}, {"", `{"debug": null, "hosts": null}`},
		{"", `{"default-shm-size": "64M"}`}, {"", `{"default-shm-size": 67108864}`}, {"", `{"default-shm-size": true}`}, {"", `{"min-api-version": "1.44"}`},
		{"", `{"allow-nondistributable-artifacts": []}`}, {"", `{"swarm-raft-election-tick": 1}`}, {"", `{"default-init": "x"}`},
		{"-g /x", ""}, {"--graph=/x", ""}, {"-d", ""}, {"-e native", ""}, {"--exec-driver=native", ""}, {"--api-enable-cors", ""}, {"-dns 1.1.1.1", ""}, {"-bip", ""},
		{"--debug=maybe", ""}, {"--mtu many", ""}, {"--mtu=0x500", ""}, {"--mtu", ""}, {"-Ds", ""}, {"-D=false", ""}, {"-Dlinfo", ""}, {"-l=info", ""}, {"---", ""}, {"--=x", ""},
		{"run", ""}, {"--", ""}, {"-- -D", ""}, {"_", ""}, {"-", ""}, {"--no-such", ""}, {"--no-such value", ""}, {"-Z", ""}, {"--restart=false -r", ""},
		{"--oom-score-adjust 1", ""}, {"--cluster-store x", ""}, {"--api-cors-header x", ""}, {"--allow-nondistributable-artifacts a", ""}, {"--network-diagnostic-port 0", ""},
	} {
		args := words(test.args)
		if !strings.Contains(test.json, "userland-proxy") {
			args = append([]string{"--userland-proxy=false"}, args...) // the tree may lack docker-proxy
		}
		dockerd, our := d.validate(t, args, test.json), ours(args, test.json, d.version)
		if (dockerd == "") != (our == nil) {
			t.Errorf("%q with %q:\ndockerd says %q\nand we say   %v", args, test.json, dockerd, our)
		}
	}
	if _, err := d.run("--validate", "--config-file=/tmp/none"); err == nil {
		t.Error("dockerd takes a --config-file that is not there")
	}
}

// sample gives a value that dockerd takes: on the command line, and in daemon.json.
func sample(o Option) (flag, json string) {
	flags := map[string]string{
		"add-runtime": "x=/bin/x", "authorization-plugin": "p", "bip": "10.9.0.1/16", "bip6": "fd00::1/64", "bridge-accept-fwmark": "1/2", "default-cgroupns-mode": "host",
		"default-address-pool": "base=10.0.0.0/8,size=24", "default-gateway": "10.9.0.2", "default-gateway-v6": "fd00::2", "default-ipc-mode": "private",
		"default-network-opt": "bridge=a=b", "default-shm-size": "64M", "default-ulimit": "nofile=1:2", "dns": "1.1.1.1", "exec-opt": "native.cgroupdriver=cgroupfs",
		"feature": "x=true", "firewall-backend": "iptables", "fixed-cidr": "10.9.0.0/24", "fixed-cidr-v6": "fd00::/80", "host": "unix:///x", "host-gateway-ip": "1.1.1.1",
		"insecure-registry": "a", "ip": "127.0.0.1", "label": "a=b", "log-format": "json", "log-level": "info", "log-opt": "max-size=1m",
		"node-generic-resource": "a=1", "nri-opts": "enable=true", "registry-mirror": "http://a", "storage-driver": "vfs", "userland-proxy-path": "/bin/true",
		"userns-remap":  "", // a user would be looked up
		"cpu-rt-period": "0", "cpu-rt-runtime": "0", "default-runtime": "runc",
	}
	values := map[string]string{
		"runtimes": `{"x": {"path": "/bin/x"}}`, "default-address-pools": `[{"base": "10.0.0.0/8", "size": 24}]`, "default-network-opts": `{"bridge": {"a": "b"}}`,
		"default-ulimits": `{"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}`, "features": `{"x": true}`, "log-opts": `{"max-size": "1m"}`, "nri-opts": `{"enable": true}`,
	}
	switch o.Type {
	case "bool":
		flag, json = "false", "false"
	case "int":
		flag, json = "1", "1"
	default:
		flag = "x"
	}
	if f, ok := flags[o.Name]; ok {
		flag = f
	}
	if o.Type == "int" {
		json = flag
	}
	if json == "" {
		json = fmt.Sprintf("%q", flag)
		if o.Repeatable() {
			json = "[" + json + "]"
		}
	}
	return flag, cmp.Or(values[o.Key], json)
}

// TestRealDaemonTakesTheTable gives a real dockerd every option of the table and every key.
func TestRealDaemonTakesTheTable(t *testing.T) {
	d := findRealDaemon(t)
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	d.prepare(t)
	var flags, keys, proxies []string
	var both []string
	for _, o := range options {
		if slices.Contains([]string{"help", "version", "validate", "config-file"}, o.Name) {
			continue
		}
		flag, json := sample(o)
		flag = "--" + o.Name + "=" + flag
		if !d.version.has(o.Since, o.Until) {
			if d.validate(t, []string{"--userland-proxy=false", flag}, "") == "" {
				t.Errorf("dockerd %s takes %s, which the table gives it not", d.version, flag)
			}
			continue
		}
		flags = append(flags, flag)
		key := o.Key
		if o.Name == "host-gateway-ip" && !d.version.AtLeast(28, 0, 0) {
			key, json = o.OldKey, `"1.1.1.1"`
		}
		if key == "" {
			continue
		}
		if name, ok := strings.CutPrefix(key, "proxies."); ok {
			proxies = append(proxies, fmt.Sprintf("%q: %s", name, json))
			key = name
		} else {
			keys = append(keys, fmt.Sprintf("%q: %s", key, json))
		}
		if o.Name != "add-runtime" {
			both = append(both, key)
		}
	}
	// With tlsverify, even false, certificates are loaded at once.
	noCertificates := func(s string) bool { return strings.Contains(s, "tlsverify") }
	if says := d.validate(t, slices.DeleteFunc(slices.Clone(flags), noCertificates), ""); says != "" {
		t.Errorf("dockerd %s does not take %q: %s", d.version, flags, says)
	}
	keys = append(keys, `"proxies": {`+strings.Join(proxies, ", ")+`}`)
	file := "{" + strings.Join(slices.DeleteFunc(slices.Clone(keys), noCertificates), ",\n") + "}"
	if says := d.validate(t, nil, file); says != "" {
		t.Errorf("dockerd %s does not take %s: %s", d.version, file, says)
	}
	file = "{" + strings.Join(keys, ",\n") + "}"
	if c := read(t, file); len(c.Problems(d.version)) > 0 {
		t.Errorf("problems: %v", c.Problems(d.version))
	}

	// Both together: every key but one must be named as a conflict, by dockerd and by us.
	says := d.validate(t, flags, file)
	for _, key := range both {
		if !strings.Contains(says, " "+key+": (from flag:") {
			t.Errorf("dockerd %s finds no conflict about %q: %s", d.version, key, says)
		}
	}
	if n := strings.Count(says, "(from flag:"); n != len(both) {
		t.Errorf("dockerd %s finds %d conflicts, want %d: %s", d.version, n, len(both), says)
	}
	var conflict *ConflictError
	if err := CheckConflicts(ParseArgs(flags), read(t, file)); !errors.As(err, &conflict) || len(conflict.Conflicts) != len(both) {
		t.Errorf("we find %v, want %d conflicts", err, len(both))
	}
}

// TestRealDaemonTakesTranslations gives a real dockerd what Translate and Fit make of old command lines.
func TestRealDaemonTakesTranslations(t *testing.T) {
	d := findRealDaemon(t)
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	d.prepare(t)
	for _, line := range []string{
		"/usr/bin/docker -d -s overlay", "docker daemon -g /x -s=overlay", "docker -dD -H unix:///x", "docker --log-level=debug daemon -soverlay --graph=/x",
		"-d -s overlay", "dockerd --exec-driver=lxc --disable-legacy-registry --api-enable-cors", "docker -d -dns 8.8.8.8 -icc=false -bip=10.9.0.1/16 -mtu 1400 -restart=false",
		"dockerd --oom-score-adjust=-500 --api-cors-header=* --cluster-store=x --cluster-advertise=y --allow-nondistributable-artifacts=z",
	} {
		c, err := Translate(words(line))
		if err != nil {
			t.Fatal(err)
		}
		args, _ := Fit(c.Args, d.version)
		args = WithAdded(args, Add(Effective{Command: c, Args: ParseArgs(args), Version: d.version},
			DefaultFacts{NoFileHard: 4096, SystemdLeak: true, Missing: map[string]bool{"docker-proxy": true, "ip6tables": true}}))
		if says := d.validate(t, args, ""); says != "" {
			t.Errorf("%q became %q: %s", line, args, says)
		}
	}
}
