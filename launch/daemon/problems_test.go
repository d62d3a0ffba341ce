package daemon

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func version(t *testing.T, text string) Version {
	t.Helper()
	if text == "" {
		return Version{}
	}
	v, err := ParseVersion(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProblems(t *testing.T) {
	for _, test := range []struct {
		json, version string
		want          string // "key: part of the text", with "!" in front where fatal; problems are separated by ";"
	}{
		{fullConfig, "26.1.5", ""},
		{`{"debug": true, "debug": false}`, "", "debug: twice"},
		{`{"data_root": "/x"}`, "", `!data_root: meant for "data-root"`},
		{`{"Debug": true, "no-such": 1}`, "", `!Debug: meant for "debug";!no-such: no such key`},
		{`{"insecure_registry": []}`, "", `!insecure_registry: meant for "insecure-registries"`},
		{`{"registry-mirror": [], "label": []}`, "", `registry-mirror: the key is "registry-mirrors";label: the key is "labels"`},
		{`{"graph": "/x"}`, "20.10.24", ""},
		{`{"graph": "/x"}`, "26.1.5", "!graph: --data-root"},
		{`{"graph": "/x"}`, "", ""},
		{`{"oom-score-adjust": -500}`, "25.0.0", ""},
		{`{"oom-score-adjust": -500}`, "26.0.0", "!oom-score-adjust: removed in 26.0"},
		{`{"firewall-backend": "nftables"}`, "28.5.2", "!firewall-backend: appeared in 29.0"},
		{`{"firewall-backend": "nftables"}`, "29.0.0-rc.1", ""},
		{`{"features": {"a": true}, "builder": {}, "deprecated-key-path": "x"}`, "20.10.24", ""},
		{`{"min-api-version": "1.24"}`, "28.0.0", "!min-api-version: does not know"},
		{`{"min-api-version": "1.24"}`, "29.0.0", ""},
		{`{"allow-nondistributable-artifacts": []}`, "29.0.0", ""},
		{`{"config-file": "x", "containerd-plugins-namespace": "x"}`, "", "config-file: command line only;containerd-plugins-namespace: command line only"},
		{`{"containerd-plugin-namespace": "x"}`, "", `!containerd-plugin-namespace: no such key`},
		{`{"http-proxy": "x"}`, "", `http-proxy: belongs into "proxies"`},
		{`{"x": {"mtu": 1, "iptables": false}}`, "", `mtu: inside "x"`},
		{`{"proxies": {"mtu": "1"}}`, "", `mtu: inside "proxies"`},
		{`{"proxies": null, "proxies": []}`, "", `proxies: twice;!proxies: no such key`},
		{`{"host-gateway-ip": "1.2.3.4", "host-gateway-ips": ["1.2.3.4"]}`, "28.0.0", "!host-gateway-ip: must not stand beside"},
		{`{"host-gateway-ips": ["1.2.3.4"]}`, "27.5.1", "!host-gateway-ips: the key was host-gateway-ip"},
		{`{"debug": "true", "mtu": "1", "hosts": "unix://", "data-root": 1, "log-opts": [], "default-shm-size": true, "proxies": {"no-proxy": []}}`, "",
			"!debug: true or false;!mtu: a number;!hosts: a list;!data-root: a string;!log-opts: an object;!default-shm-size: a string;!no-proxy: a string"},
		{`{"default-shm-size": "1", "mtu": -1, "debug": null, "hosts": null}`, "", ""},
	} {
		c := read(t, test.json)
		var wants []string
		if test.want != "" {
			wants = strings.Split(test.want, ";")
		}
		problems := c.Problems(version(t, test.version))
		if len(problems) != len(wants) {
			t.Errorf("%s for %q: %v, want %q", test.json, test.version, problems, wants)
			continue
		}
		for i, p := range problems {
			want, fatal := strings.CutPrefix(wants[i], "!")
			key, text, _ := strings.Cut(want, ": ")
			if p.Key != key || !strings.Contains(p.Text, text) || p.Fatal != fatal || !strings.Contains(p.String(), "daemon.json, line 1, column") {
				t.Errorf("%s for %q: %+v, want %q", test.json, test.version, p, wants[i])
			}
		}
	}
}

func TestCheckConflicts(t *testing.T) {
	for _, test := range []struct {
		args, json string
		want       string // the options in conflict
	}{
		{"--debug", `{"debug": true}`, "debug"},
		{"-D", `{"debug": null}`, "debug"},
		{"-D", `{"log-level": "info"}`, ""},
		{"-H x", `{"hosts": []}`, "host"},
		{"-H x", `{"host": []}`, ""},
		{"--label a=b --exec-opt x=y --dns 1.1.1.1", `{"labels": [], "exec-opts": [], "dns": []}`, "dns exec-opt label"},
		{"--feature a=true", `{"features": {"b": true}}`, "feature"},
		{"--add-runtime a=/b", `{"runtimes": {"a": {"path": "/b"}}}`, ""},
		{"--http-proxy http://u:secret@x", `{"proxies": {"http-proxy": "http://u:secret@y"}}`, "http-proxy"},
		{"--http-proxy x", `{"http-proxy": "y"}`, "http-proxy"},
		{"--mtu 1", `{"anything": {"mtu": 1}}`, "mtu"},
		{"--host-gateway-ip 1.1.1.1", `{"host-gateway-ip": "1.1.1.1"}`, "host-gateway-ip"},
		{"--host-gateway-ip 1.1.1.1", `{"host-gateway-ips": ["1.1.1.1"]}`, "host-gateway-ip"},
		{"--config-file x", `{"config-file": "x"}`, "config-file"},
		{"--no-such", `{"no-such": 1}`, ""},
		{"-- --debug", `{"debug": true}`, ""},
		{"--label --debug", `{"debug": true}`, ""},
		{"", fullConfig, ""},
	} {
		file := read(t, test.json)
		file.Path = "/etc/docker/daemon.json"
		err := CheckConflicts(ParseArgs(words(test.args)), file)
		var conflict *ConflictError
		if test.want == "" {
			if err != nil {
				t.Errorf("%q and %s: %v", test.args, test.json, err)
			}
			continue
		}
		if !errors.As(err, &conflict) {
			t.Errorf("%q and %s: %v, want a conflict", test.args, test.json, err)
			continue
		}
		var got []string
		for _, c := range conflict.Conflicts {
			got = append(got, c.Option)
			if !strings.Contains(err.Error(), c.Args) || !strings.Contains(err.Error(), c.File) || !strings.Contains(c.File, "/etc/docker/daemon.json, line 1") {
				t.Errorf("%q does not name both places of %+v", err, c)
			}
		}
		if !slices.Equal(got, words(test.want)) {
			t.Errorf("%q and %s: conflicts %q, want %q", test.args, test.json, got, test.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q tells a password", err)
		}
	}
	err := CheckConflicts(ParseArgs(words("-D")), read(t, "{\n\"debug\": true}"))
	if want := `an option may be given in one place only, even with the same value: -D on the command line and "debug" in daemon.json, line 2: remove it from one of them`; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
