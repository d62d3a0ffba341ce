package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench"
	"github.com/dockerlaunch/dockerlaunch/internal/bench/habitat"
	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// readyLimit bounds a start, and stopLimit a stop.
const (
	readyLimit = 2 * time.Minute
	stopLimit  = time.Minute
)

// settle is how long after its daemon's first answer a program's memory is looked at: what it needs to stay, and not what the
// start has left for the next collection.
const settle = 250 * time.Millisecond

// originalName is what a peer is to be called that is the original dockerlaunch, for which there is a budget.
const originalName = "original"

// launchBenchmarks measure one start: up to the daemon's execution, with a stub in its place, and up to its first answer.
func (c *config) launchBenchmarks() []bench.Benchmark {
	main := c.trees()[0]
	launch := bench.Benchmark{
		Name: "launch", Base: "stub", Runs: 30, Warmup: 2,
		Says: "execution of the entrypoint to execution of the daemon, which is a stub, in a container habitat",
		Variants: []bench.Variant{{Name: "stub", Missing: main.missing, Run: c.stubbed(
			c.on(main, entry{argv: []string{"/usr/bin/dockerd"}}))}},
		Budgets: []bench.Budget{{Variant: "dockerlaunch", Figure: "exec", AtMost: 6}},
	}
	for _, e := range c.entries() {
		if !e.daemon {
			s := c.on(main, e)
			launch.Variants = append(launch.Variants, bench.Variant{Name: e.name, Missing: s.missing, Prepare: s.prepare, Run: c.stubbed(s)})
		}
	}
	for _, p := range c.peers {
		if p.name == originalName {
			launch.Budgets = append(launch.Budgets, bench.Budget{Variant: "dockerlaunch", Figure: "exec", Against: p.name, AtMost: 0.25})
		}
	}
	list := []bench.Benchmark{launch}
	for _, t := range c.trees() {
		ready := bench.Benchmark{
			Name: "ready" + t.suffix, Base: "dockerd", Budgets: readyBudgets(t.docker),
			Says: "start to the first good /_ping on the unix socket, and over TLS; SIGTERM to end; memory of PID 1, 250 ms after the answer",
		}
		for _, e := range c.entries() {
			s := c.on(t, e)
			ready.Variants = append(ready.Variants, bench.Variant{Name: e.name, Missing: s.missing, Prepare: s.prepare, Run: c.readied(s)})
		}
		list = append(list, ready)
	}
	return list
}

// readyBudgets go by the age of Docker: the launcher can save more where the daemon waits longer. With TLS the start is
// compared with that of a daemon without.
func readyBudgets(docker int) []bench.Budget {
	ready, tls := 0.35, 0.40
	if docker > 0 && docker < 26 {
		ready, tls = 0.85, 1
	}
	return []bench.Budget{
		{Variant: "dockerlaunch", Figure: "ready", Against: "dockerd", AtMost: ready},
		{Variant: "dockerlaunch-tls-cold", Figure: "ready", Against: "dockerd", AtMost: tls},
		{Variant: "dockerlaunch", Figure: "stop", AtMost: 200},
		{Variant: "dockerlaunch", Figure: "resident", AtMost: 8},
	}
}

// stubbed measures up to the execution of a stub in the daemon's place.
func (c *config) stubbed(s started) func(context.Context) ([]bench.Figure, error) {
	s.options.Files = append(slices.Clone(s.options.Files), sandbox.File{Path: "/usr/bin/dockerd", Mode: 0o755, Data: habitat.Stub()})
	return func(ctx context.Context) (figures []bench.Figure, err error) {
		ctx, cancel := context.WithTimeout(ctx, readyLimit)
		defer cancel()
		l, err := c.begin(ctx, s)
		if err != nil {
			return nil, err
		}
		defer closing(l, &err)
		took, err := l.Stubbed(ctx)
		return []bench.Figure{bench.Millis("exec", took)}, err
	}
}

// readied measures a whole life.
func (c *config) readied(s started) func(context.Context) ([]bench.Figure, error) {
	return func(ctx context.Context) (figures []bench.Figure, err error) {
		ctx, cancel := context.WithTimeout(ctx, readyLimit+stopLimit)
		defer cancel()
		l, err := c.begin(ctx, s)
		if err != nil {
			return nil, err
		}
		defer closing(l, &err)
		ready, err := l.Ready(ctx, time.Millisecond)
		if err != nil {
			return nil, err
		}
		figures = []bench.Figure{bench.Millis("ready", ready)}
		if s.entry.tls != tlsNone {
			tls, err := l.readyTLS(ctx, time.Millisecond)
			if err != nil {
				return nil, fmt.Errorf("%w; the program said:\n%s", err, l.said())
			}
			figures = append(figures, bench.Millis("tls", tls))
		}
		if err := l.kept(); err != nil {
			return nil, err
		}
		time.Sleep(settle)
		resident, err := l.Resident()
		if err != nil {
			return nil, err
		}
		stop, err := l.Stop(ctx)
		if err != nil {
			return nil, err
		}
		return append(figures, bench.Millis("stop", stop), bench.Figure{Name: "resident", Unit: "MiB", Value: float64(resident) / (1 << 20)}), nil
	}
}

// closing adds the error of Close to a function's own.
func closing(l *life, err *error) {
	if closeErr := l.Close(); *err == nil && closeErr != nil {
		*err = fmt.Errorf("removing the habitat: %w", closeErr)
	}
}
