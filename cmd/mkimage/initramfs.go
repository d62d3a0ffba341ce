package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/dockerlaunch/dockerlaunch/internal/initramfs"
	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// machine builds the initramfs of a machine.
func machine(ctx context.Context, args []string, e env) error {
	var (
		o            rootfs.Options
		kernel, kmod string
		out          string
	)
	f := pflag.NewFlagSet("initramfs", pflag.ContinueOnError)
	f.StringVar(&o.Packages, "packages", "", "`folder` of Debian packages, as scripts/fetch-packages leaves it")
	f.StringVar(&o.Launcher, "launcher", "", "the launcher, a `file`, which becomes /init")
	f.StringVar(&o.Docker, "docker-tgz", "", "take Docker's programs from this `file`, Docker's own static archive")
	f.StringVar(&kernel, "kernel", "", "`folder` with lib/modules of the kernel, as scripts/fetch-qemu leaves it; without it there are no modules")
	f.StringVar(&kmod, "kmod", "", "`folder` of an unpacked kmod package, whose depmod is used; without it, depmod from PATH")
	f.StringVar(&out, "out", "", "the initramfs, a `file`")
	withoutGit := f.Bool("without-git", false, "leave out git, its shell and ssh")
	if done, err := parse(f, args, e); done || err != nil {
		return err
	}
	for _, missing := range []struct{ name, value string }{{"--packages", o.Packages}, {"--launcher", o.Launcher}, {"--out", out}} {
		if missing.value == "" {
			return fmt.Errorf("%w: %s is missing", errUsage, missing.name)
		}
	}
	o.Git, o.Machine, o.Notices = !*withoutGit, true, true
	var err error
	if o.Epoch, err = epoch(e.getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	start := time.Now()
	p := newProgress(e.stderr)
	o.Progress = p.step
	plan, err := rootfs.Plan(ctx, o)
	p.end()
	if err != nil {
		return err
	}
	nodes := initramfs.Machine(plan.Nodes)
	said := "no modules"
	if kernel != "" {
		scratch, err := os.MkdirTemp("", "mkimage-")
		if err != nil {
			return fmt.Errorf("making a folder for the modules: %w", err)
		}
		defer os.RemoveAll(scratch) // in the temporary folder, if it stays
		set, err := initramfs.Modules(ctx, initramfs.ModulesOptions{Kernel: kernel, Kmod: kmod, Wanted: initramfs.WantedModules(), Scratch: scratch})
		if err != nil {
			return err
		}
		nodes = append(nodes, set.Nodes...)
		said = fmt.Sprintf("%d modules of %s, %.1f MiB", len(set.Names), set.Release, float64(set.Size)/(1<<20))
	}
	if err := writeFile(out, func(w io.Writer) error { return initramfs.Write(w, nodes, plan.Epoch) }); err != nil {
		return err
	}
	var unpacked int64
	for _, n := range nodes {
		unpacked += n.Size
	}
	info, err := os.Stat(out)
	if err != nil {
		return fmt.Errorf("looking at the initramfs: %w", err)
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %.1f MiB, which unpack to %.1f MiB; %s; in %.1f s\n",
		out, float64(info.Size())/(1<<20), float64(unpacked)/(1<<20), said, time.Since(start).Seconds())
	return err
}

// writeFile has a file written beside its place, where it appears whole or not at all.
func writeFile(name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	next := name + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(next))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	err = write(w)
	if flushErr := w.Flush(); err == nil {
		err = flushErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(next, name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// cpioFiles writes an archive of single files, to stand behind an initramfs.
func cpioFiles(_ context.Context, args []string, e env) error {
	f := pflag.NewFlagSet("cpio", pflag.ContinueOnError)
	out := f.String("out", "", "the archive, a `file`")
	behind := f.String("behind", "", "write this `file`, an initramfs, before it, so that the result is what a kernel boots into")
	add := f.StringArray("add", nil, "`PATH=SOURCE`: a file or a folder of the host, and where it lies in the machine; may be given more than once")
	if done, err := parse(f, args, e); done || err != nil {
		return err
	}
	if *out == "" || len(*add) == 0 {
		return fmt.Errorf("%w: --out or --add is missing", errUsage)
	}
	var nodes []*rootfs.Node
	for _, pair := range *add {
		target, source, ok := strings.Cut(pair, "=")
		if !ok || target == "" || source == "" {
			return fmt.Errorf("%w: --add %s: want PATH=SOURCE", errUsage, pair)
		}
		some, err := initramfs.Tree(target, source)
		if err != nil {
			return err
		}
		nodes = append(nodes, some...)
	}
	return writeFile(*out, func(w io.Writer) error {
		if *behind != "" {
			if err := copyPadded(w, *behind); err != nil {
				return err
			}
		}
		return initramfs.WritePlain(w, nodes, 0)
	})
}

// copyPadded copies a file, and fills up to the alignment that the kernel's unpacker looks for the next archive at.
func copyPadded(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(w, f)
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, (4-n%4)%4))
	return err
}
