// Command mkimage builds what Docker is started from, out of Debian packages: the root tree, images of it, and the
// initramfs of a machine.
//
//	mkimage packages [--suite SUITE] [--without-git] [--docker-tgz FILE]
//	mkimage rootfs --packages DIR --out DIR [--without-git] [--docker-tgz FILE] [--launcher FILE]
//	mkimage rootfs --table --out DIR
//	mkimage image --packages DIR --launcher FILE --out FOLDER [--variants full,minimal] [--docker-tgz FILE] [--version VERSION]
//	mkimage initramfs --packages DIR --launcher FILE --kernel DIR --kmod DIR --out FILE [--without-git] [--docker-tgz FILE]
//	mkimage cpio --out FILE [--behind INITRAMFS] --add PATH=SOURCE...
//	mkimage certs --out DIR [--host NAME,...]
//
// It is a build tool: the launcher does not need it, and no tree holds it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

const usage = `mkimage builds the root tree that Docker runs in, images of it, and the initramfs of a machine.

  mkimage packages [flags]   print the names of the Debian packages to fetch, one per line
  mkimage rootfs [flags]     build the tree from packages, and print what it holds and why
  mkimage image [flags]      build container images: an archive for docker load, an OCI layout and an SBOM
  mkimage initramfs [flags]  build what a machine's kernel boots into, with its modules
  mkimage cpio [flags]       put single files behind an initramfs
  mkimage certs [flags]      make the certificates of a machine and of its clients

mkimage COMMAND --help lists the flags.
`

// errUsage marks an error as the caller's: a wrong word or flag.
var errUsage = errors.New("usage")

type env struct {
	stdout, stderr io.Writer
	getenv         func(string) string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], env{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}))
}

// run is main without the process: the exit status is returned.
func run(ctx context.Context, args []string, e env) int {
	commands := map[string]func(context.Context, []string, env) error{"packages": packages, "rootfs": root, "image": image, "initramfs": machine, "cpio": cpioFiles, "certs": certs}
	if len(args) == 0 {
		fmt.Fprint(e.stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "--help":
		fmt.Fprint(e.stdout, usage)
		return 0
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(e.stderr, "mkimage: unknown command %q\n%s", args[0], usage)
		return exitUsage
	}
	err := command(ctx, args[1:], e)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(e.stderr, "mkimage %s: %v (mkimage %s --help)\n", args[0], err, args[0])
		return exitUsage
	}
	fmt.Fprintf(e.stderr, "mkimage %s: %v\n", args[0], err)
	return exitFailed
}
