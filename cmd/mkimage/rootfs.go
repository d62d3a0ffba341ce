package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// parse reads a command's flags. done says that help was asked for and given.
func parse(f *pflag.FlagSet, args []string, e env) (done bool, err error) {
	f.SetOutput(io.Discard)
	f.SortFlags = false
	err = f.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(e.stdout, "mkimage %s:\n%s", f.Name(), f.FlagUsages())
		return true, nil
	}
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unexpected word %q", f.Arg(0))
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUsage, err)
	}
	return false, nil
}

// packages prints the names of the packages that scripts/fetch-packages is to bring.
func packages(_ context.Context, args []string, e env) error {
	f := pflag.NewFlagSet("packages", pflag.ContinueOnError)
	suite := f.String("suite", "trixie", "Debian `suite` whose names to print")
	withoutGit := f.Bool("without-git", false, "leave out git, its shell and ssh")
	docker := f.String("docker-tgz", "", "Docker's programs come from this `file`, Docker's own static archive")
	if done, err := parse(f, args, e); done || err != nil {
		return err
	}
	for _, name := range rootfs.PackageNames(*suite, !*withoutGit, *docker != "") {
		fmt.Fprintln(e.stdout, name)
	}
	return nil
}

// root builds the tree, or prints the table of one that is there.
func root(ctx context.Context, args []string, e env) error {
	var o rootfs.Options
	f := pflag.NewFlagSet("rootfs", pflag.ContinueOnError)
	f.StringVar(&o.Packages, "packages", "", "`folder` of Debian packages, as scripts/fetch-packages leaves it")
	f.StringVar(&o.Out, "out", "", "the tree, a `folder`; an old one is replaced with all that is in it")
	f.StringVar(&o.Docker, "docker-tgz", "", "take Docker's programs from this `file`, Docker's own static archive")
	f.StringVar(&o.Launcher, "launcher", "", "put this `file` into the tree as /"+rootfs.LauncherPath)
	withoutGit := f.Bool("without-git", false, "leave out git, its shell and ssh")
	table := f.Bool("table", false, "only print what the tree that is there holds")
	if done, err := parse(f, args, e); done || err != nil {
		return err
	}
	if o.Out == "" {
		return fmt.Errorf("%w: --out is missing", errUsage)
	}
	if *table {
		m, err := rootfs.ReadManifest(o.Out)
		if err != nil {
			return err
		}
		return m.WriteTable(e.stdout)
	}
	if o.Packages == "" {
		return fmt.Errorf("%w: --packages is missing", errUsage)
	}
	o.Git = !*withoutGit
	var err error
	if o.Epoch, err = epoch(e.getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	if o.Builder, err = self(); err != nil {
		return err
	}
	p := newProgress(e.stderr)
	o.Progress = p.step
	start := time.Now()
	result, err := rootfs.Build(ctx, o)
	p.end()
	if err != nil {
		return err
	}
	if err := result.Manifest.WriteTable(e.stdout); err != nil {
		return err
	}
	what := "built"
	if result.Kept {
		what = "unchanged"
	}
	fmt.Fprintf(e.stdout, "%s: %s in %.1f s\n", o.Out, what, time.Since(start).Seconds())
	return nil
}

// epoch reads SOURCE_DATE_EPOCH; see https://reproducible-builds.org/specs/source-date-epoch/.
func epoch(value string) (int64, error) {
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || n > 1<<33 {
		return 0, fmt.Errorf("%w: SOURCE_DATE_EPOCH is %q, which is no number of seconds since 1970", errUsage, value)
	}
	return n, nil
}

// self hashes this program, so that a tree is built anew when the program has changed.
func self() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding mkimage itself: %w", err)
	}
	file, err := os.Open(exe)
	if err != nil {
		return "", fmt.Errorf("reading mkimage itself: %w", err)
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", fmt.Errorf("reading mkimage itself: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
