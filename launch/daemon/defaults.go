package daemon

import (
	"fmt"
	"slices"
	"strings"
)

// DefaultFacts is what the defaults depend on. The zero value asks for none of them.
type DefaultFacts struct {
	// Missing names programs that are not to be found: "docker-proxy", "ip6tables".
	Missing map[string]bool
	// BridgeNetfilter is true where /proc/sys/net/bridge stands: br_netfilter is loaded, or built in.
	BridgeNetfilter bool
	// NoFileHard is the hard limit of open files that the daemon will run under, in descriptors; 0 where unknown.
	NoFileHard uint64
	// SystemdLeak is true where dockerd would take the systemd cgroup driver though no systemd runs: cgroup v2, and
	// /run/systemd/system exists (moby's daemon/daemon_unix.go, UsingSystemd; go-systemd's IsRunningSystemd).
	SystemdLeak bool
	// Containerd is the address of a containerd that was started for this dockerd; "" where dockerd sees to that itself.
	Containerd string
	// Hosts are the addresses that the API is to have; Sockets tells that they are open and handed on.
	Hosts   []string
	Sockets bool
	// TLSDir is the folder with certificates in docker:dind's layout that were made for the API; "" where there is none.
	TLSDir string
	// Verify tells that the API's port is for clients with a certificate alone, whoever made the server's.
	Verify bool
	// Network is what the daemon's networks are fitted to.
	Network NetworkDefaults
	// BoundLogs asks for a bound on the logs of containers.
	BoundLogs bool
}

// NoFileContainers is the limit of open files that containers get: what systemd gives its services (DefaultLimitNOFILE
// in systemd-system.conf(5)). "Infinity", which dockerd's own unit had for long, slows down every program that closes
// all descriptors it might have (https://github.com/moby/moby/issues/45534).
const (
	NoFileContainersSoft = 1024
	NoFileContainersHard = 524288
)

// Default is a flag that the launcher gives where the user is silent.
type Default struct {
	// Option is the option's long name; Item the one setting of a repeatable option that it is about, else "".
	Option, Item string
	// Reason tells why it is given, in one sentence.
	Reason string
	// Since is the first release that needs it; zero for all.
	Since Version
	// Versioned is true where an older release does not start with it, so that it is given only where the version is known.
	Versioned bool
	// Unless names other options that make it pointless or wrong where the user gives them.
	Unless []string
	// judge gives the value, or false where the facts do not call for it.
	judge func(Effective, DefaultFacts) (value string, wanted bool)
	// caution is what the user should know of the flag; may be nil.
	caution func(Effective, DefaultFacts) string
}

// Added is a flag that Add gives.
type Added struct {
	// Option is the option's long name.
	Option string `json:"option"`
	// Flag is one word, "--userland-proxy=false"; empty where it is called for but may not be given, as Warning tells.
	Flag string `json:"flag,omitempty"`
	// Reason tells why.
	Reason string `json:"reason"`
	// Warning is what will not work, or is "".
	Warning string `json:"warning,omitempty"`
}

// Defaults returns the table of flags that Add goes through, in its order.
func Defaults() []Default { return slices.Concat(defaults, logFlags(), networkFlags(), apiDefaults) }

var defaults = []Default{
	{
		Option: "userland-proxy",
		Reason: "docker-proxy is missing, without which dockerd does not start from 25.0 on, and publishes no port before",
		// Who says where it is may have it under another name.
		Unless: []string{"userland-proxy-path"},
		judge: func(_ Effective, f DefaultFacts) (string, bool) {
			return "false", f.Missing["docker-proxy"]
		},
		// enableBridgeNetFiltering in moby's libnetwork/drivers/bridge/setup_bridgenetfiltering.go.
		caution: func(e Effective, f DefaultFacts) string {
			if f.BridgeNetfilter || !e.IPTables() || e.Version.Known() && !e.Version.AtLeast(27, 5, 1) {
				return ""
			}
			return "without docker-proxy, dockerd 27.5.1 and later need br_netfilter for every bridge network, and it is not loaded: " +
				"install docker-proxy, load br_netfilter, or set DOCKER_IGNORE_BR_NETFILTER_ERROR=1"
		},
	},
	{
		Option: "ip6tables",
		Reason: "ip6tables is missing, which dockerd runs by default from 27.0 on",
		Since:  Version{Major: 27},
		judge: func(e Effective, f DefaultFacts) (string, bool) {
			return "false", f.Missing["ip6tables"] && e.FirewallBackend() == "iptables"
		},
	},
	{
		Option: "default-ulimit", Item: "nofile",
		Reason: "containers would get the launcher's own limit of open files",
		judge: func(_ Effective, f DefaultFacts) (string, bool) {
			// No process may raise a hard limit without CAP_SYS_RESOURCE (setrlimit(2)), runc for a container neither.
			hard := min(NoFileContainersHard, f.NoFileHard)
			return fmt.Sprintf("nofile=%d:%d", min(NoFileContainersSoft, hard), hard), f.NoFileHard > 0
		},
	},
	{
		Option: "exec-opt", Item: "native.cgroupdriver",
		Reason: "/run/systemd/system exists though no systemd runs here, so dockerd would ask it for cgroups",
		judge: func(_ Effective, f DefaultFacts) (string, bool) {
			return "native.cgroupdriver=cgroupfs", f.SystemdLeak
		},
	},
}

// apiDefaults are about where the API is and who may use it. What the hosts are is decided where the environment is known.
var apiDefaults = []Default{
	{
		Option: "containerd",
		Reason: "it is up already, so that dockerd is ready sooner and stops a second sooner",
		judge:  func(_ Effective, f DefaultFacts) (string, bool) { return f.Containerd, f.Containerd != "" },
	},
	{
		Option: "host",
		Reason: "the sockets are open already, so that clients that come early wait for the daemon",
		judge:  func(_ Effective, f DefaultFacts) (string, bool) { return "fd://", f.Sockets },
	},
	hostDefault(0), hostDefault(1),
	tlsDefault("tlsverify", ""), tlsDefault("tlscacert", "ca.pem"), tlsDefault("tlscert", "cert.pem"), tlsDefault("tlskey", "key.pem"),
	{
		// dockerd sleeps 16 s before it opens a port without TLS, unless that is asked for in so many words (checkTLS in
		// moby's cmd/dockerd/daemon.go).
		Option: "tls",
		Reason: "a port without TLS was asked for in so many words, by an empty DOCKER_TLS_CERTDIR",
		Unless: []string{"tlsverify"},
		judge: func(_ Effective, f DefaultFacts) (string, bool) {
			plain := func(host string) bool { return strings.HasPrefix(host, "tcp://") }
			return "false", !f.Sockets && f.TLSDir == "" && !f.Verify && slices.ContainsFunc(f.Hosts, plain)
		},
	},
}

// hostDefault is one of the addresses where dockerd opens them itself and would not do so by default.
func hostDefault(i int) Default {
	return Default{
		Option: "host",
		Reason: "the environment names it",
		judge: func(_ Effective, f DefaultFacts) (string, bool) {
			if f.Sockets || i >= len(f.Hosts) || len(f.Hosts) == 1 && f.Hosts[0] == DefaultHost {
				return "", false
			}
			return f.Hosts[i], true
		},
	}
}

// tlsDefault is one of the options for certificates of the launcher's own making.
func tlsDefault(option, file string) Default {
	return Default{
		Option: option,
		Reason: "DOCKER_TLS_CERTDIR names a folder, whose certificates the API is to ask for",
		judge: func(_ Effective, f DefaultFacts) (string, bool) {
			if file == "" {
				return "true", f.TLSDir != "" || f.Verify
			}
			return f.TLSDir + "/server/" + file, f.TLSDir != ""
		},
	}
}

// Add tells which flags to give to a dockerd beside what the user says, each only where the user is silent: it is in
// neither place. A repeatable option is added to the command line's own where those do not name the same setting, but
// never beside its key in the file, which dockerd refuses; where that leaves a setting open, a Warning says so. A daemon
// that is not dockerd by its name gets nothing.
func Add(e Effective, facts DefaultFacts) []Added {
	if !e.Command.IsDockerd() {
		return nil
	}
	var list []Added
	for _, d := range Defaults() {
		if a, ok := d.add(e, facts); ok {
			list = append(list, a)
		}
	}
	return list
}

func (d Default) add(e Effective, facts DefaultFacts) (Added, bool) {
	value, wanted := d.judge(e, facts)
	if !wanted || !e.Version.has(d.Since, Version{}) || d.Versioned && !e.Version.Known() {
		return Added{}, false
	}
	for _, option := range d.Unless {
		if speaks, _ := e.Speaks(option); speaks {
			return Added{}, false
		}
	}
	if speaks, _ := e.Speaks(d.Option); speaks && (d.Item == "" || hasItem(e.values(d.Option), d.Item)) {
		return Added{}, false
	}
	flag := "--" + d.Option + "=" + value
	if e.File.Has(d.Option) {
		return Added{Option: d.Option, Reason: d.Reason, Warning: fmt.Sprintf(
			"%s would help, but %s is there already, beside which dockerd refuses the flag: add %s to it", flag, e.File.Where(d.Option), value)}, true
	}
	a := Added{Option: d.Option, Flag: flag, Reason: d.Reason}
	if d.caution != nil {
		a.Warning = d.caution(e, facts)
	}
	return a, true
}

func hasItem(values []string, item string) bool {
	return slices.ContainsFunc(values, func(pair string) bool {
		key, _, _ := strings.Cut(pair, "=")
		return strings.EqualFold(strings.TrimSpace(key), item)
	})
}

// WithAdded puts the flags in front of the arguments, because behind a "--" they would be none.
func WithAdded(args []string, added []Added) []string {
	all := make([]string, 0, len(args)+len(added))
	for _, a := range added {
		if a.Flag != "" {
			all = append(all, a.Flag)
		}
	}
	return append(all, args...)
}
