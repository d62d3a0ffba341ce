package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"github.com/dockerlaunch/dockerlaunch/launch/sockets"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"golang.org/x/sys/unix"
)

// Facts is all that a plan is made from beside the Config. It is plain data: a plan can be made from facts that were
// captured elsewhere.
type Facts struct {
	Host host.Facts `json:"host"`
	// Mounts tells for each target of the mount table what stands there.
	Mounts map[string]mounts.State `json:"mounts"`
	// ProcMounted tells whether /proc is there; without it most of the other facts are not known.
	ProcMounted bool `json:"proc_mounted"`
	// RootShared tells whether / and all mounts on it propagate.
	RootShared bool          `json:"root_shared"`
	Cgroups    cgroups.Facts `json:"cgroups"`
	// Standing names the device nodes and links that are there and right, Wrong tells of those that something else is in
	// the place of.
	Standing map[string]bool   `json:"standing"`
	Wrong    map[string]string `json:"wrong,omitempty"`
	// Files tells for each file and folder that Docker expects what stands there.
	Files    map[string]files.State `json:"files"`
	Programs preflight.Found        `json:"programs"`
	// IPTables is what decides which variant of iptables is used.
	IPTables iptables.Facts `json:"iptables"`
	// ContainerdRuns tells whether a containerd answers where dockerd looks for one before it starts its own.
	ContainerdRuns bool `json:"containerd_runs"`
	// ModuleIndex tells whether there is a folder of modules for the running kernel.
	ModuleIndex bool `json:"module_index"`
	// Modules tells which kernel modules are loaded or built in, as far as the kernel says so.
	Modules map[string]bool `json:"modules,omitempty"`
	// SpareCABundle tells whether preflight.SpareCABundle is there.
	SpareCABundle bool `json:"spare_ca_bundle"`
	// Network is the network namespace.
	Network network.Facts `json:"network"`
	// Certificates is what is there of the API's certificates.
	Certificates CertificateFacts `json:"certificates,omitzero"`
	// Executable is the launcher's own program.
	Executable string      `json:"executable,omitempty"`
	Daemon     DaemonFacts `json:"daemon"`
}

// CertificateFacts is what is known of the certificates that the API is to have.
type CertificateFacts struct {
	// Plan tells what is to be done about them; nil where nobody asks for any.
	Plan *certs.Plan `json:"plan,omitempty"`
	// Err is why nothing can be done.
	Err error `json:"-"`
}

// DaemonFacts is what is known of the daemon that is to be started.
type DaemonFacts struct {
	// Path is where the program was found.
	Path string `json:"path"`
	// Problem tells why it cannot be executed, nil where it can.
	Problem *ExecError `json:"-"`
	// Version is its version, where that is written down somewhere; the zero Version where nothing tells without running it.
	Version daemon.Version `json:"version,omitzero"`
	// Config is its daemon.json, ConfigErr why that cannot be read.
	Config    daemon.Config `json:"-"`
	ConfigErr error         `json:"-"`
	// DataRoot is what stands at the data-root.
	DataRoot files.State `json:"data_root"`
	// DataRootFile tells that something that is no folder stands at the data-root.
	DataRootFile bool `json:"data_root_file,omitempty"`
	// DataRootFS is the filesystem that the data-root lies on, or will lie on; "" where unknown.
	DataRootFS string `json:"data_root_fs"`
	// DataRootWritable tells whether images can be stored there.
	DataRootWritable bool `json:"data_root_writable"`
	// PriorDrivers are the storage drivers that have data in the data-root.
	PriorDrivers []string `json:"prior_drivers,omitempty"`
	// ContainerdAnswers tells that the containerd of an earlier launch still answers.
	ContainerdAnswers bool `json:"containerd_answers,omitempty"`
	// PIDFiles are PID files of an earlier daemon.
	PIDFiles []daemon.PIDFile `json:"pid_files,omitempty"`
}

// Observe reads the facts that a plan for this Config needs. It changes nothing.
func Observe(c Config) (Facts, error) {
	r, err := c.request()
	if err != nil {
		return Facts{}, err
	}
	path := host.Folders(c.path())
	var f Facts
	info, table, err := f.observeBase()
	if err != nil {
		return f, err
	}
	f.observeStanding()
	f.RootShared = mounts.Propagation{Target: "/"}.StandsIn(info)
	// Which hierarchies there are is read from /proc.
	if f.ProcMounted = !info.Empty(); f.ProcMounted {
		if f.Cgroups, err = cgroups.Observe(cgroups.Paths{Table: table}); err != nil {
			return f, err
		}
	}
	if f.Files, err = observeFiles(); err != nil {
		return f, err
	}
	f.Programs = preflight.Look(preflight.Table(), path)
	if f.IPTables, err = iptables.Observe("", path); err != nil {
		return f, err
	}
	if f.ContainerdRuns, err = sockets.Answers(daemon.SystemContainerd); err != nil {
		return f, err
	}
	if f.Host.LoadableModules {
		if f.Modules, err = observeModules(); err != nil {
			return f, err
		}
		if f.ModuleIndex, err = moduleIndex(); err != nil {
			return f, err
		}
	}
	if err = f.observeLegacy(); err != nil {
		return f, err
	}
	f.SpareCABundle = preflight.FileExists(preflight.SpareCABundle)
	if f.Network, err = network.Observe(); err != nil {
		return f, err
	}
	if f.Executable, err = os.Executable(); err != nil && f.ProcMounted {
		return f, fmt.Errorf("looking for the launcher's own program: %w", err)
	}
	if f.Daemon, err = observeDaemon(r, path, info); err != nil {
		return f, err
	}
	f.Certificates = observeCertificates(c, daemon.Effective{Command: r.command, Args: r.args, File: f.Daemon.Config}, f.Network)
	return f, nil
}

// observeBase reads the facts that the first steps of a machine need, before most others can be known.
func (f *Facts) observeBase() (info mounts.Info, table []byte, err error) {
	if f.Host, err = host.Observe(host.Paths{}); err != nil {
		return info, nil, err
	}
	info, table, err = mounts.ReadText()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return info, nil, err // a /proc that is not mounted yet, or cannot be, is one of the facts
	}
	f.Mounts, err = observeMounts(info)
	return info, table, err
}

func observeMounts(info mounts.Info) (map[string]mounts.State, error) {
	states := map[string]mounts.State{}
	for _, m := range append(mounts.Base(), mounts.Rest()...) {
		state, err := mounts.Observe(m.Target, info)
		if err != nil {
			return nil, err
		}
		states[m.Target] = state
	}
	return states, nil
}

// observeStanding asks each device and link whether anything is to be done about it.
func (f *Facts) observeStanding() {
	f.Standing, f.Wrong = map[string]bool{}, map[string]string{}
	see := func(path string, thing interface {
		Look() (stands bool, wrong error)
	}) {
		var wrong error
		if f.Standing[path], wrong = thing.Look(); wrong != nil {
			f.Wrong[path] = wrong.Error()
		}
	}
	for _, d := range mounts.Devices("/dev") {
		see(d.Path, d)
	}
	for _, l := range mounts.Links("/dev") {
		see(l.Path, l)
	}
	v := mounts.NewVarRun()
	see(v.Path, v)
}

func observeFiles() (map[string]files.State, error) {
	bundle := files.File{Path: "/" + preflight.CABundle}
	states := map[string]files.State{}
	for _, f := range append(files.Expected(nil), bundle) {
		state, err := f.Observe()
		if err != nil {
			return nil, err
		}
		states[f.Path] = state
	}
	for _, d := range files.Folders() {
		state, err := files.Observe(d.Path)
		if err != nil {
			return nil, err
		}
		states[d.Path] = state
	}
	return states, nil
}

func observeDaemon(r request, path string, info mounts.Info) (DaemonFacts, error) {
	var f DaemonFacts
	f.Path, f.Problem = findDaemon(r.command, path)
	if r.command.IsDockerd() {
		f.Config, f.ConfigErr = daemon.Load(r.args.ConfigFile())
		f.Version = daemon.VersionFiles{}.Known(f.Path)
	}
	effective := daemon.Effective{Command: r.command, Args: r.args, File: f.Config}
	dataRoot, err := filepath.Abs(effective.DataRoot())
	if err != nil {
		return f, fmt.Errorf("data-root %s: %w", effective.DataRoot(), err)
	}
	state, err := mounts.Observe(dataRoot, info)
	if err != nil {
		return f, err
	}
	f.DataRootFS, f.DataRootWritable = state.FSType, state.Writable
	f.DataRootFile = state.Kind == mounts.KindOther
	if f.DataRoot, err = files.Observe(dataRoot); err != nil {
		return f, err
	}
	if r.command.IsDockerd() {
		if f.DataRoot == files.Present {
			f.PriorDrivers = storage.PriorDrivers(dataRoot)
		}
		if f.ContainerdAnswers, err = sockets.Answers(effective.ManagedContainerd("").Address); err != nil {
			return f, err
		}
	}
	f.PIDFiles, err = daemon.ObservePIDFiles(effective)
	return f, err
}

// findDaemon looks the daemon up as a shell would. Where an old command line named docker, the dockerd beside it is
// meant, or the one in PATH.
func findDaemon(command daemon.Command, path string) (string, *ExecError) {
	found, err := host.Look(command.Path, path)
	if err != nil && command.Fallback != "" && errors.Is(err, fs.ErrNotExist) {
		found, err = host.Look(command.Fallback, path)
	}
	if err != nil {
		return "", &ExecError{Daemon: command.Path, Err: err}
	}
	return found, nil
}
