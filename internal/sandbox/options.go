package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// LauncherPath is where the launcher lies inside the sandbox.
const LauncherPath = "/usr/bin/dockerlaunch"

// DefaultStopTimeout is how long Stop waits after SIGTERM: dockerd's own shutdown timeout is 15 s (moby,
// daemon/config/config.go: DefaultShutdownTimeout), and as much again is left for the launcher and a slow machine.
const DefaultStopTimeout = 30 * time.Second

// Network says what a sandbox's network namespace is connected to.
type Network int

const (
	// NetworkVeth gives a pair of devices between the host and eth0 inside, with the addresses of a free private /30 and a
	// default route through the host. lo stays down: bringing it up is the launcher's work.
	NetworkVeth Network = iota
	// NetworkNone leaves the namespace with lo alone, down.
	NetworkNone
)

// Options describes a sandbox. Root is required, and Launcher where the tree has none.
type Options struct {
	// Root is the folder of the root tree. It is the lower layer of an overlay and never written to.
	Root string
	// State is a folder that is made where missing and kept: `upper` and `work` hold what was written to /, `docker` is
	// mounted at /var/lib/docker. One sandbox at a time uses it. Empty means a temporary folder that Stop removes.
	State string
	// Launcher is a program on the host that is copied to LauncherPath. Empty means the one in the tree.
	Launcher string
	// Argv holds the launcher's arguments, without its name.
	Argv []string
	// Env is the launcher's whole environment. Nil means DefaultEnv.
	Env []string
	// Stdout and Stderr get what the launcher and its children write; both may be the same writer. Nil discards, but for the
	// last lines, which are kept for errors in any case.
	Stdout, Stderr io.Writer
	// Hostname inside; "dockerlaunch" where empty.
	Hostname string

	Network Network
	// MTU of the veth pair in bytes; 0 means the kernel's 1500, or with NAT the MTU of the host's default route if smaller.
	MTU int
	// NAT lets the sandbox reach what the host reaches: one masquerade rule in a table of its own, two rules that accept its
	// packets in the host's FORWARD chain (DOCKER-USER beside a Docker) where there is iptables, and IPv4 forwarding turned on;
	// Stop takes back all. The host's nameservers go to /etc/resolv.conf inside. An nft table of the host's own that drops or
	// rejects what is forwarded, as firewalld's does, still does: no rule elsewhere can overrule it.
	NAT bool

	// ReadonlyRoot mounts / read-only; /var/lib/docker stays writable.
	ReadonlyRoot bool
	// Binds are mounted before the launcher starts.
	Binds []Bind
	// Files are written into / before the launcher starts.
	Files []File
	// Hide names paths that are removed from / as seen inside. As everything written to /, that stays with State.
	Hide []string

	// HostCgroupNS leaves the launcher in the host's cgroup namespace (its groups are its own all the same). cgroup v1
	// hierarchies that the launcher creates are then the whole machine's, and stay.
	HostCgroupNS bool

	// UID and GID the launcher runs as, 0 being root. Another UID runs without capabilities.
	UID, GID int
	// DropCaps are the numbers of capabilities (unix.CAP_...) taken from the bounding set, so that root lacks them too.
	DropCaps []int

	// StopTimeout bounds Stop's wait after SIGTERM; 0 means DefaultStopTimeout.
	StopTimeout time.Duration
}

// Bind is a mount of a file or folder of the host inside the sandbox, everything mounted below it included.
type Bind struct {
	Source   string // on the host
	Target   string // inside; made where missing
	ReadOnly bool
}

// File is a file that is written into the sandbox, with its folders. One that is there is replaced.
type File struct {
	Path string
	Mode fs.FileMode // 0644 where 0
	Data []byte
}

// DefaultEnv is what a launcher gets where Options.Env is nil: HOME and TERM are what the kernel gives PID 1
// (init/main.c: envp_init), PATH is what container runtimes add.
func DefaultEnv() []string {
	return []string{"HOME=/", "TERM=linux", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

// resolve checks o and fills in what was left out. The paths in the result are absolute and free of links.
func (o Options) resolve() (Options, error) {
	var err error
	if o.Root, err = realDir(o.Root); err != nil {
		return o, fmt.Errorf("root tree: %w", err)
	}
	entries, err := os.ReadDir(o.Root)
	if err != nil {
		return o, fmt.Errorf("root tree: %w", err)
	}
	if len(entries) == 0 {
		return o, fmt.Errorf("root tree %s is empty: build it first (make rootfs)", o.Root)
	}
	if o.Launcher == "" {
		in := filepath.Join(o.Root, LauncherPath)
		if _, err := os.Lstat(in); err != nil {
			return o, fmt.Errorf("no launcher was named, and the root tree has none: %w", err)
		}
	} else if o.Launcher, err = realProgram(o.Launcher); err != nil {
		return o, fmt.Errorf("launcher: %w", err)
	}
	if o.State != "" {
		if o.State, err = filepath.Abs(o.State); err != nil {
			return o, fmt.Errorf("state folder: %w", err)
		}
		if within(o.State, o.Root) || within(o.Root, o.State) {
			return o, fmt.Errorf("state folder %s and root tree %s lie within each other: an overlay cannot hold its own layers", o.State, o.Root)
		}
	}
	o.Binds = slices.Clone(o.Binds)
	for i, b := range o.Binds {
		src, err := filepath.Abs(b.Source)
		if err == nil {
			_, err = os.Stat(src)
		}
		if err != nil {
			return o, fmt.Errorf("extra mount at %s: %w", b.Target, err)
		}
		o.Binds[i].Source = src
	}
	if o.NAT && o.Network != NetworkVeth {
		return o, errors.New("NAT needs a network that is connected to the host (NetworkVeth)")
	}
	if o.Env == nil {
		o.Env = DefaultEnv()
	}
	if o.Hostname == "" {
		o.Hostname = "dockerlaunch"
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = DefaultStopTimeout
	}
	return o, nil
}

func realDir(path string) (string, error) {
	if path == "" {
		return "", errors.New("no folder was named")
	}
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !fi.IsDir() {
		return "", &fs.PathError{Op: "open", Path: path, Err: errors.New("it is not a folder")}
	}
	return realPath(path)
}

func realProgram(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s is not an executable file (mode %v)", path, fi.Mode())
	}
	return realPath(path)
}

func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
