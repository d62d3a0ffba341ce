package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"golang.org/x/sys/unix"
)

const (
	// dataDiskLimit bounds the wait for a data disk that was asked for by name; one that is only the default gets less, as most
	// machines without one never had any.
	dataDiskLimit    = 30 * time.Second
	defaultDiskLimit = 3 * time.Second
	// diskPoll is the time between two looks for the data disk while drivers are loaded.
	diskPoll = 50 * time.Millisecond
	// rootLimit bounds the wait for the disk of root=, unless rootwait says otherwise.
	rootLimit = 30 * time.Second
	// newRoot is where the root of a disk is mounted before it becomes the root.
	newRoot = "/run/dockerlaunch/root"
)

// DataDisk finds the disk with the data-root and mounts it.
type DataDisk struct {
	// Spec names the disk, Format is what may be formatted: "blank", or nothing; with Repair the check corrects everything.
	Spec   string `json:"spec"`
	Format string `json:"format,omitempty"`
	Repair bool   `json:"repair,omitempty"`
	Target string `json:"target"`

	wait   time.Duration
	runner storage.Runner
	notice func(string)
	// seeded waits for the random number generator.
	seeded func(context.Context) error
	// settled is closed when the drivers of the devices that were there from the start are loaded.
	settled <-chan struct{}
	// found tells that the data-root lies on a disk.
	found *bool
}

// String tells what Apply does.
func (d DataDisk) String() string { return "mount the disk " + d.Spec + " at " + d.Target }

// Apply waits for the disk, checks its filesystem, mounts it and grows it into a disk that has grown. A blank disk is
// formatted where that was asked for.
func (d DataDisk) Apply(ctx context.Context) (kept bool, err error) {
	spec, err := storage.ParseSpec(d.Spec)
	if err != nil {
		return false, err
	}
	disks, err := d.survey(ctx, spec)
	if err != nil {
		return false, err
	}
	plan := storage.Decide(storage.Request{Spec: spec, FormatBlank: d.Format == "blank", Target: d.Target}, disks)
	if plan.Action == storage.Format {
		if err := d.seeded(ctx); err != nil {
			return false, err
		}
	}
	done, err := storage.Preparer{Runner: d.runner, LoadFilesystem: loadFilesystem, Repair: d.Repair}.Apply(ctx, plan)
	for _, notice := range done.Notices {
		d.notice(notice)
	}
	*d.found = err == nil && done.Disk != ""
	return done.Kept, err
}

// survey waits for the disk: the time that it gets begins when the drivers are loaded, but it may come sooner. Which blank disk
// is the only one shows when all are there.
func (d DataDisk) survey(ctx context.Context, spec storage.Spec) ([]storage.Disk, error) {
	if d.Format != "" {
		if err := within(ctx, d.settled); err != nil {
			return nil, err
		}
	}
	for {
		last := false
		select {
		case <-d.settled:
			last = true
		default:
		}
		wait := d.wait
		if !last {
			wait = 0
		}
		disks, err := storage.Survey(ctx, spec, wait)
		if err != nil || last || slices.ContainsFunc(disks, spec.Matches) {
			return disks, err
		}
		select {
		case <-d.settled:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(diskPoll):
		}
	}
}

// loadFilesystem loads the module of a filesystem.
func loadFilesystem(ctx context.Context, fstype string) error {
	loader, err := openLoader()
	if err != nil {
		return err
	}
	_, err = loader.Load(ctx, "fs-"+fstype)
	return err
}

// disks plans drivers and disks of a machine. Nothing but the data disk waits for drivers.
func (s *supervisor) disks(ctx context.Context) error {
	dataRoot, err := s.dataRoot()
	if err != nil {
		return err
	}
	onDisk, limit := false, programLimit
	if s.config.Repair {
		limit = repairLimit
	}
	p := &Plan{Habitat: host.Machine, lane: LaneSystem}
	settled := s.coldplug(p, false)
	s.boot.settled = settled
	s.startNetwork()
	action := DataDisk{
		Spec: s.config.Data, Format: s.config.Format, Repair: s.config.Repair, Target: dataRoot, wait: dataDiskLimit,
		runner: &programRunner{s.init, []string{"PATH=" + s.config.path()}, s.announce, limit}, found: &onDisk,
		notice: func(text string) { s.config.log().Warn(text) }, seeded: s.seeded, settled: settled,
	}
	step := Step{Name: "data disk", Why: "images and containers outlive a boot only on a disk", Required: true, Verdict: Do}
	switch s.config.Data {
	case "none":
		step.Verdict, step.Required = Skip, false
		step.Note = "none is wanted"
	case "":
		action.Spec, action.wait = storage.DefaultSpec, defaultDiskLimit
		fallthrough
	default:
		step.Action = action
	}
	p.add(step)
	if _, err := s.take(ctx, p); err != nil {
		return err
	}
	b := s.boot
	b.options.StateDir = machine.StateDir(s.config.StateDir, dataRoot, onDisk)
	p = &Plan{Habitat: host.Machine, lane: LaneSystem}
	p.machine(machine.WithDisk(b.options, machine.Observe("")))
	if _, err = s.take(ctx, p); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, coldplugLimit)
	defer cancel()
	_ = within(limited, b.begun) // it goes on beside all else
	return context.Cause(ctx)
}

// dataRoot is where the daemon is going to keep its data.
func (s *supervisor) dataRoot() (string, error) {
	r, err := s.config.request()
	if err != nil {
		return "", err
	}
	e := daemon.Effective{Command: r.command, Args: r.args}
	if r.command.IsDockerd() {
		// What is wrong with the file is told when the daemon's settings are looked at.
		if file, err := daemon.Load(r.args.ConfigFile()); err == nil {
			e.File = file
		}
	}
	path, err := filepath.Abs(e.DataRoot())
	if err != nil {
		return "", fmt.Errorf("data-root %s: %w", e.DataRoot(), err)
	}
	return path, nil
}

// coldplug plans the drivers of the machine's devices, and whether the plan waits for them. What it returns is closed when they are
// loaded.
func (s *supervisor) coldplug(p *Plan, wait bool) <-chan struct{} {
	late := func(err error) {
		if err != nil {
			s.config.log().Warn(err)
		}
	}
	settled := make(chan struct{})
	plug := &PlugDevices{background: s.init.Go, late: late, settled: settled, wait: wait, rest: s.boot.rest.Done()}
	noDisk := s.config.Data == "none"
	plug.later = func(alias string) bool { return mayWait(alias, noDisk) }
	if !wait {
		// containerd is started as soon as it is there.
		plug.before, plug.begun = []string{"overlay"}, s.boot.begun
	}
	step := Step{Name: "coldplug", Why: "disks and network cards need their drivers", Verdict: Do, Action: plug}
	if _, err := os.Stat("/proc/modules"); err != nil {
		step.Verdict, step.Action, step.Note = Skip, nil, "this kernel has no loadable modules"
		close(settled)
		if !wait {
			close(s.boot.begun)
		}
	}
	p.add(step)
	return settled
}

// switchRoot mounts the disk that root= names and makes it the root, and goes on as its init. It returns without an error
// where there is no such disk to switch to: where root= is not given, or / is a disk already.
func (s *supervisor) switchRoot(ctx context.Context) error {
	root := s.boot.line.Root()
	info, err := mounts.Read()
	if err != nil {
		return err
	}
	if root == "" || strings.HasPrefix(root, "/dev/ram") || !(mounts.RootMove{}).Needed(info) {
		return nil
	}
	p := &Plan{Habitat: host.Machine, lane: LaneSystem}
	s.coldplug(p, true) // the modules stay behind in the root that is left
	p.add(Step{
		Name: "root " + root, Why: "root= names it", Required: true, Verdict: Do, Action: &MountRoot{Spec: root, supervisor: s},
	})
	if _, err := s.take(ctx, p); err != nil {
		return err
	}
	init, err := switchTo(s.inits(), func(init string) error {
		_, err := mounts.RootSwitch{NewRoot: newRoot, Init: init}.Switch(ctx)
		return err
	})
	if err != nil {
		return err
	}
	s.flush()
	if err := unix.Exec(init, append([]string{init}, os.Args[1:]...), s.config.Environ); err != nil {
		return fmt.Errorf("executing %s in the root %s: %w", init, root, err)
	}
	return nil
}

// inits are the programs that may go on in the new root: what init= names, or else the launcher where it is usually.
func (s *supervisor) inits() []string {
	if init, ok := s.boot.line.Get("init"); ok && init != "" {
		return []string{init}
	}
	candidates := []string{"/usr/bin/dockerlaunch", "/sbin/init", "/init"}
	if own, err := os.Executable(); err == nil { // without /proc the usual places are all there is
		candidates = append([]string{own}, candidates...)
	}
	return candidates
}

// switchTo switches to the root with the first of the programs that is in it. The switch itself looks for them, as an absolute
// link leads elsewhere in the new root than it does here, and changes nothing where one is missing.
func switchTo(inits []string, try func(init string) error) (string, error) {
	var missing []error
	for _, init := range inits {
		err := try(init)
		if !errors.Is(err, mounts.ErrNoTarget) {
			return init, err
		}
		missing = append(missing, err)
	}
	return "", fmt.Errorf("the root has no init: %w", errors.Join(missing...))
}

// MountRoot mounts the disk that is going to be the root.
type MountRoot struct {
	Spec string `json:"spec"`

	supervisor *supervisor
}

// String tells what Apply does.
func (m *MountRoot) String() string { return "mount the root " + m.Spec }

// Apply waits for the disk and mounts it, read-only unless the kernel command line has rw.
func (m *MountRoot) Apply(ctx context.Context) (kept bool, err error) {
	line := m.supervisor.boot.line
	wait := rootLimit
	forever, limit, waitErr := line.RootWait()
	delay, delayErr := line.RootDelay()
	if err := errors.Join(waitErr, delayErr); err != nil {
		return false, err
	}
	if forever && limit == 0 {
		wait = time.Hour // long enough for a person to plug it in, and yet a bound
	} else if limit > 0 {
		wait = limit
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	spec, err := storage.ParseSpec(m.Spec)
	if err != nil {
		return false, err
	}
	disks, err := storage.Survey(ctx, spec, wait)
	if err != nil {
		return false, err
	}
	var found []storage.Disk
	for _, disk := range disks {
		if spec.Matches(disk) {
			found = append(found, disk)
		}
	}
	switch len(found) {
	case 0:
		return false, fmt.Errorf("no disk is root=%s, after a wait of %v; there are %v", m.Spec, wait, disks)
	case 1:
	default:
		return false, fmt.Errorf("root=%s is to mean one disk, and means %d: %v", m.Spec, len(found), found)
	}
	return false, mountRoot(ctx, found[0], line.RootFSType(), line.RootFlags(), line.RootReadOnly())
}

// mountRoot mounts a disk at newRoot. types are tried in turn; without any, the one that is on the disk is meant.
func mountRoot(ctx context.Context, disk storage.Disk, types, options string, readOnly bool) error {
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return fmt.Errorf("making a place for the root: %w", err)
	}
	if types == "" {
		types = disk.Content.FSType
	}
	var flags uintptr
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	var errs []error
	for _, fstype := range strings.Split(types, ",") {
		err := unix.Mount(disk.Path, newRoot, fstype, flags, options)
		if errors.Is(err, unix.ENODEV) {
			if err = loadFilesystem(ctx, fstype); err == nil {
				err = unix.Mount(disk.Path, newRoot, fstype, flags, options)
			}
		}
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("mount %v at %s as %s with options %q: %w", disk, newRoot, fstype, options, err))
	}
	return errors.Join(errs...)
}
