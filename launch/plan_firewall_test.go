package launch

import (
	"os"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/launch/preload"
	"golang.org/x/sys/unix"
)

// pathOf is what the plan puts in front of PATH.
func pathOf(p *Plan) string {
	for _, v := range p.Command.Env {
		if v.Name == "PATH" {
			return strings.TrimSuffix(v.Value, ":/usr/bin")
		}
	}
	return ""
}

func TestIPTablesSteps(t *testing.T) {
	both := func(f *Facts) {
		f.IPTables.Nft = iptables.Program{Path: "/usr/sbin/iptables-nft", Goal: "/usr/sbin/xtables-nft-multi"}
		f.IPTables.Legacy = iptables.Program{Path: "/usr/sbin/iptables-legacy", Goal: "/usr/sbin/xtables-legacy-multi"}
	}
	for name, c := range map[string]struct {
		env     string
		daemon  []string
		change  func(*Facts)
		verdict Verdict // "": no step
		says    string
		path    string
		modules string // one that is wanted of the variant
		asks    string // what the kernel is asked
	}{
		"nothing said":           {change: both, verdict: Do, path: iptables.Dir, asks: "ask the kernel for nf_tables"},
		"legacy is safe":         {change: func(f *Facts) { both(f); f.IPTables.LegacySafe = true }, verdict: Do, path: iptables.Dir, modules: "iptable_nat", asks: "if the kernel has all tables"},
		"but nft is said":        {env: "DOCKER_IPTABLES_LEGACY=", change: func(f *Facts) { both(f); f.IPTables.LegacySafe = true }, verdict: Keep, says: "set and empty"},
		"only one there":         {change: func(*Facts) {}, verdict: Keep, says: "nft: nothing"},
		"legacy":                 {env: "DOCKER_IPTABLES_LEGACY=1", change: both, verdict: Do, says: "legacy: DOCKER_IPTABLES_LEGACY=1", path: iptables.Dir, modules: "iptable_nat"},
		"nft":                    {env: "DOCKER_IPTABLES_LEGACY=", change: both, verdict: Keep, says: "set and empty"},
		"legacy, which is none":  {env: "DOCKER_IPTABLES_LEGACY=1", change: func(*Facts) {}, verdict: Warn, says: "no iptables-legacy"},
		"tables of legacy":       {change: func(f *Facts) { both(f); f.IPTables.Tables = []string{"nat in x"} }, verdict: Do, says: "nat in x", path: iptables.Dir, modules: "iptable_nat"},
		"without iptables":       {daemon: []string{"--iptables=false"}, env: "DOCKER_IPTABLES_LEGACY=1", change: both},
		"with nftables":          {daemon: []string{"--firewall-backend=nftables"}, env: "DOCKER_IPTABLES_LEGACY=1", change: both},
		"another daemon":         {daemon: []string{"/bin/other"}, env: "DOCKER_IPTABLES_LEGACY=1", change: both},
		"no iptables at all":     {env: "DOCKER_IPTABLES_LEGACY=1", change: func(f *Facts) { f.IPTables = iptables.Facts{} }},
		"a person's host":        {change: func(f *Facts) { both(f); f.Host.Habitat = host.Host; f.IPTables.Tables = []string{"nat in x"} }},
		"which says what it has": {env: "DOCKER_IPTABLES_LEGACY=1", change: func(f *Facts) { both(f); f.Host.Habitat = host.Host }, verdict: Do, says: "=1", path: iptables.Dir, modules: "iptable_nat"},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			f.Host.LoadableModules = true
			c.change(&f)
			p := planned(t, Config{Daemon: c.daemon, Environ: environ(c.env)}, f)
			found := map[string]Step{}
			for _, s := range p.Steps {
				found[s.Name] = s
			}
			if got := found["iptables"]; got.Verdict != c.verdict || !strings.Contains(got.Note, c.says) {
				t.Errorf("%+v", got)
			}
			if got := pathOf(p); got != c.path {
				t.Errorf("in front of PATH is %q, want %q", got, c.path)
			}
			asks := ""
			if a, ok := found["iptables"].Action.(*iptables.Ask); ok {
				asks = a.String()
			}
			if !strings.Contains(asks, c.asks) || c.asks == "" && asks != "" {
				t.Errorf("the kernel is asked: %q", asks)
			}
			if _, wanted := found["module iptable_nat"]; wanted != (c.modules == "iptable_nat") {
				t.Errorf("iptable_nat is wanted: %v", wanted)
			}
		})
	}
}

func TestLegacyOptions(t *testing.T) {
	// Those that a full configuration always has, and all tables.
	full := "CONFIG_INIT_ENV_ARG_LIMIT=32\nCONFIG_LOCALVERSION=\"\"\n# CONFIG_MODULES is not set\nCONFIG_NET=y\nCONFIG_CRYPTO=y\nCONFIG_DEBUG_KERNEL=y\nCONFIG_IPV6=y\n"
	for _, family := range []string{"IP_NF_", "IP6_NF_"} {
		for _, table := range []string{"FILTER", "NAT", "MANGLE", "RAW"} {
			full += "CONFIG_" + family + table + "=y\n"
		}
	}
	for name, c := range map[string]struct {
		replace, by string
		has, tells  bool
	}{
		"all":              {has: true, tells: true},
		"none for IPv6":    {"CONFIG_IP6_NF_NAT=y", "# CONFIG_IP6_NF_NAT is not set", false, true},
		"no IPv6":          {"CONFIG_IP6_NF_RAW=y", "# CONFIG_IPV6 is not set", true, true},
		"no raw":           {"CONFIG_IP_NF_RAW=y", "", false, true},
		"a module":         {"CONFIG_IP_NF_RAW=y", "CONFIG_IP_NF_RAW=m", false, true},
		"a part of it all": {"CONFIG_CRYPTO=y", "", false, false},
	} {
		config, err := kconfig.Parse([]byte(strings.Replace(full, c.replace, c.by, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if has, tells := hasLegacyOptions(config); has != c.has || tells != c.tells {
			t.Errorf("%s: %v, %v", name, has, tells)
		}
	}
	if has, tells := hasLegacyOptions(nil); has || tells {
		t.Error("without a configuration it is told")
	}
}

// TestInFrontOfPath: the wrapper of runc and iptables do not push each other out.
func TestInFrontOfPath(t *testing.T) {
	v := pathWith([]pathFolder{{"/a", "for one thing"}, {"/b", "for another"}}, "/usr/bin:/bin")
	if v.Value != "/a:/b:/usr/bin:/bin" || v.Reason != "for one thing; for another" {
		t.Errorf("%+v", v)
	}
}

func TestImageArchives(t *testing.T) {
	for name, c := range map[string]struct {
		config  Config
		verdict Verdict // "": no step
		dir     string
		root    string
		target  string
	}{
		"by default":          {dir: preload.DefaultDir, root: "/var/lib/docker", target: "unix:///run/docker.sock"},
		"a folder":            {config: Config{Preload: "/images", Daemon: []string{"--data-root=/d"}}, dir: "/images", root: "/d", target: "unix:///run/docker.sock"},
		"another socket":      {config: Config{Daemon: []string{"-H", "tcp://127.0.0.1:1", "-H", "unix:///x.sock"}}, dir: preload.DefaultDir, root: "/var/lib/docker", target: "unix:///x.sock"},
		"no socket":           {config: Config{Daemon: []string{"-H", "tcp://127.0.0.1:1"}}},
		"no socket, a folder": {config: Config{Preload: "/images", Daemon: []string{"-H", "tcp://127.0.0.1:1"}}, verdict: Warn},
		"nobody stays":        {config: Config{Exec: true}},
		"nobody is to stay":   {config: Config{Exec: true, Preload: "/images"}, verdict: Warn},
		"a relative folder":   {config: Config{Preload: "images"}, verdict: Refuse},
		"another daemon":      {config: Config{Daemon: []string{"/bin/other"}, Preload: "/images"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := planned(t, c.config, prepared())
			verdict := Verdict("")
			for _, s := range p.Steps {
				if s.Name == "image archives" {
					verdict = s.Verdict
				}
			}
			if verdict != c.verdict {
				t.Errorf("the verdict is %q", verdict)
			}
			target := ""
			if p.images.dir != "" {
				target = strings.Replace(p.images.target.String(), "/var/run/", "/run/", 1)
			}
			if p.images.dir != c.dir || p.images.dataRoot != c.root || target != c.target {
				t.Errorf("%+v", p.images)
			}
		})
	}
}

func TestReaping(t *testing.T) {
	for env, c := range map[string]struct{ exec, warns bool }{
		"DOCKER_LAUNCH_REAP=true": {exec: true, warns: true}, "DOCKER_LAUNCH_REAP=false": {exec: true},
		"DOCKER_LAUNCH_REAP=1": {}, "X=y": {exec: true},
	} {
		warns := false
		for _, s := range planned(t, Config{Exec: c.exec, Environ: environ(env)}, prepared()).Steps {
			warns = warns || s.Name == "DOCKER_LAUNCH_REAP" && s.Verdict == Warn
		}
		if warns != c.warns {
			t.Errorf("%s, --exec=%v: warns %v", env, c.exec, warns)
		}
	}
}

// safe tells whether iptables-legacy may be preferred in the test's own network namespace, on a kernel of which it is taken that it
// loads no modules: what it has shows, and none has to be asked for.
func safe(t *testing.T, habitat host.Habitat) bool {
	t.Helper()
	f := Facts{Host: host.Facts{Habitat: habitat}}
	if err := f.observeLegacy(); err != nil {
		t.Fatal(err)
	}
	if !f.IPTables.NftLoaded {
		t.Error("nf_tables is not asked, though it may be built in")
	}
	return f.IPTables.LegacySafe
}

// In the network namespace that the kernel began with, a container leaves the choice to the host, and a machine's PID 1 is the host.
func TestLegacyInTheFirstNetwork(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/core/dev_weight"); err != nil {
		t.Log("these tests have a network namespace of their own already")
		return
	}
	_, err := os.Stat("/proc/net/ip_tables_names")
	if safe(t, host.Container) {
		t.Error("iptables-legacy is preferred beside the host's own rules")
	}
	if got := safe(t, host.Machine); got != (err == nil) {
		t.Errorf("on a machine it may be preferred: %v; ip_tables: %v", got, err)
	}
}

// In a network namespace of its own it depends on the kernel alone.
func TestLegacyInANetworkOfItsOwn(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	_, err := os.Stat("/proc/net/ip_tables_names")
	if got := safe(t, host.Container); got != (err == nil) {
		t.Errorf("it may be preferred: %v; ip_tables: %v", got, err)
	}
}
