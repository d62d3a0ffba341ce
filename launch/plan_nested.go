package launch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	ociruntime "github.com/dockerlaunch/dockerlaunch/launch/runtime"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
)

// runtimeDir is where the link lies by which the launcher stands in front of runc.
const runtimeDir = "/run/dockerlaunch/bin"

// ociRuntime plans the wrapper that takes capabilities out of containers which nobody here can give: without it every
// `docker run --privileged` fails.
func (p *Plan) ociRuntime(c Config, e daemon.Effective, f Facts) {
	if !e.Command.IsDockerd() {
		return
	}
	missing := ociruntime.Needed(f.Host.Bounding, f.Host.LastCapability)
	if len(missing) == 0 {
		return
	}
	s := Step{Name: "OCI runtime", Why: "docker run --privileged asks for every capability"}
	link := ociruntime.Link{Dir: runtimeDir, Launcher: f.Executable}
	switch {
	case c.NoRuntimeWrapper:
		s.Verdict = Warn
		s.Note = "the bounding set lacks " + strings.Join(missing, ", ") + ", and --no-runtime-wrapper is given. Lost: docker run --privileged"
	case f.Executable == "":
		s.Verdict, s.Note = Warn, "the launcher's own program is not to be found. Lost: docker run --privileged, as the bounding set lacks "+strings.Join(missing, ", ")
	default:
		s.Verdict, s.Action = Do, link
		s.Note = "containers go without " + strings.Join(missing, ", ") + ", which nobody here can give"
		p.inFront = append(p.inFront, pathFolder{link.Dir, "the launcher stands in front of runc, to take out capabilities that cannot be given"})
	}
	p.add(s)
}

// reaping answers the variable by which the first dockerlaunch was told to stay the daemon's parent.
func (p *Plan) reaping(c Config) {
	const name = "DOCKER_LAUNCH_REAP"
	if value := c.getenv(name); c.Exec && DebugWanted(value) {
		p.add(Step{
			Name: name, Why: "somebody has to wait for the processes that Docker's own leave behind", Verdict: Warn,
			Note: name + "=" + value + " and --exec contradict each other, and --exec counts. Lost: the reaping, where no other init does it",
		})
	}
}

// LockDataRoot keeps a second launcher off the data-root.
type LockDataRoot struct {
	Root string `json:"root"`

	lock *heldLock
	// inherit has the lock outlive this program, for the daemon that takes its place.
	inherit bool
}

// heldLock holds the lock for as long as the daemon runs: a lock that nobody refers to would be given back by the
// garbage collector, which closes its file.
type heldLock struct{ lock *storage.Lock }

// String tells what Apply does.
func (l LockDataRoot) String() string { return "lock " + filepath.Join(l.Root, storage.LockName) }

// Apply takes the lock; it does not wait for one who has it.
func (l LockDataRoot) Apply(context.Context) (kept bool, err error) {
	lock, err := storage.LockDataRoot(l.Root)
	if err != nil {
		return false, err
	}
	l.lock.lock = lock
	if l.inherit {
		return false, lock.Inherit()
	}
	return false, nil
}

// SetAside renames the files that a power cut left empty and that would keep dockerd from starting.
type SetAside struct {
	Root  string   `json:"root"`
	Files []string `json:"files"`
}

// String tells what Apply does.
func (s SetAside) String() string {
	return "look for files in " + s.Root + " that a power cut left empty"
}

// Apply renames them; what it found is told as a warning.
func (s SetAside) Apply(context.Context) (kept bool, err error) {
	found, err := storage.SetAside(s.Root, time.Now(), s.Files...)
	if len(found) == 0 && err == nil {
		return true, nil
	}
	errs := make([]error, 0, len(found)+1)
	for _, aside := range found {
		errs = append(errs, errors.New(aside.String()))
	}
	return false, errors.Join(append(errs, err)...)
}

// dataRoot plans what is done in the data-root before the daemon gets it.
func (p *Plan) dataRoot(c Config, e daemon.Effective, root string) {
	if !e.Command.IsDockerd() {
		return
	}
	p.lock = &heldLock{}
	p.add(Step{
		Name: "data-root lock", Why: "two daemons on one data-root destroy it", Required: true, Verdict: Do,
		Action: LockDataRoot{Root: root, lock: p.lock, inherit: c.Exec},
	})
	p.add(Step{
		Name: "files left empty", Why: "dockerd does not start where a power cut left one of its files empty", Verdict: Do,
		Action: SetAside{Root: root, Files: besideDataRoot(e)},
	})
}

// besideDataRoot lists the files outside of the data-root that keep dockerd from starting where they are empty. A daemon.json that the
// user names stays: without it dockerd does not start either.
func besideDataRoot(e daemon.Effective) []string {
	list := []string{"/etc/docker/key.json"}
	if path, named := e.Args.ConfigFile(); !named {
		list = append(list, path)
	}
	return list
}

// networkDefaults is what the daemon's networks are to be like, given the one around it.
func networkDefaults(habitat host.Habitat, e daemon.Effective, f network.Facts) (d daemon.NetworkDefaults) {
	if habitat == host.Host {
		return d // a person's host has dockerd's own defaults
	}
	if f.MTU > 0 && f.MTU < 1500 {
		d.MTU = f.MTU
	}
	d.NoIPv6 = !f.IPv6
	if habitat == host.Container {
		for _, server := range f.DNS().Servers {
			d.DNS = append(d.DNS, server.String())
		}
	}
	pools := network.ChoosePools(f)
	if pools.Why != "" {
		d.PoolsWhy = pools.Why
		if pools.BIP.IsValid() {
			d.BIP = pools.BIP.String()
		}
		for _, pool := range pools.Defaults {
			d.Pools = append(d.Pools, pool.String())
		}
	}
	return d
}

// networkNotes are what a person should know of the choices for the daemon's networks.
func (p *Plan) networkNotes(f network.Facts) {
	if warning := network.ChoosePools(f).Warning; warning != "" {
		p.add(Step{Name: "address pools", Why: "Docker's networks must not hide others", Verdict: Warn, Note: warning})
	}
	if choice := f.DNS(); choice.Source != resolv.Daemon && p.Habitat == host.Container {
		s := Step{Name: "name servers", Why: "containers cannot reach a resolver on a loopback address", Verdict: Keep, Note: choice.Why}
		if choice.Source == resolv.None {
			s.Verdict = Warn
		}
		p.add(s)
	}
	if f.ResolvErr != "" {
		p.add(Step{Name: "resolv.conf", Verdict: Warn, Note: fmt.Sprintf("%s. Lost: the choice of resolvers for containers", f.ResolvErr)})
	}
}

// bridge plans the bridge of which the user gives both name and address. dockerd refuses the two together, as it is to find
// the bridge as it is: so the launcher makes it, and dockerd gets the name alone.
func (p *Plan) bridge(e *daemon.Effective, f network.Facts) {
	name, named := e.Args.Value("bridge")
	bip, addressed := e.Args.Value("bip")
	if !e.Command.IsDockerd() || !named || !addressed || name == "none" {
		return
	}
	s := Step{Name: "bridge " + name, Why: "the default network's containers are on it", Required: true}
	address, err := netip.ParsePrefix(bip)
	b := network.Bridge{Name: name, Address: address}
	if mtu, ok := e.Args.Value("mtu"); ok && err == nil {
		b.MTU, err = strconv.Atoi(mtu)
	}
	stands := false
	if err == nil {
		err = b.Check()
	}
	if err == nil {
		stands, err = b.Observe(f)
	}
	switch {
	case err != nil:
		s.Verdict, s.Note = Refuse, fmt.Sprintf("--bridge %s --bip %s: %v", name, bip, err)
	case stands:
		s.Verdict, s.Note = Keep, "it is there, with the address "+bip
	default:
		s.Verdict, s.Action = Do, b
	}
	p.add(s)
	e.Command.Args = daemon.Without(e.Command.Args, "bip")
	e.Args = daemon.ParseArgs(e.Command.Args)
}
