package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench"
	"github.com/dockerlaunch/dockerlaunch/internal/bench/habitat"
	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// entry is a way to start the daemon in a container. The table is the place for more of them.
type entry struct {
	name string
	argv []string
	// needs is a flag that this launcher must have; the entry is left out where its help does not name it.
	needs string
	tls   bool // /certs is there, with a certificate of the daemon's
	// daemon tells that argv is the daemon itself, for which there is nothing to measure with a stub.
	daemon bool
}

var entries = []entry{
	{name: "dockerd", argv: []string{"/usr/bin/dockerd"}, daemon: true},
	{name: "dockerd-tls", daemon: true, tls: true, argv: []string{
		"/usr/bin/dockerd", "-H", "unix:///var/run/docker.sock", "-H", "tcp://0.0.0.0:2376", "--tlsverify",
		"--tlscacert=/certs/ca.pem", "--tlscert=/certs/cert.pem", "--tlskey=/certs/key.pem",
	}},
	{name: "dockerlaunch", argv: []string{sandbox.LauncherPath}},
	{name: "dockerlaunch-exec", argv: []string{sandbox.LauncherPath, "--exec"}, needs: "--exec"},
}

// readyLimit bounds a start, and stopLimit a stop.
const (
	readyLimit = 2 * time.Minute
	stopLimit  = time.Minute
)

// launchBenchmarks measure one start: up to the daemon's execution, with a stub in its place, and up to its first answer.
func (c *config) launchBenchmarks() []bench.Benchmark {
	launch := bench.Benchmark{
		Name: "launch", Base: "stub", Runs: 30, Warmup: 2,
		Says:     "execution of the entrypoint to execution of the daemon, which is a stub, in a container habitat",
		Variants: []bench.Variant{{Name: "stub", Run: c.stubbed(habitat.Options{Argv: []string{"/usr/bin/dockerd"}})}},
		Budgets:  []bench.Budget{{Variant: "dockerlaunch", Figure: "exec", AtMost: 6}},
	}
	ready := bench.Benchmark{
		Name: "ready", Base: "dockerd",
		Says:    "start to the first good /_ping on the unix socket, SIGTERM to end, memory of PID 1",
		Budgets: c.readyBudgets(),
	}
	for _, e := range c.entries() {
		o, missing := c.habitat(e)
		if !e.daemon {
			launch.Variants = append(launch.Variants, bench.Variant{Name: e.name, Missing: missing, Run: c.stubbed(o)})
		}
		ready.Variants = append(ready.Variants, bench.Variant{Name: e.name, Missing: missing, Run: c.readied(o)})
	}
	for _, p := range c.peers {
		launch.Budgets = append(launch.Budgets, bench.Budget{Variant: "dockerlaunch", Figure: "exec", Against: p.name, AtMost: 0.25})
	}
	return []bench.Benchmark{launch, ready}
}

// entries are the table's and the peers.
func (c *config) entries() []entry {
	list := slices.Clone(entries)
	for _, p := range c.peers {
		list = append(list, entry{name: p.name, argv: append([]string{"/usr/bin/entrypoint-of-" + p.name}, p.argv[1:]...)})
	}
	return list
}

// habitat is where an entry runs; missing says why it cannot.
func (c *config) habitat(e entry) (o habitat.Options, missing string) {
	o = habitat.Options{Argv: e.argv}
	if e.needs != "" && !strings.Contains(c.help(), e.needs) {
		missing = "this launcher has no " + e.needs
	}
	for _, p := range c.peers {
		if p.name == e.name {
			data, err := os.ReadFile(p.argv[0])
			if err != nil {
				missing = err.Error()
			}
			o.Files = append(o.Files, sandbox.File{Path: e.argv[0], Mode: 0o755, Data: data})
		}
	}
	if e.tls {
		files, err := certificates()
		if err != nil {
			missing = err.Error()
		}
		o.Files = append(o.Files, files...)
	}
	return o, missing
}

func (c *config) help() string {
	out, err := exec.Command(c.launcher, "help").Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// readyBudgets go by the age of Docker: the launcher can save more where the daemon waits longer.
func (c *config) readyBudgets() []bench.Budget {
	ready := 0.35
	out, err := exec.Command("chroot", c.root, "/usr/bin/dockerd", "--version").Output()
	if m := regexp.MustCompile(`version (\d+)\.`).FindSubmatch(out); err == nil && m != nil && string(m[1]) < "26" {
		ready = 0.85
	}
	return []bench.Budget{
		{Variant: "dockerlaunch", Figure: "ready", Against: "dockerd", AtMost: ready},
		{Variant: "dockerlaunch", Figure: "stop", AtMost: 200},
		{Variant: "dockerlaunch", Figure: "resident", AtMost: 8},
	}
}

func (c *config) start(ctx context.Context, o habitat.Options) (*habitat.Habitat, error) {
	o.Root, o.Launcher = c.root, c.launcher
	return habitat.Start(ctx, o)
}

// stubbed measures up to the execution of a stub in the daemon's place.
func (c *config) stubbed(o habitat.Options) func(context.Context) ([]bench.Figure, error) {
	o.Files = append(slices.Clone(o.Files), sandbox.File{Path: "/usr/bin/dockerd", Mode: 0o755, Data: habitat.Stub()})
	return func(ctx context.Context) (figures []bench.Figure, err error) {
		ctx, cancel := context.WithTimeout(ctx, readyLimit)
		defer cancel()
		h, err := c.start(ctx, o)
		if err != nil {
			return nil, err
		}
		defer closing(h, &err)
		took, err := h.Stubbed(ctx)
		return []bench.Figure{bench.Millis("exec", took)}, err
	}
}

// readied measures a whole life.
func (c *config) readied(o habitat.Options) func(context.Context) ([]bench.Figure, error) {
	return func(ctx context.Context) (figures []bench.Figure, err error) {
		ctx, cancel := context.WithTimeout(ctx, readyLimit+stopLimit)
		defer cancel()
		h, err := c.start(ctx, o)
		if err != nil {
			return nil, err
		}
		defer closing(h, &err)
		ready, err := h.Ready(ctx, time.Millisecond)
		if err != nil {
			return nil, err
		}
		resident, err := h.Resident()
		if err != nil {
			return nil, err
		}
		stop, err := h.Stop(ctx)
		if err != nil {
			return nil, err
		}
		return []bench.Figure{
			bench.Millis("ready", ready), bench.Millis("stop", stop), {Name: "resident", Unit: "MiB", Value: float64(resident) / (1 << 20)},
		}, nil
	}
}

// closing adds the error of Close to a function's own.
func closing(h *habitat.Habitat, err *error) {
	if closeErr := h.Close(); *err == nil && closeErr != nil {
		*err = fmt.Errorf("removing the habitat: %w", closeErr)
	}
}
