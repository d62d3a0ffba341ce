package daemon

import "slices"

// Option is one option of dockerd, in a release that dockerlaunch knows.
type Option struct {
	// Name is the long name without dashes; Short is the letter, "" where there is none.
	Name, Short string
	// Type is the kind of value, in the word that dockerd --help prints; "bool" for what takes none.
	Type string
	// Key is the option's key in daemon.json: often the plural. "" means that the file cannot say it. A key inside an
	// object is written with a dot: "proxies.http-proxy".
	Key string
	// OldKey is a second key that means the same, "" where there is none.
	OldKey string
	// Since is the first release that has it; zero for what 20.10 had already. Until is the first that no longer
	// works with it: that refuses it, or parses it only to say that it is gone; zero for what 29.7 has.
	Since, Until Version
	// Hidden is true where --help does not show it, in all releases or since it was deprecated.
	Hidden bool
	// Gone tells in one sentence what became of an option that has an Until.
	Gone string
}

// Bool reports whether the option takes no value but through "=".
func (o Option) Bool() bool { return o.Type == "bool" }

// Repeatable reports whether each further use adds to the ones before; else the last one counts.
func (o Option) Repeatable() bool {
	switch o.Type {
	case "bool", "int", "string", "ip", "bytes":
		return false
	}
	return true
}

// jsonType is the type that the value of the option's key has in daemon.json.
func (o Option) jsonType() string {
	switch o.Type {
	case "bool":
		return "true or false"
	case "int":
		return "a number"
	case "string", "ip", "bytes": // "64M"; a bare number is refused (MemBytes in moby's opts/opts.go)
		return "a string"
	case "list", "pool-options":
		return "a list"
	}
	return "an object"
}

// Options returns the table of dockerd's options, sorted by name.
func Options() []Option { return slices.Clone(options) }

// Lookup finds an option by its long name, without dashes. Options that went before 20.10 are not in the table.
func Lookup(name string) (Option, bool) {
	i, found := slices.BinarySearchFunc(options, name, func(o Option, name string) int {
		switch {
		case o.Name < name:
			return -1
		case o.Name > name:
			return 1
		}
		return 0
	})
	if !found {
		return Option{}, false
	}
	return options[i], true
}

// lookupShort finds an option by its letter.
func lookupShort(letter byte) (Option, bool) {
	for _, o := range options {
		if o.Short == string(letter) {
			return o, true
		}
	}
	return Option{}, false
}

// options was read off moby's sources at every release from 20.10.0 to 29.7.2: cmd/dockerd/{options,config,config_unix,
// docker}.go, from 29.0 in daemon/command/. It was compared with what dockerd --help of Debian's docker.io 20.10.24, 26.1.5 and
// 28.5.2 and of 29.7.2 prints (testdata/help-*.txt; the tests compare it again), and with what these daemons accept
// and refuse. Keys are the names of opts.NamedOption, else the flag's own name, checked against the json tags of
// daemon/config/config.go and config_linux.go. It calls no function, so that no start has to fill it in.
var options = []Option{
	{Name: "add-runtime", Type: "runtime", Key: "runtimes"},
	{Name: "allow-direct-routing", Type: "bool", Key: "allow-direct-routing", Since: Version{Major: 28, Minor: 2}},
	{Name: "allow-nondistributable-artifacts", Type: "list", Key: "allow-nondistributable-artifacts", Until: Version{Major: 29}, Hidden: true,
		Gone: "such layers are always pushed"},
	{Name: "api-cors-header", Type: "string", Key: "api-cors-header", Until: Version{Major: 28}, Hidden: true,
		Gone: "the API sends no CORS headers; a reverse proxy in front of it can"},
	{Name: "authorization-plugin", Type: "list", Key: "authorization-plugins"},
	{Name: "bip", Type: "string", Key: "bip"},
	{Name: "bip6", Type: "string", Key: "bip6", Since: Version{Major: 28}},
	{Name: "bridge", Short: "b", Type: "string", Key: "bridge"},
	{Name: "bridge-accept-fwmark", Type: "string", Key: "bridge-accept-fwmark", Since: Version{Major: 29}},
	{Name: "cdi-spec-dir", Type: "list", Key: "cdi-spec-dirs", Since: Version{Major: 25}},
	{Name: "cgroup-parent", Type: "string", Key: "cgroup-parent"},
	{Name: "cluster-advertise", Type: "string", Key: "cluster-advertise", Until: Version{Major: 23}, Hidden: true, Gone: classicSwarm},
	{Name: "cluster-store", Type: "string", Key: "cluster-store", Until: Version{Major: 23}, Hidden: true, Gone: classicSwarm},
	{Name: "cluster-store-opt", Type: "map", Key: "cluster-store-opts", Until: Version{Major: 23}, Hidden: true, Gone: classicSwarm},
	{Name: "config-file", Type: "string"},
	{Name: "containerd", Type: "string", Key: "containerd"},
	{Name: "containerd-namespace", Type: "string", Key: "containerd-namespace"},
	// The json tag is containerd-plugin-namespace, which dockerd refuses as unknown; under the option's own name the
	// file is accepted and the value ignored.
	{Name: "containerd-plugins-namespace", Type: "string"},
	{Name: "cpu-rt-period", Type: "int", Key: "cpu-rt-period"},
	{Name: "cpu-rt-runtime", Type: "int", Key: "cpu-rt-runtime"},
	{Name: "cri-containerd", Type: "bool", Key: "cri-containerd"},
	{Name: "data-root", Type: "string", Key: "data-root"},
	{Name: "debug", Short: "D", Type: "bool", Key: "debug"},
	{Name: "default-address-pool", Type: "pool-options", Key: "default-address-pools"},
	{Name: "default-cgroupns-mode", Type: "string", Key: "default-cgroupns-mode"},
	{Name: "default-gateway", Type: "ip", Key: "default-gateway"},
	{Name: "default-gateway-v6", Type: "ip", Key: "default-gateway-v6"},
	{Name: "default-ipc-mode", Type: "string", Key: "default-ipc-mode"},
	{Name: "default-network-opt", Type: "mapmap", Key: "default-network-opts", Since: Version{Major: 24}},
	{Name: "default-runtime", Type: "string", Key: "default-runtime"},
	{Name: "default-shm-size", Type: "bytes", Key: "default-shm-size"},
	{Name: "default-stop-timeout", Type: "int", Key: "default-stop-timeout", Since: Version{Major: 29, Minor: 7}},
	{Name: "default-ulimit", Type: "ulimit", Key: "default-ulimits"},
	{Name: "dns", Type: "list", Key: "dns"},
	{Name: "dns-opt", Type: "list", Key: "dns-opts"},
	{Name: "dns-search", Type: "list", Key: "dns-search"},
	{Name: "exec-opt", Type: "list", Key: "exec-opts"},
	{Name: "exec-root", Type: "string", Key: "exec-root"},
	{Name: "experimental", Type: "bool", Key: "experimental"},
	{Name: "feature", Type: "map", Key: "features", Since: Version{Major: 27, Minor: 3}},
	{Name: "firewall-backend", Type: "string", Key: "firewall-backend", Since: Version{Major: 29}},
	{Name: "fixed-cidr", Type: "string", Key: "fixed-cidr"},
	{Name: "fixed-cidr-v6", Type: "string", Key: "fixed-cidr-v6"},
	{Name: "graph", Short: "g", Type: "string", Key: "graph", Until: Version{Major: 23}, Hidden: true, Gone: "it is --data-root now"},
	{Name: "group", Short: "G", Type: "string", Key: "group"},
	{Name: "help", Short: "h", Type: "bool"},
	{Name: "host", Short: "H", Type: "list", Key: "hosts"},
	// One address and the key host-gateway-ip up to 27.5; since 28.0 a list, whose key is the plural.
	{Name: "host-gateway-ip", Type: "list", Key: "host-gateway-ips", OldKey: "host-gateway-ip"},
	{Name: "http-proxy", Type: "string", Key: "proxies.http-proxy", Since: Version{Major: 23}},
	{Name: "https-proxy", Type: "string", Key: "proxies.https-proxy", Since: Version{Major: 23}},
	{Name: "icc", Type: "bool", Key: "icc"},
	{Name: "init", Type: "bool", Key: "init"},
	{Name: "init-path", Type: "string", Key: "init-path"},
	{Name: "insecure-registry", Type: "list", Key: "insecure-registries"},
	{Name: "ip", Type: "ip", Key: "ip"},
	{Name: "ip-forward", Type: "bool", Key: "ip-forward"},
	{Name: "ip-forward-no-drop", Type: "bool", Key: "ip-forward-no-drop", Since: Version{Major: 28}},
	{Name: "ip-masq", Type: "bool", Key: "ip-masq"},
	{Name: "ip6tables", Type: "bool", Key: "ip6tables"},
	{Name: "iptables", Type: "bool", Key: "iptables"},
	{Name: "ipv6", Type: "bool", Key: "ipv6"},
	{Name: "label", Type: "list", Key: "labels"},
	{Name: "live-restore", Type: "bool", Key: "live-restore"},
	{Name: "log-driver", Type: "string", Key: "log-driver"},
	{Name: "log-format", Type: "string", Key: "log-format", Since: Version{Major: 25}},
	{Name: "log-level", Short: "l", Type: "string", Key: "log-level"},
	{Name: "log-opt", Type: "map", Key: "log-opts"},
	{Name: "max-concurrent-downloads", Type: "int", Key: "max-concurrent-downloads"},
	{Name: "max-concurrent-uploads", Type: "int", Key: "max-concurrent-uploads"},
	{Name: "max-download-attempts", Type: "int", Key: "max-download-attempts"},
	{Name: "metrics-addr", Type: "string", Key: "metrics-addr"},
	{Name: "mtu", Type: "int", Key: "mtu"},
	{Name: "network-control-plane-mtu", Type: "int", Key: "network-control-plane-mtu"},
	{Name: "network-diagnostic-port", Type: "int", Key: "network-diagnostic-port", Hidden: true},
	{Name: "no-new-privileges", Type: "bool", Key: "no-new-privileges"},
	{Name: "no-proxy", Type: "string", Key: "proxies.no-proxy", Since: Version{Major: 23}},
	{Name: "node-generic-resource", Type: "list", Key: "node-generic-resources"},
	{Name: "nri-opts", Type: "nri-opts", Key: "nri-opts", Since: Version{Major: 29, Minor: 2}},
	{Name: "oom-score-adjust", Type: "int", Key: "oom-score-adjust", Until: Version{Major: 26},
		Gone: "dockerd keeps the score of whoever starts it"},
	{Name: "pidfile", Short: "p", Type: "string", Key: "pidfile"},
	{Name: "raw-logs", Type: "bool", Key: "raw-logs"},
	{Name: "registry-mirror", Type: "list", Key: "registry-mirrors"},
	// Deprecated since 1.2 and still there: --restart=false keeps containers down that a restart policy would start.
	{Name: "restart", Short: "r", Type: "bool", Hidden: true},
	{Name: "rootless", Type: "bool", Key: "rootless"},
	{Name: "seccomp-profile", Type: "string", Key: "seccomp-profile"},
	{Name: "selinux-enabled", Type: "bool", Key: "selinux-enabled"},
	{Name: "shutdown-timeout", Type: "int", Key: "shutdown-timeout"},
	{Name: "storage-driver", Short: "s", Type: "string", Key: "storage-driver"},
	{Name: "storage-opt", Type: "list", Key: "storage-opts"},
	{Name: "swarm-default-advertise-addr", Type: "string", Key: "swarm-default-advertise-addr"},
	{Name: "tls", Type: "bool", Key: "tls"},
	{Name: "tlscacert", Type: "string", Key: "tlscacert"},
	{Name: "tlscert", Type: "string", Key: "tlscert"},
	{Name: "tlskey", Type: "string", Key: "tlskey"},
	{Name: "tlsverify", Type: "bool", Key: "tlsverify"},
	{Name: "userland-proxy", Type: "bool", Key: "userland-proxy"},
	{Name: "userland-proxy-path", Type: "string", Key: "userland-proxy-path"},
	{Name: "userns-remap", Type: "string", Key: "userns-remap"},
	{Name: "validate", Type: "bool", Since: Version{Major: 23}},
	{Name: "version", Short: "v", Type: "bool"},
}

const classicSwarm = "stand-alone Swarm and its key-value stores went; docker swarm init makes a cluster"

// fileOnly are keys of daemon.json that no option says (skipValidateOptions in moby's daemon/config/config.go).
var fileOnly = []Option{
	{Key: "allow-nondistributable-artifacts", Type: "list", Since: Version{Major: 29}}, // accepted and ignored
	{Key: "builder", Type: "map"},
	{Key: "deprecated-key-path", Type: "string"},
	{Key: "features", Type: "map", Until: Version{Major: 27, Minor: 3}}, // then --feature says it too
	{Key: "min-api-version", Type: "string", Since: Version{Major: 29}},
}
