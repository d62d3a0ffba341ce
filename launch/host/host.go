// Package host gathers the facts about the system that a launch is planned from: where we run, what we may do, which
// programs and files are there. It reads and never changes anything, and every fact is plain data, so that a plan can be
// made from captured facts without root.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"golang.org/x/sys/unix"
)

// Habitat is the kind of place the launcher runs in; it decides what the launcher owns.
type Habitat string

const (
	// Machine is PID 1 in the kernel's first PID namespace: everything is ours.
	Machine Habitat = "machine"
	// Container is any other PID namespace: what the outer runtime mounted is kept.
	Container Habitat = "container"
	// Host is the kernel's first PID namespace under somebody else's PID 1: a person's machine, where as little as
	// possible is touched.
	Host Habitat = "host"
)

// initPIDNamespace is the inode number of the kernel's first PID namespace, PROC_PID_INIT_INO in include/linux/proc_ns.h.
const initPIDNamespace = "pid:[4026531836]"

// Facts is what a plan needs to know of the system, apart from its mounts and cgroups.
type Facts struct {
	Habitat Habitat `json:"habitat"`
	// PID is our process ID in our own PID namespace.
	PID    int    `json:"pid"`
	UID    int    `json:"uid"`
	Kernel string `json:"kernel"`
	// Capabilities are the effective ones; Bounding is the limit for whatever we start.
	Capabilities CapabilitySet `json:"capabilities"`
	Bounding     CapabilitySet `json:"bounding"`
	// LastCapability is the highest capability that this kernel knows.
	LastCapability int `json:"last_capability"`
	// InitialUserNamespace tells whether user IDs are the kernel's own: capabilities of another user namespace do not raise
	// limits (setrlimit(2), user_namespaces(7)).
	InitialUserNamespace bool `json:"initial_user_namespace"`
	// AppArmor tells whether the kernel enforces AppArmor profiles.
	AppArmor bool `json:"apparmor"`
	// LoadableModules tells whether this kernel was built with CONFIG_MODULES.
	LoadableModules bool `json:"loadable_modules"`
	// BridgeNetfilter tells whether bridged traffic passes iptables, that is whether br_netfilter is loaded or built in.
	BridgeNetfilter bool `json:"bridge_netfilter"`
	// SystemdLeak tells that /run/systemd/system is there though PID 1 is not systemd, as when /run is bind-mounted.
	SystemdLeak bool `json:"systemd_leak"`
	IPForward   bool `json:"ip_forward"`
	// LoopbackUp tells whether the network namespace's lo is up; dockerd's proxy and many containers count on it.
	LoopbackUp  bool   `json:"loopback_up"`
	Limits      Limits `json:"limits"`
	OOMScoreAdj int    `json:"oom_score_adj"`
	// KernelNameservers are those the kernel learned by its ip= option, from /proc/net/pnp.
	KernelNameservers []string `json:"kernel_nameservers,omitempty"`
	// Unread tells what is there and could not be read, each with the error: those facts have their zero values.
	Unread []string `json:"unread,omitempty"`
}

// Paths names the roots that facts are read from. The zero value is the running system; tests point it at captured trees.
type Paths struct {
	Proc string // "/proc" where empty
	Root string // "/" where empty
}

func (p Paths) proc(elem ...string) string {
	if p.Proc == "" {
		p.Proc = "/proc"
	}
	return filepath.Join(append([]string{p.Proc}, elem...)...)
}

func (p Paths) root(name string) string { return filepath.Join("/", p.Root, name) }

// Observe reads the facts. What the system does not tell, because /proc is not mounted yet or the kernel lacks a feature,
// keeps its zero value; so does what cannot be read for another reason, which is told in Unread. Only what contradicts the
// kernel's documented formats is an error.
func Observe(paths Paths) (Facts, error) {
	p := &observer{Paths: paths}
	f := Facts{PID: os.Getpid(), UID: os.Geteuid()}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return f, fmt.Errorf("uname: %w", err)
	}
	f.Kernel = unix.ByteSliceToString(uts.Release[:])

	var err error
	if f.Capabilities, err = effective(); err != nil {
		return f, err
	}
	if f.Bounding, f.LastCapability, err = Bounding(); err != nil {
		return f, err
	}
	f.Habitat = p.habitat(f.PID)
	f.InitialUserNamespace = p.initialUserNamespace()
	f.AppArmor = p.apparmor()
	f.LoadableModules = p.exists(p.proc("modules"))
	f.BridgeNetfilter = p.exists(p.proc("sys/net/bridge/bridge-nf-call-iptables"))
	f.SystemdLeak = p.exists(p.root("/run/systemd/system")) && p.comm(1) != "systemd"
	f.IPForward = p.word("sys/net/ipv4/ip_forward") == "1"
	if f.LoopbackUp, err = loopbackUp(); err != nil {
		return f, err
	}
	if f.Limits, err = p.limits(); err != nil {
		return f, err
	}
	if text := p.word("self/oom_score_adj"); text != "" {
		if f.OOMScoreAdj, err = strconv.Atoi(text); err != nil {
			return f, fmt.Errorf("%s: %w", p.proc("self/oom_score_adj"), err)
		}
	}
	f.KernelNameservers = p.nameservers()
	f.Unread = p.unread
	return f, nil
}

// observer reads facts, and remembers what could not be read.
type observer struct {
	Paths
	unread []string
}

// missed takes note of an error, unless it says that there is nothing to be read.
func (p *observer) missed(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		p.unread = append(p.unread, err.Error())
	}
}

// habitat tells where we are. Where /proc cannot say, PID 1 counts as a container's: that is the habitat that changes less.
func (p *observer) habitat(pid int) Habitat {
	ns, err := os.Readlink(p.proc("self/ns/pid"))
	p.missed(err)
	switch {
	case err != nil || ns != initPIDNamespace:
		return Container
	case pid == 1:
		return Machine
	default:
		return Host
	}
}

// Where tells where this process is, as Observe does.
func Where() Habitat { return new(observer).habitat(os.Getpid()) }

// FirstProcess tells whether this process is PID 1 of a machine, whose end is the machine's: it needs no /proc, as Observe does,
// which may have to be mounted first. Where the kernel says neither, it is a container's.
func FirstProcess() bool {
	if os.Getpid() != 1 {
		return false
	}
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		return ns == initPIDNamespace
	}
	return kernelThreadIs2(1)
}

// kernelThreadIs2 tells whether process 2 is kthreadd, as it is in the kernel's first PID namespace before the first program
// runs (rest_init in init/main.c), and in no other. It is of group and session 0 as all that is not of this namespace; in
// another one number 2 is a thread of PID 1's, since a Go program starts threads before all else, or nobody any more. Should it
// yet be somebody from outside: reboot(2) there ends that namespace alone.
func kernelThreadIs2(self int) bool {
	if unix.Tgkill(self, 2, 0) == nil {
		return false
	}
	group, err := unix.Getpgid(2)
	session, sessionErr := unix.Getsid(2)
	return err == nil && sessionErr == nil && group == 0 && session == 0
}

// initialUserNamespace looks whether every user ID maps to itself. Where /proc is not there yet nobody has made another
// namespace.
func (p *observer) initialUserNamespace() bool {
	data, err := smallfile.Read(p.proc("self/uid_map"))
	p.missed(err)
	return err != nil || slices.Equal(strings.Fields(string(data)), []string{"0", "0", "4294967295"})
}

// apparmor reads the parameter of the security module (Documentation/admin-guide/LSM/apparmor.rst).
func (p *observer) apparmor() bool {
	data, err := smallfile.Read(p.root("/sys/module/apparmor/parameters/enabled"))
	p.missed(err)
	return err == nil && strings.TrimSpace(string(data)) == "Y"
}

// MayRaiseLimits tells whether hard limits can be raised and the OOM score lowered.
func (f Facts) MayRaiseLimits() bool {
	return f.Capabilities.Has(unix.CAP_SYS_RESOURCE) && f.InitialUserNamespace
}

// word returns the first field of a file below /proc, or "" where it cannot be read.
func (p *observer) word(name string) string {
	data, err := smallfile.Read(p.proc(name))
	if err != nil {
		p.missed(err)
		return "" // not mounted, or not in this kernel: the fact stays unknown
	}
	fields := strings.Fields(string(data))
	if len(fields) == 0 {
		return ""
	}
	return fields[0]
}

// comm returns the name of a process, or "" where there is none.
func (p *observer) comm(pid int) string { return p.word(strconv.Itoa(pid) + "/comm") }

// nameservers reads what the kernel's own IP configuration left behind (Documentation/admin-guide/nfs/nfsroot.rst).
func (p *observer) nameservers() []string {
	data, err := smallfile.Read(p.proc("net/pnp"))
	if err != nil {
		p.missed(err)
		return nil // a kernel without CONFIG_IP_PNP has no such file
	}
	var servers []string
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "nameserver "); ok {
			if addr := strings.TrimSpace(rest); addr != "0.0.0.0" {
				servers = append(servers, addr)
			}
		}
	}
	return servers
}

func (p *observer) exists(path string) bool {
	_, err := os.Stat(path)
	p.missed(err)
	return err == nil
}
