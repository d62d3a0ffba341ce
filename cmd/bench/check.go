package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench"
)

// checkScript is moby's own check, as Debian's package docker.io has it.
const checkScript = "usr/share/docker.io/contrib/check-config.sh"

// checkBenchmarks compare the check of this machine with the script that it replaces, which looks at the kernel's configuration
// alone.
func (c *config) checkBenchmarks() []bench.Benchmark {
	debs, err := filepath.Glob(filepath.Join(filepath.Dir(c.root), "packages/*/docker.io_*.deb"))
	missing := ""
	if err != nil || len(debs) == 0 {
		missing = "there is no package docker.io below build/packages"
	}
	if _, err := os.Stat("/proc/config.gz"); err != nil && missing == "" {
		missing = "this kernel does not show its configuration, which is all that the script looks at"
	}
	var script string
	return []bench.Benchmark{{
		Name: "check", Says: "check this machine, from fork to end", Runs: 10, Base: "check-config.sh",
		Variants: []bench.Variant{
			{
				Name: "check-config.sh", Missing: missing,
				Prepare: func(ctx context.Context) (err error) {
					script, err = unpackScript(ctx, debs[0])
					return err
				},
				Run: func(context.Context) ([]bench.Figure, error) {
					return verdict("/bin/bash", "bash", script, "/proc/config.gz")
				},
				Cleanup: func(context.Context) error { return os.Remove(script) },
			},
			{Name: "dockerlaunch", Run: func(context.Context) ([]bench.Figure, error) {
				return verdict(c.launcher, "dockerlaunch", "check")
			}},
		},
		Budgets: []bench.Budget{
			{Variant: "dockerlaunch", Figure: "wall", AtMost: 50},
			{Variant: "dockerlaunch", Figure: "wall", Against: "check-config.sh", AtMost: 0.05},
		},
	}}
}

// unpackScript takes the script out of the package.
func unpackScript(ctx context.Context, deb string) (path string, err error) {
	data, err := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb).Output()
	if err != nil {
		return "", fmt.Errorf("unpacking %s: %w", deb, err)
	}
	for r := tar.NewReader(strings.NewReader(string(data))); ; {
		h, err := r.Next()
		if err != nil {
			return "", fmt.Errorf("looking for %s in %s: %w", checkScript, deb, err)
		}
		if strings.TrimPrefix(h.Name, "./") != checkScript {
			continue
		}
		f, err := os.CreateTemp("", "check-config-")
		if err != nil {
			return "", err
		}
		_, err = io.Copy(f, r)
		return f.Name(), errors.Join(err, f.Close())
	}
}

// verdict runs a program that ends with 0 or 1, both of which are answers.
func verdict(path string, argv ...string) ([]bench.Figure, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	begin := time.Now()
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Files: []*os.File{null, null, null}, Env: []string{"PATH=" + os.Getenv("PATH"), "TERM=dumb"}})
	if err != nil {
		return nil, err
	}
	state, err := p.Wait()
	wall := time.Since(begin)
	if err == nil && (!state.Exited() || state.ExitCode() > 1) {
		err = fmt.Errorf("%s: %v", strings.Join(argv, " "), state)
	}
	if err != nil {
		return nil, err
	}
	usage := state.SysUsage().(*syscall.Rusage)
	return []bench.Figure{
		bench.Millis("wall", wall), bench.Millis("cpu", state.UserTime()+state.SystemTime()), {Name: "faults", Unit: "pages", Value: float64(usage.Minflt)},
	}, nil
}
