// Command bench measures dockerlaunch against what people would use in its place, on this machine: `make bench`. It prints a
// table and writes build/bench.json. It needs root, build/rootfs and build/dockerlaunch, and for the comparison with kmod what
// scripts/fetch-qemu unpacks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench"
	"github.com/dockerlaunch/dockerlaunch/internal/bench/habitat"
)

func main() {
	habitat.Init()
	if len(os.Args) == 4 && os.Args[1] == indexWord {
		os.Exit(readIndex(os.Args[2], os.Args[3]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// config is where things are, and what is compared.
type config struct {
	root, launcher, kmod, modules string
	busybox, probe                string
	also                          []string // more root trees
	peers                         []peer
	scratch                       string // a folder that goes at the end
	looked                        []tree
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	c := config{}
	o := bench.Options{Log: stderr}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.root, "root", "build/rootfs", "the root tree with Docker")
	f.StringVar(&c.launcher, "launcher", "build/dockerlaunch", "the launcher")
	f.StringVar(&c.kmod, "kmod", "build/vm/kmod", "the tree with kmod")
	f.StringVar(&c.modules, "modules", "build/vm/kernel-6.12-full/modules", "a folder of modules with its index")
	f.StringVar(&c.busybox, "busybox", "build/vm/busybox/usr/bin/busybox", "a static busybox, for the init that the launcher is compared with")
	f.StringVar(&c.probe, "probe", "build/bin/bench-probe", "internal/bench/boot/probe, built static")
	out := f.String("out", "build/bench.json", "where the report goes, as JSON")
	limit := f.Duration("limit", time.Hour, "end with what was measured after this time")
	list := f.Bool("list", false, "print the benchmarks and their variants, and run nothing")
	f.IntVar(&o.Runs, "runs", 0, "rounds of each benchmark, in place of its own number")
	f.Func("only", "run the benchmarks, and with a / their variants, that match `REGEXP[/REGEXP]`", func(text string) (err error) {
		benchmark, variant, _ := strings.Cut(text, "/")
		if o.Only, err = regexp.Compile(benchmark); err == nil && variant != "" {
			o.Variants, err = regexp.Compile(variant)
		}
		return err
	})
	f.Func("also", "measure starts on this root tree as well, a `folder`; may be repeated", func(text string) error {
		abs, err := filepath.Abs(text)
		c.also = append(c.also, abs)
		return err
	})
	f.Func("peer", "compare another entrypoint, `[NAME=][VARIABLE=VALUE...] PATH [ARG...]`: a program, or FOLDER:PATH for one in a folder that is laid over "+
		"the root tree; its argument is dockerd where none is given; may be repeated, also with a comma", c.addPeers)
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("what is %q? flags are all it takes", f.Args())
	}
	for _, path := range []*string{&c.root, &c.launcher, &c.kmod, &c.modules, &c.busybox, &c.probe, out} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	if *list {
		for _, b := range c.benchmarks() {
			for _, v := range b.Variants {
				fmt.Fprintf(stdout, "%s/%s\t%s\t%s\n", b.Name, v.Name, b.Says, v.Missing)
			}
		}
		return nil
	}
	// Beside the root tree, so that data-roots lie on a disk as they do in earnest, and not on a tmpfs.
	if c.scratch, err = os.MkdirTemp(filepath.Dir(*out), "bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.scratch)) }()
	if err := os.Setenv("TMPDIR", c.scratch); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("they took longer than %v (--limit)", *limit))
	defer cancel()
	versions := c.versions(ctx)
	report, err := bench.Run(ctx, c.benchmarks(), o)
	report.Machine.Versions = versions
	if len(report.Benchmarks) == 0 && err == nil {
		return errors.New("--only matches no benchmark; --list shows them")
	}
	return errors.Join(err, report.WriteTable(stdout), report.WriteJSON(*out))
}

// benchmarks is the registry.
func (c *config) benchmarks() []bench.Benchmark {
	return slices.Concat(c.moduleBenchmarks(), c.checkBenchmarks(), c.launchBenchmarks(), c.manyBenchmarks(), c.bootBenchmarks())
}

// versions asks the programs that are compared.
func (c *config) versions(ctx context.Context) []bench.Version {
	var versions []bench.Version
	add := func(program string, command ...string) {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		text, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err != nil {
			text = "unknown: " + err.Error()
		}
		versions = append(versions, bench.Version{Program: program, Version: text})
	}
	add("commit", "git", "-C", filepath.Dir(c.launcher), "describe", "--always", "--dirty", "--abbrev=12")
	add("dockerlaunch", c.launcher, "version")
	for _, t := range c.trees() {
		for _, program := range []string{"dockerd", "containerd"} {
			add(program+t.suffix, "chroot", t.root, "/usr/bin/"+program, "--version")
		}
	}
	for _, variant := range c.kmodCommand() {
		add("kmod", append(variant, "--version")...)
	}
	for _, p := range c.peers {
		versions = append(versions, bench.Version{Program: p.name, Version: strings.Join(append(p.env, p.argv...), " ")})
	}
	return versions
}
