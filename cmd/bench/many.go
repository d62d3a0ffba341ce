package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench"
	"github.com/dockerlaunch/dockerlaunch/internal/bench/habitat"
)

// manyBenchmarks start several daemons at the same moment, each in namespaces of its own.
func (c *config) manyBenchmarks() []bench.Benchmark {
	var list []bench.Benchmark
	for _, n := range []int{1, 10, 50} {
		b := bench.Benchmark{
			Name: fmt.Sprintf("many-%d", n), Says: fmt.Sprintf("%d daemons started at once: until the last answers, by daemon", n),
			Base: "dockerd", Runs: 15,
			Budgets: []bench.Budget{
				{Variant: "dockerlaunch", Figure: "each", Against: "dockerd", AtMost: 1.1},
				{Variant: "dockerlaunch", Figure: "failed", AtMost: 0},
			},
		}
		if n > 1 {
			b.Runs = 3
		}
		for _, e := range c.entries() {
			if e.tls != tlsNone || e.needs != "" {
				continue // which differ by what one start shows as well
			}
			s := c.on(c.trees()[0], e)
			b.Variants = append(b.Variants, bench.Variant{Name: e.name, Missing: s.missing, Prepare: s.prepare, Run: startedAtOnce(s.options, n)})
		}
		list = append(list, b)
	}
	return list
}

// startedAtOnce measures n starts at once.
func startedAtOnce(o habitat.Options, n int) func(context.Context) ([]bench.Figure, error) {
	return func(ctx context.Context) (figures []bench.Figure, err error) {
		ctx, cancel := context.WithTimeout(ctx, readyLimit+time.Duration(n)*10*time.Second)
		defer cancel()
		gate, open, err := habitat.Gate()
		if err != nil {
			return nil, err
		}
		o := o
		o.Gate = gate
		habitats, err := startAll(ctx, o, n)
		defer func() { err = errors.Join(err, closeAll(habitats)) }()
		// Opened also after an error, for those that wait.
		if err := errors.Join(err, open()); err != nil {
			return nil, err
		}
		// Who asks fifty daemons every millisecond takes their processor from them.
		interval := time.Duration(n) * time.Millisecond
		took, errs := make([]time.Duration, n), make([]error, n)
		var asking sync.WaitGroup
		for i, h := range habitats {
			asking.Go(func() { took[i], errs[i] = h.Ready(ctx, interval) })
		}
		asking.Wait()
		var last time.Duration
		failed := 0
		for i := range n {
			last = max(last, took[i])
			if errs[i] != nil {
				failed++
			}
		}
		if failed == n {
			return nil, errors.Join(errs...)
		}
		return []bench.Figure{
			bench.Millis("each", last/time.Duration(n)), bench.Millis("last", last), {Name: "failed", Unit: "daemons", Value: float64(failed)},
		}, nil
	}
}

// startAll prepares habitats; those that it made are returned also with an error.
func startAll(ctx context.Context, o habitat.Options, n int) ([]*habitat.Habitat, error) {
	var habitats []*habitat.Habitat
	for range n {
		h, err := habitat.Start(ctx, o)
		if err != nil {
			return habitats, err
		}
		habitats = append(habitats, h)
	}
	return habitats, nil
}

func closeAll(habitats []*habitat.Habitat) error {
	errs := make([]error, len(habitats))
	var closing sync.WaitGroup
	for i, h := range habitats {
		closing.Go(func() { errs[i] = h.Close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}
