package daemon

import (
	"strconv"
	"strings"
)

// Defaults of dockerd (cmd/dockerd/daemon_unix.go, daemon/config/config_linux.go, opts/hosts.go), as root and without RootlessKit,
// under which they lie in the user's folders.
const (
	DefaultDataRoot = "/var/lib/docker"
	DefaultExecRoot = "/var/run/docker"
	DefaultPidfile  = "/var/run/docker.pid"
	DefaultHost     = "unix:///var/run/docker.sock"
	DefaultTLSHost  = "tcp://localhost:2376"
)

// SystemContainerd is the socket at which dockerd looks for a containerd before it starts one of its own
// (cmd/dockerd/daemon_unix.go, initContainerd).
const SystemContainerd = "/run/containerd/containerd.sock"

// Effective is all that the user says to a dockerd, taken together.
type Effective struct {
	// Command is the daemon, as Translate gives it. Where it is not dockerd by its name nothing is known of its options.
	Command Command
	// Args are the settings of Command.Args.
	Args Settings
	// File is the daemon.json that Args.ConfigFile names.
	File Config
	// Driver is DOCKER_DRIVER of the daemon's environment; it beats --storage-driver and the file.
	Driver string
	// Version is the daemon's version; the zero Version where it is not known.
	Version Version
}

// Speaks reports whether the user gives an option, by its long name, and where. Both places at once are a conflict
// that CheckConflicts finds; the command line is named then.
func (e Effective) Speaks(option string) (bool, string) {
	if where := e.Args.Where(option); where != "" {
		return true, where
	}
	where := e.File.Where(option)
	return where != "", where
}

// value is what the user gives an option that is not repeatable; else the default.
func (e Effective) value(option, otherwise string) string {
	if value, ok := e.Args.Value(option); ok {
		return value
	}
	if value, ok := e.File.Value(option); ok {
		return value
	}
	return otherwise
}

func (e Effective) bool(option string, otherwise bool) bool {
	if value, ok := e.Args.Bool(option); ok {
		return value
	}
	if value, ok := e.File.Bool(option); ok {
		return value
	}
	return otherwise
}

// int is for options of few digits; dockerd does not start with what is no number.
func (e Effective) int(option string, otherwise int) int {
	if n, err := strconv.ParseInt(e.value(option, ""), 0, 32); err == nil {
		return int(n)
	}
	return otherwise
}

func (e Effective) values(option string) []string {
	if values := e.Args.Values(option); values != nil {
		return values
	}
	return e.File.Values(option)
}

// DataRoot is --data-root, else DefaultDataRoot. It may be relative, or a symbolic link.
func (e Effective) DataRoot() string { return e.value("data-root", e.value("graph", DefaultDataRoot)) }

// ExecRoot is --exec-root, else DefaultExecRoot.
func (e Effective) ExecRoot() string { return e.value("exec-root", DefaultExecRoot) }

// Pidfile is --pidfile, else DefaultPidfile; empty where the user wants none (-p "").
func (e Effective) Pidfile() string { return e.value("pidfile", DefaultPidfile) }

// Hosts are the addresses that dockerd is told to listen on, as written (":2375", "fd://"), without empty ones; else
// DefaultTLSHost with --tls, else DefaultHost (loadDaemonCliConfig). DOCKER_TLS_VERIFY in the daemon's environment,
// which also turns TLS on, is not seen here.
func (e Effective) Hosts() []string {
	var hosts []string
	for _, host := range e.values("host") {
		if strings.TrimSpace(host) != "" {
			hosts = append(hosts, host)
		}
	}
	if hosts != nil {
		return hosts
	}
	if e.TLS() {
		return []string{DefaultTLSHost}
	}
	return []string{DefaultHost}
}

// TLS reports whether the API asks for TLS on TCP: --tls, or --tlsverify with any value, which implies it.
func (e Effective) TLS() bool {
	verify, _ := e.Speaks("tlsverify")
	return verify || e.bool("tls", false)
}

// ContainerdAddress is --containerd; empty where dockerd looks for containerd at its usual socket and else starts one
// of its own below ExecRoot.
func (e Effective) ContainerdAddress() string { return e.value("containerd", "") }

// EmbeddedContainerd reports whether dockerd is to run a containerd inside of itself, whatever --containerd says: by the feature of
// that name, which 29.7 brought (initContainerd in moby's daemon/command/daemon_unix.go). An older one starts a containerd of its own
// then, as it does wherever it is told of none; so that nothing depends on a version that may be known only later.
func (e Effective) EmbeddedContainerd() bool {
	on := false
	for _, feature := range e.values("feature") {
		// Without a value it is on (opts.SetOpts); what is no truth value keeps dockerd from starting.
		if name, value, given := strings.Cut(feature, "="); strings.TrimSpace(name) == "embedded-containerd" {
			yes, err := strconv.ParseBool(value)
			on = !given || err == nil && yes
		}
	}
	return on
}

// IPTables is --iptables, else true.
func (e Effective) IPTables() bool { return e.bool("iptables", true) }

// IP6Tables is --ip6tables, else true from 27.0 on and false before; an unknown version is taken as new.
func (e Effective) IP6Tables() bool {
	return e.bool("ip6tables", !e.Version.Known() || e.Version.AtLeast(27, 0, 0))
}

// IPForward is --ip-forward, else true.
func (e Effective) IPForward() bool { return e.bool("ip-forward", true) }

// UserlandProxy is --userland-proxy, else true.
func (e Effective) UserlandProxy() bool { return e.bool("userland-proxy", true) }

// FirewallBackend is --firewall-backend (29.0), else "iptables", which is what dockerd uses where none is given and
// was all that there was before.
func (e Effective) FirewallBackend() string { return e.value("firewall-backend", "iptables") }

// StorageDriver is DOCKER_DRIVER, else --storage-driver, else empty: then dockerd takes what its data-root holds, or
// the first that works (daemon/image_store_choice.go and daemon/graphdriver/driver.go).
func (e Effective) StorageDriver() string {
	if e.Driver != "" {
		return e.Driver
	}
	return e.value("storage-driver", "")
}

// ConfigFile is the path of daemon.json, read or missing; see Settings.ConfigFile.
func (e Effective) ConfigFile() string {
	path, _ := e.Args.ConfigFile()
	return path
}

// Debug is --debug, else false. A --log-level of debug shows the same messages, but does not open /debug in the API.
func (e Effective) Debug() bool { return e.bool("debug", false) }

// ShutdownTimeout is how long dockerd gives its containers to stop when it ends, in seconds: --shutdown-timeout, else 15, and no
// less than what a container gets that says nothing itself and 5 more; negative is without end. A container that was started with a
// longer --stop-timeout has dockerd wait for that and 5 seconds more, which is not seen here (ShutdownTimeout in daemon/daemon.go).
func (e Effective) ShutdownTimeout() int {
	limit, stop := e.int("shutdown-timeout", 15), e.int("default-stop-timeout", 10)
	if limit < 0 || stop < 0 {
		return -1
	}
	return max(limit, stop+5)
}

// Group is --group, to which a unix socket of the API belongs; else "docker".
func (e Effective) Group() string { return e.value("group", "docker") }

// OwnCertificates reports whether the user names certificates of his own for the API, or says how clients are known, and where.
func (e Effective) OwnCertificates() (bool, string) {
	for _, option := range []string{"tlsverify", "tlscacert", "tlscert", "tlskey"} {
		if speaks, where := e.Speaks(option); speaks {
			return true, where
		}
	}
	return false, ""
}

// RefusesTLS reports whether the user switches TLS off in so many words, with --tls=false, and where. --tlsverify, with any value,
// turns it on again.
func (e Effective) RefusesTLS() (bool, string) {
	speaks, where := e.Speaks("tls")
	return speaks && !e.TLS(), where
}
