package boot

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/initramfs"
	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

//go:embed init.sh
var initScript []byte

// Parts are what the initramfs is made of, by their paths on the host.
type Parts struct {
	Root     string // a root tree with Docker
	Launcher string
	Busybox  string // a static one
	Probe    string // of this package's folder probe
	Kernel   string // a folder with lib/modules of the kernel
	Kmod     string // an unpacked kmod package
}

// Build writes the initramfs, as `make initramfs` does but for what is measured with, and without compression: under emulation
// unpacking would take longer than all that is compared, and as long for every init. Scratch is a folder for the modules, which
// is the caller's to remove.
func Build(ctx context.Context, out, scratch string, p Parts) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("making the initramfs to boot: %w", err)
		}
	}()
	tree, err := initramfs.Tree("", p.Root)
	if err != nil {
		return err
	}
	var nodes []*rootfs.Node
	for _, n := range tree {
		// The places of what is put beside it, and what a folder that was used may have.
		if !slices.Contains([]string{"usr/bin/dockerlaunch", "usr/bin/busybox", "init"}, n.Path) && !strings.HasPrefix(n.Path, "usr/lib/modules/") {
			nodes = append(nodes, n)
		}
	}
	set, err := initramfs.Modules(ctx, initramfs.ModulesOptions{Kernel: p.Kernel, Kmod: p.Kmod, Wanted: initramfs.WantedModules(), Scratch: scratch})
	if err != nil {
		return err
	}
	nodes = append(nodes, set.Nodes...)
	for path, from := range map[string]string{Launcher: p.Launcher, "/usr/bin/busybox": p.Busybox, "/init": p.Probe} {
		n, err := rootfs.FileNode(strings.TrimPrefix(path, "/"), from, 0o755)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	nodes = append(nodes, rootfs.ContentNode(strings.TrimPrefix(Busybox, "/"), 0o755, initScript))
	for _, dir := range []string{"bench/proc", "var/lib/docker", "var/log"} {
		nodes = append(nodes, &rootfs.Node{Path: dir, Kind: rootfs.KindFolder, Mode: fs.FileMode(0o755)})
	}
	f, err := os.OpenFile(filepath.Clean(out), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(initramfs.WritePlain(f, nodes, 0), f.Close())
}
