package machine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
)

// Options are what the user asked for.
type Options struct {
	// Habitat has to be host.Machine: elsewhere nothing is planned, since all of this is somebody else's there.
	Habitat host.Habitat
	// Words is the kernel command line, split into words without their quotes.
	Words []string
	// Hostname is the option's, DHCPHostname the server's; both may be empty.
	Hostname, DHCPHostname string
	// StateDir is where the entropy seed and the time are kept; StateDir (the function) gives it.
	StateDir string
}

// SeedPath is the file of the entropy seed.
func (o Options) SeedPath() string { return filepath.Join(o.stateDir(), "random-seed") }

// ClockPath is the file whose time is the last that the machine knew.
func (o Options) ClockPath() string { return filepath.Join(o.stateDir(), "clock") }

func (o Options) stateDir() string {
	if o.StateDir == "" {
		return DefaultStateDir
	}
	return o.StateDir
}

// Early lists the steps that need /proc, /sys and /dev and nothing else, in order.
func Early(o Options, f Facts) (steps []Step, problems []string) {
	if o.Habitat != host.Machine {
		return nil, nil
	}
	devices := ConsoleDevices(f.Consoles)
	if len(devices) > 0 {
		steps = append(steps, Step{
			Name: "console", Action: OpenConsole{Devices: devices},
			Why:  "where the kernel could not open its console, programs have no standard input, output and error",
			Lost: "what the daemon and the launcher print",
		}, Step{
			Name: "console flow", Action: FreeFlow{Device: devices[len(devices)-1]},
			Why:  "noise that looks like Ctrl-S would stop every program that prints",
			Lost: "nothing, unless a Ctrl-S arrives on the console",
		})
	}
	sysctls, problems := PlanSysctls(o.Words, f.Sysctl)
	steps = append(steps, Step{
		Name: "kernel parameters", Action: sysctls,
		Why:  "containers share the kernel's limits and cannot raise them",
		Lost: "what the message names: the kernel's own values stay",
	})
	name, more := Names{Option: o.Hostname, Etc: f.EtcHostname, DHCP: o.DHCPHostname, Kernel: f.NodeName}.Choose()
	steps = append(steps, Step{
		Name: "host name", Action: SetHostname{Name: name},
		Why:  "docker info and the machine's log name it",
		Lost: "the machine's name",
	})
	return steps, append(problems, more...)
}

// WithDisk lists the steps that read what the last boot left, when the disk of the state folder is mounted.
func WithDisk(o Options, f Facts) []Step {
	if o.Habitat != host.Machine {
		return nil
	}
	why := "certificates are not valid before their time, and the clock may have stopped with the machine"
	if !f.RTC {
		why = "this machine has no clock that runs while it is off, and certificates are not valid before their time"
	}
	return []Step{{
		Name: "clock", Action: Clock{Built: f.Built, File: o.ClockPath()},
		Why:  why,
		Lost: "the time, until a time server tells it",
	}, {
		Name: "entropy seed", Action: Seed{Path: o.SeedPath()},
		Why:  "TLS keys and container IDs wait for entropy, of which a virtual machine has little at first",
		Lost: "entropy of the last boot: random numbers may come later",
	}}
}

// Save keeps what the next boot reads: it belongs into a shutdown, before the disk of the state folder is unmounted. A kernel
// without entropy yet leaves the old seed, which was renewed at this boot.
func Save(ctx context.Context, o Options) error {
	if o.Habitat != host.Machine {
		return nil
	}
	err := Seed{Path: o.SeedPath()}.Save(ctx)
	if errors.Is(err, ErrNoEntropy) {
		err = nil
	}
	return errors.Join(err, Clock{File: o.ClockPath()}.Save(ctx))
}

// KeepSaving calls Save at once and then every so often until ctx ends, so that a power cut loses little. failed hears of the
// errors.
func KeepSaving(ctx context.Context, o Options, every time.Duration, failed func(error)) {
	defer func() {
		if caught := recover(); caught != nil {
			failed(fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught))
		}
	}()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		// One that has begun comes to its end, which is not far.
		if err := Save(context.WithoutCancel(ctx), o); err != nil {
			failed(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// PlanSysctls joins the launcher's table, the files of sysctl.d and what the kernel command line sets, the last counting
// most. What the command line sets by a key of its own is not touched.
func PlanSysctls(words []string, files SysctlFile) (Sysctls, []string) {
	var table []Setting
	for _, s := range DockerSysctls() {
		if s.Name == "kernel/printk_devkmsg" && has(words, "printk.devkmsg") {
			continue // given so, it is locked
		}
		table = append(table, s)
	}
	all := MergeSysctls(SysctlFile{Settings: table}, files, SysctlFile{Settings: CommandLineSysctls(words)})
	return Sysctls{Settings: all.Settings, Excluded: all.Excluded}, all.Problems
}

// has tells whether the kernel command line has a key.
func has(words []string, key string) bool {
	for _, word := range words {
		if word == "--" {
			return false
		}
		if name, _, _ := strings.Cut(word, "="); name == key {
			return true
		}
	}
	return false
}
