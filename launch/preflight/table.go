// Package preflight knows what Docker needs from user space: which programs and files, what each is for, whether the
// daemon runs without it and what then does not work.
package preflight

// Requirement is a program or file that Docker uses. Names and verdicts follow the table that the first launcher of this
// kind published ("File, Description, Can it be ignored"), brought up to today's Docker.
type Requirement struct {
	// Name is how messages and --without call it.
	Name string `json:"name"`
	// Files are places relative to the root where one existing is enough. A requirement without any is a program that is
	// looked up in PATH by its name.
	Files []string `json:"files,omitempty"`
	// Libexec tells that dockerd also looks in its libexec folders (daemon/config/config_linux.go, lookupBinPath).
	Libexec bool `json:"libexec,omitempty"`
	// For is what Docker uses it for, as the end of a sentence that begins with "to".
	For string `json:"for"`
	// Ignorable tells whether the daemon is started without it.
	Ignorable bool `json:"ignorable"`
	// How tells the user how to do without it.
	How string `json:"how"`
	// Lost is what does not work without it.
	Lost string `json:"lost"`
	// Package is what to install, by Debian's name.
	Package string `json:"package"`
	// needless tells why it is not needed, given the conditions, or "" where it is.
	needless func(Conditions) string
}

// Conditions are what the need for a program depends on.
type Conditions struct {
	// IPTables and IP6Tables are false where the user turned dockerd's use of them off.
	IPTables  bool
	IP6Tables bool
	// UserlandProxy is false where the user turned docker-proxy off.
	UserlandProxy bool
	// FirewallBackend is dockerd's --firewall-backend, "" for the default.
	FirewallBackend string
	// Containerd is the address of a containerd that the user brings, or "".
	Containerd string
	// EmbeddedContainerd is true where dockerd runs one inside of itself.
	EmbeddedContainerd bool
	// AppArmor is true where the daemon gives containers AppArmor profiles.
	AppArmor bool
	// LoadableModules is false for a kernel without CONFIG_MODULES.
	LoadableModules bool
}

// LibexecDirs are the folders where dockerd looks for docker-proxy and docker-init before PATH.
var LibexecDirs = []string{"usr/local/libexec/docker", "usr/libexec/docker", "usr/local/lib/docker", "usr/lib/docker"}

// CABundle is where the launcher puts a CA bundle that it finds elsewhere in the tree.
const CABundle = "etc/ssl/certs/ca-certificates.crt"

// SpareCABundle is where an image keeps a bundle for systems whose /etc is a fresh or mounted folder; it is copied to
// CABundle where none of the usual ones is there.
const SpareCABundle = "usr/etc/ssl/certs/ca-certificates.crt"

// CABundles are the places where Go programs, as dockerd is one, look for CA certificates (crypto/x509/root_linux.go).
var CABundles = []string{
	CABundle,
	"etc/pki/tls/certs/ca-bundle.crt",
	"etc/ssl/ca-bundle.pem",
	"etc/pki/tls/cacert.pem",
	"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"etc/ssl/cert.pem",
}

// gitCore lists where a helper of git may be: distributions differ in the name of the folder.
func gitCore(helper string) []string {
	return []string{"usr/libexec/git-core/" + helper, "usr/lib/git-core/" + helper, "usr/local/libexec/git-core/" + helper}
}

// Table returns the requirements, the daemon's own programs first.
func Table() []Requirement {
	const noGitBuilds = "build from files instead of a git URL"
	return []Requirement{
		{
			Name: "containerd", For: "run and supervise the containers", Package: "containerd",
			How: "start one beforehand and name its socket to the daemon with --containerd", Lost: "every container",
			needless: func(c Conditions) string {
				switch {
				case c.EmbeddedContainerd:
					return "dockerd has one inside of itself"
				case c.Containerd != "":
					return "the containerd at " + c.Containerd + " is used"
				}
				return ""
			},
		},
		{Name: "containerd-shim-runc-v2", For: "stay with each container as its parent", Package: "containerd", Lost: "every container"},
		{Name: "runc", For: "create the containers", Package: "runc", Lost: "every container"},
		{
			Name: "docker-proxy", Libexec: true, For: "make published ports answer on loopback addresses too", Package: "docker.io",
			Ignorable: true, How: "--userland-proxy=false, which needs br_netfilter", Lost: "published ports on loopback addresses",
			needless: func(c Conditions) string {
				if !c.UserlandProxy {
					return "--userland-proxy=false"
				}
				return ""
			},
		},
		{
			Name: "docker-init", Libexec: true, For: "be PID 1 in containers that ask for one", Package: "tini",
			Ignorable: true, How: "run containers without --init", Lost: "docker run --init",
		},
		{
			Name: "ca-certificates", Files: CABundles, For: "verify the TLS certificates of registries", Package: "ca-certificates",
			Lost: "docker pull, push and login, for every registry with TLS",
		},
		{
			Name: "iptables", For: "set up bridge networking, published ports and the isolation of networks", Package: "iptables",
			How: "give the daemon --iptables=false and set up networking by hand, or --firewall-backend=nftables from Docker 29 on", Lost: "bridge networking",
			needless: func(c Conditions) string {
				switch {
				case !c.IPTables:
					return "--iptables=false"
				case c.FirewallBackend == "nftables":
					return "--firewall-backend=nftables"
				}
				return ""
			},
		},
		{
			Name: "ip6tables", For: "do for IPv6 what iptables does for IPv4", Package: "iptables",
			Ignorable: true, How: "--ip6tables=false", Lost: "IPv6 in Docker's networks",
			needless: func(c Conditions) string {
				switch {
				case !c.IP6Tables:
					return "--ip6tables=false"
				case !c.IPTables:
					return "--iptables=false"
				case c.FirewallBackend == "nftables":
					return "--firewall-backend=nftables"
				}
				return ""
			},
		},
		{
			Name: "nft", For: "set up networking with the nftables backend", Package: "nftables",
			Ignorable: true, How: "leave --firewall-backend at iptables", Lost: "bridge networking, unless this dockerd is linked with libnftables",
			needless: func(c Conditions) string {
				if c.FirewallBackend != "nftables" {
					return "only --firewall-backend=nftables uses it"
				}
				return ""
			},
		},
		{
			Name: "modprobe", For: "load the kernel modules that dockerd and iptables ask for", Package: "kmod",
			Ignorable: true, How: "load the modules beforehand, or bind-mount the host's /lib/modules", Lost: "every feature whose module is not loaded yet",
			needless: func(c Conditions) string {
				if !c.LoadableModules {
					return "this kernel has no loadable modules"
				}
				return ""
			},
		},
		{
			Name: "apparmor_parser", For: "load the AppArmor profile docker-default", Package: "apparmor",
			Ignorable: true, How: "run containers without a profile, --security-opt apparmor=unconfined", Lost: "containers confined by AppArmor",
			needless: func(c Conditions) string {
				if !c.AppArmor {
					return "AppArmor is off, or not ours"
				}
				return ""
			},
		},
		{Name: "ps", For: "list the processes of a container", Package: "procps", Lost: "docker top"},
		{
			Name: "xz", For: "unpack images and archives that were packed with xz", Package: "xz-utils",
			Ignorable: true, How: "use newer images, few are packed with xz", Lost: "images and ADDed archives packed with xz",
		},
		{Name: "git", For: "fetch the source of builds from a git URL", Package: "git", Ignorable: true, How: noGitBuilds, Lost: "docker build with a git URL"},
		{Name: "git-clone", Files: gitCore("git-clone"), For: "serve git", Package: "git", Ignorable: true, How: noGitBuilds, Lost: "docker build with a git URL"},
		{Name: "git-submodule", Files: gitCore("git-submodule"), For: "serve git", Package: "git", Ignorable: true, How: noGitBuilds, Lost: "docker build with a git URL that has submodules"},
		{Name: "git-checkout", Files: gitCore("git-checkout"), For: "serve git", Package: "git", Ignorable: true, How: noGitBuilds, Lost: "docker build with a git URL"},
		{Name: "ssh", For: "let git reach repositories over SSH", Package: "openssh-client", Ignorable: true, How: noGitBuilds + " over SSH", Lost: "docker build with a git URL over SSH"},
	}
}
