package daemon

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestAdd(t *testing.T) {
	missing := func(names ...string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	noProxy := DefaultFacts{Missing: missing("docker-proxy"), BridgeNetfilter: true}
	noIPv6 := DefaultFacts{Missing: missing("ip6tables")}
	leak := DefaultFacts{SystemdLeak: true}
	files := func(n uint64) DefaultFacts { return DefaultFacts{NoFileHard: n} }
	const (
		proxyFlag  = "--userland-proxy=false"
		ip6Flag    = "--ip6tables=false"
		filesFlag  = "--default-ulimit=nofile=1024:524288"
		driverFlag = "--exec-opt=native.cgroupdriver=cgroupfs"
	)
	for _, test := range []struct {
		name, args, json, version string
		facts                     DefaultFacts
		want                      string
		warns                     string // part of a warning
	}{
		{"nothing to do", "", "", "29.7.2", DefaultFacts{BridgeNetfilter: true}, "", ""},
		{"all", "", "", "", DefaultFacts{Missing: missing("docker-proxy", "ip6tables"), BridgeNetfilter: true, NoFileHard: math.MaxUint64, SystemdLeak: true},
			proxyFlag + " " + ip6Flag + " " + filesFlag + " " + driverFlag, ""},

		{"proxy", "", "", "29.7.2", noProxy, proxyFlag, ""},
		{"proxy, old", "", "", "20.10.24", noProxy, proxyFlag, ""},
		{"proxy, no br_netfilter", "", "", "27.5.1", DefaultFacts{Missing: noProxy.Missing}, proxyFlag, "br_netfilter"},
		{"proxy, no br_netfilter, unknown", "", "", "", DefaultFacts{Missing: noProxy.Missing}, proxyFlag, "br_netfilter"},
		{"proxy, no br_netfilter, older", "", "", "27.5.0", DefaultFacts{Missing: noProxy.Missing}, proxyFlag, ""},
		{"proxy, no br_netfilter, no iptables", "--iptables=false", "", "29.7.2", DefaultFacts{Missing: noProxy.Missing}, proxyFlag, ""},
		{"proxy, said", "--userland-proxy", "", "29.7.2", noProxy, "", ""},
		{"proxy, said in the file", "", `{"userland-proxy": true}`, "29.7.2", noProxy, "", ""},
		{"proxy elsewhere", "--userland-proxy-path=/x", "", "29.7.2", noProxy, "", ""},
		{"proxy elsewhere in the file", "", `{"userland-proxy-path": "/x"}`, "29.7.2", noProxy, "", ""},

		{"ip6tables", "", "", "27.0.1", noIPv6, ip6Flag, ""},
		{"ip6tables, unknown version", "", "", "", noIPv6, ip6Flag, ""},
		{"ip6tables, off by default", "", "", "26.1.5", noIPv6, "", ""},
		{"ip6tables, said", "--ip6tables", "", "29.7.2", noIPv6, "", ""},
		{"ip6tables, said in the file", "", `{"ip6tables": true}`, "29.7.2", noIPv6, "", ""},
		{"ip6tables, nftables", "--firewall-backend=nftables", "", "29.7.2", noIPv6, "", ""},

		{"files", "", "", "29.7.2", files(1 << 20), filesFlag, ""},
		{"files, bounded", "", "", "29.7.2", files(4096), "--default-ulimit=nofile=1024:4096", ""},
		{"files, few", "", "", "29.7.2", files(512), "--default-ulimit=nofile=512:512", ""},
		{"files, unknown", "", "", "29.7.2", files(0), "", ""},
		{"files, said", "--default-ulimit nofile=1:2", "", "29.7.2", files(4096), "", ""},
		{"files, another limit said", "--default-ulimit nproc=1:2", "", "29.7.2", files(4096), "--default-ulimit=nofile=1024:4096", ""},
		{"files, said in the file", "", `{"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}}`, "29.7.2", files(4096), "", ""},
		{"files, another limit in the file", "", `{"default-ulimits": {"nproc": {"Name": "nproc", "Soft": 1, "Hard": 2}}}`, "29.7.2", files(4096), "", `"default-ulimits" in daemon.json, line 1`},

		{"driver", "", "", "29.7.2", leak, driverFlag, ""},
		{"driver, said", "--exec-opt native.cgroupdriver=systemd", "", "29.7.2", leak, "", ""},
		{"driver, said in the file", "", `{"exec-opts": ["native.cgroupdriver=systemd"]}`, "29.7.2", leak, "", ""},
		{"driver, another said", "--exec-opt=x=y", "", "29.7.2", leak, driverFlag, ""},
		{"driver, another in the file", "", `{"exec-opts": ["x=y"]}`, "29.7.2", leak, "", "native.cgroupdriver=cgroupfs would help"},
		{"driver, an empty list in the file", "", `{"exec-opts": []}`, "29.7.2", leak, "", "dockerd refuses the flag"},
	} {
		e := effective(t, test.args, test.json, test.version)
		var got, warnings []string
		for _, a := range Add(e, test.facts) {
			if a.Flag != "" {
				got = append(got, a.Flag)
			}
			if a.Warning != "" {
				warnings = append(warnings, a.Warning)
			}
			if a.Reason == "" {
				t.Errorf("%s: %+v has no reason", test.name, a)
			}
		}
		if !slices.Equal(got, words(test.want)) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if (test.warns == "") != (len(warnings) == 0) || !strings.Contains(strings.Join(warnings, "\n"), test.warns) {
			t.Errorf("%s: warnings %q, want %q", test.name, warnings, test.warns)
		}
		// What is added must neither conflict nor be added again.
		all := WithAdded(e.Command.Args, Add(e, test.facts))
		if err := CheckConflicts(ParseArgs(all), e.File); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		e.Args = ParseArgs(all)
		for _, a := range Add(e, test.facts) {
			if a.Flag != "" {
				t.Errorf("%s: %s is added twice", test.name, a.Flag)
			}
		}
	}
}

// What comes from the network, the logs and the API, with each way in which a user may have spoken of it.
func TestAddOfNetworkLogsAndAPI(t *testing.T) {
	logs := DefaultFacts{BoundLogs: true}
	network := func(n NetworkDefaults) DefaultFacts { return DefaultFacts{Network: n} }
	mtu := network(NetworkDefaults{MTU: 1400})
	bip := network(NetworkDefaults{BIP: "10.9.0.1/16"})
	pools := network(NetworkDefaults{Pools: []string{"base=10.1.0.0/16,size=24", "base=10.2.0.0/16,size=24"}})
	dns := network(NetworkDefaults{DNS: []string{"192.0.2.1", "192.0.2.2"}})
	noIPv6 := network(NetworkDefaults{NoIPv6: true})
	noIPv6NorProgram := DefaultFacts{Missing: map[string]bool{"ip6tables": true}, Network: NetworkDefaults{NoIPv6: true}}
	plain := DefaultFacts{Hosts: []string{DefaultHost, "tcp://0.0.0.0:2375"}}
	open := DefaultFacts{Hosts: plain.Hosts, Sockets: true}
	certificates := DefaultFacts{Hosts: []string{DefaultHost, "tcp://0.0.0.0:2376"}, Sockets: true, TLSDir: "/certs", Verify: true}
	const (
		size, count = "--log-opt=max-size=25m", "--log-opt=max-file=2"
		both        = size + " " + count
		mtuFlag     = "--mtu=1400"
		optFlag     = "--default-network-opt=bridge=com.docker.network.driver.mtu=1400"
		bipFlag     = "--bip=10.9.0.1/16"
		poolFlags   = "--default-address-pool=base=10.1.0.0/16,size=24 --default-address-pool=base=10.2.0.0/16,size=24"
		dnsFlags    = "--dns=192.0.2.1 --dns=192.0.2.2"
		ip6Flag     = "--ip6tables=false"
		tlsFlags    = "--tlsverify=true --tlscacert=/certs/server/ca.pem --tlscert=/certs/server/cert.pem --tlskey=/certs/server/key.pem"
	)
	for _, test := range []struct {
		args, json, version string
		facts               DefaultFacts
		want                string
		warnings            int
	}{
		{"", "", "26.1.5", logs, both, 0},
		{"--log-driver=json-file", "", "26.1.5", logs, both, 0},
		{"", `{"log-driver": "json-file"}`, "26.1.5", logs, both, 0},
		{"--log-driver local", "", "26.1.5", logs, "", 0},
		{"", `{"log-driver": "journald"}`, "26.1.5", logs, "", 0},
		{"", `{"x": {"log-driver": "local"}}`, "26.1.5", logs, both, 0}, // where dockerd does not look
		{"", `{"log-driver": null}`, "26.1.5", logs, both, 0},
		{"--log-opt max-size=1m", "", "26.1.5", logs, count, 0},
		{"--log-opt=max-size=1m --log-opt=max-file=7", "", "26.1.5", logs, "", 0},
		{"--log-opt=tag=x", "", "26.1.5", logs, both, 0},
		{"", `{"log-opts": {"max-size": "1m", "max-file": "7"}}`, "26.1.5", logs, "", 0},
		{"", `{"log-opts": {"max-size": "1m"}}`, "26.1.5", logs, "", 1},
		{"", `{"log-opts": {"tag": "x"}}`, "26.1.5", logs, "", 2},
		{"", `{"log-opts": null}`, "26.1.5", logs, "", 2},
		{"", `{"x": {"log-opts": {"max-size": "1m", "max-file": "7"}}}`, "26.1.5", logs, "", 2}, // dockerd refuses it all the same

		{"", "", "24.0.0", mtu, mtuFlag + " " + optFlag, 0},
		{"", "", "23.0.6", mtu, mtuFlag, 0},
		{"", "", "", mtu, mtuFlag, 0}, // an older one does not start with the other
		{"--mtu=1300", "", "26.1.5", mtu, optFlag, 0},
		{"", `{"mtu": 1300}`, "26.1.5", mtu, optFlag, 0},
		{"--default-network-opt=bridge=com.docker.network.driver.mtu=1300", "", "26.1.5", mtu, mtuFlag, 0},
		{"--default-network-opt=macvlan=a=b", "", "26.1.5", mtu, mtuFlag + " " + optFlag, 0},
		{"", `{"default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1300"}}}`, "26.1.5", mtu, mtuFlag, 0},
		{"", `{"default-network-opts": {"macvlan": {"a": "b"}}}`, "26.1.5", mtu, mtuFlag, 1},

		{"", "", "", bip, bipFlag, 0},
		{"--bip=10.8.0.1/16", "", "", bip, "", 0},
		{"", `{"bip": "10.8.0.1/16"}`, "", bip, "", 0},
		{"-b none", "", "", bip, "", 0},
		{"", `{"bridge": "mine"}`, "", bip, "", 0},
		{"--fixed-cidr=10.8.0.0/24", "", "", bip, "", 0},
		{"", "", "", pools, poolFlags, 0},
		{"--default-address-pool base=10.8.0.0/16,size=24", "", "", pools, "", 0},
		{"", `{"default-address-pools": []}`, "", pools, "", 0},
		{"", "", "", dns, dnsFlags, 0},
		{"--dns 192.0.2.9", "", "", dns, "", 0},
		{"", `{"dns": []}`, "", dns, "", 0},

		{"", "", "27.0.1", noIPv6, ip6Flag, 0},
		{"", "", "26.1.5", noIPv6, "", 0},
		{"", "", "27.0.1", noIPv6NorProgram, ip6Flag, 0},
		{"--ip6tables", "", "27.0.1", noIPv6, "", 0},
		{"", `{"ip6tables": true}`, "27.0.1", noIPv6, "", 0},
		{"--firewall-backend=nftables", "", "29.0.0", noIPv6, "", 0},

		{"", "", "", DefaultFacts{Containerd: "/c"}, "--containerd=/c", 0},
		{"--containerd=/d", "", "", DefaultFacts{Containerd: "/c"}, "", 0},
		{"", `{"containerd": "/d"}`, "", DefaultFacts{Containerd: "/c"}, "", 0},
		{"", "", "", DefaultFacts{Hosts: []string{DefaultHost}}, "", 0},
		{"", "", "", plain, "--host=" + DefaultHost + " --host=tcp://0.0.0.0:2375 --tls=false", 0},
		{"--tlsverify", "", "", plain, "--host=" + DefaultHost + " --host=tcp://0.0.0.0:2375", 0},
		{"", "", "", open, "--host=fd://", 0},
		{"-H unix:///x", "", "", DefaultFacts{Sockets: true}, "", 0},
		{"", `{"hosts": []}`, "", DefaultFacts{Sockets: true}, "", 0},
		{"", "", "", certificates, "--host=fd:// " + tlsFlags, 0},
		{"", `{"tlsverify": false, "tlskey": "/k"}`, "", certificates, "--host=fd:// --tlscacert=/certs/server/ca.pem --tlscert=/certs/server/cert.pem", 0},
	} {
		e := effective(t, test.args, test.json, test.version)
		var got []string
		warnings := 0
		for _, a := range Add(e, test.facts) {
			if a.Flag != "" {
				got = append(got, a.Flag)
			}
			if a.Warning != "" {
				warnings++
			}
		}
		if !slices.Equal(got, words(test.want)) || warnings != test.warnings {
			t.Errorf("%s %s, dockerd %q: %q, want %q; %d warnings", test.args, test.json, test.version, got, test.want, warnings)
		}
		if err := CheckConflicts(ParseArgs(WithAdded(e.Command.Args, Add(e, test.facts))), e.File); err != nil {
			t.Errorf("%s %s: %v", test.args, test.json, err)
		}
	}
}

func TestAddKnowsOnlyDockerd(t *testing.T) {
	facts := DefaultFacts{NoFileHard: 1, SystemdLeak: true, Missing: map[string]bool{"docker-proxy": true, "ip6tables": true}}
	for path, want := range map[string]int{"dockerd": 4, "/usr/bin/dockerd": 4, "/usr/bin/my-dockerd": 0, "containerd": 0} {
		if got := len(Add(Effective{Command: Command{Path: path}}, facts)); got != want {
			t.Errorf("%s: %d flags, want %d", path, got, want)
		}
	}
}

func TestWithAdded(t *testing.T) {
	args := words("-D -- x")
	got := WithAdded(args, []Added{{Flag: "--a=b"}, {Warning: "none"}, {Flag: "--c"}})
	if want := words("--a=b --c -D -- x"); !slices.Equal(got, want) || !slices.Equal(args, words("-D -- x")) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDefaultsAreOptions(t *testing.T) {
	for _, d := range Defaults() {
		o, ok := Lookup(d.Option)
		// Of some any that the user names counts against all of ours.
		whole := slices.Contains([]string{"host", "dns", "default-address-pool"}, d.Option)
		if !ok || (d.Item != "") != o.Repeatable() && !whole || d.Reason == "" {
			t.Errorf("%+v", d)
		}
		for _, name := range d.Unless {
			if _, ok := Lookup(name); !ok {
				t.Errorf("%s: unless %q, which is no option", d.Option, name)
			}
		}
	}
}
