package initramfs

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// consoleNode is what the kernel opens as standard input and output of PID 1, before anything is mounted. See init/main.c,
// console_on_rootfs, and Documentation/admin-guide/devices.txt. nullNode is what the Go runtime opens in its place, before
// main, where the kernel has no console; without it a Go PID 1 ends there (checkfds in runtime/fds_unix.go).
var (
	consoleNode = cpio.CharDev("dev/console", 0o600, 5, 1)
	nullNode    = cpio.CharDev("dev/null", 0o666, 1, 3)
)

// initLinks are the names by which the kernel and people call the launcher on a machine.
var initLinks = []rootfs.Link{
	{Path: "init", Target: rootfs.LauncherPath},
	{Path: "usr/sbin/init", Target: "../bin/dockerlaunch"},
	{Path: "usr/sbin/poweroff", Target: "../bin/dockerlaunch"},
	{Path: "usr/sbin/reboot", Target: "../bin/dockerlaunch"},
	{Path: "usr/sbin/halt", Target: "../bin/dockerlaunch"},
}

// Machine adds to the nodes of a tree what makes it a machine's: the launcher as /init, and under the names of its power
// commands.
func Machine(nodes []*rootfs.Node) []*rootfs.Node {
	out := slices.Clone(nodes)
	for _, l := range initLinks {
		out = append(out, &rootfs.Node{Path: l.Path, Kind: rootfs.KindLink, Mode: 0o777, Target: l.Target})
	}
	return out
}

// Write writes the nodes as a compressed archive, with a console and with the folders that nodes lie in. Every time in it
// is epoch, in seconds since 1970, and everything is root's.
func Write(w io.Writer, nodes []*rootfs.Node, epoch int64) error {
	// One goroutine: with more, the encoder's work is parted by how fast they are.
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("compressing the initramfs: %w", err)
	}
	if err := WritePlain(z, nodes, epoch); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compressing the initramfs: %w", err)
	}
	return nil
}

// WritePlain is Write without compression. What it writes may stand behind another archive.
func WritePlain(w io.Writer, nodes []*rootfs.Node, epoch int64) error {
	records := map[string]cpio.Record{consoleNode.Name: consoleNode, nullNode.Name: nullNode}
	for _, n := range nodes {
		r, err := record(n)
		if err != nil {
			return err
		}
		if _, twice := records[n.Path]; twice && n.Kind != rootfs.KindFolder {
			return fmt.Errorf("making the initramfs: /%s is there twice", n.Path)
		}
		records[n.Path] = r
	}
	names := make([]string, 0, len(records))
	for name := range records {
		names = append(names, name)
	}
	for _, name := range names {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := records[dir]; !ok {
				records[dir] = cpio.Directory(dir, 0o755)
				names = append(names, dir)
			}
		}
	}
	// Sorted, so that a folder comes before what it holds.
	slices.Sort(names)
	buffered := bufio.NewWriterSize(w, 1<<20)
	out := cpio.Newc.Writer(buffered)
	for i, name := range slices.Compact(names) {
		r := records[name]
		r.Ino, r.MTime, r.NLink, r.UID, r.GID = uint64(i+1), uint64(max(epoch, 0)), 1, 0, 0
		if err := out.WriteRecord(r); err != nil {
			return fmt.Errorf("writing /%s into the initramfs: %w", name, err)
		}
	}
	if err := cpio.WriteTrailer(out); err != nil {
		return fmt.Errorf("ending the initramfs: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing the initramfs: %w", err)
	}
	return nil
}

func record(n *rootfs.Node) (cpio.Record, error) {
	switch n.Kind {
	case rootfs.KindFolder:
		return cpio.Directory(n.Path, uint64(n.Mode)), nil
	case rootfs.KindLink:
		return cpio.Symlink(n.Path, n.Target), nil
	case rootfs.KindFile:
		return cpio.Record{ReaderAt: &lazy{node: n}, Info: cpio.Info{
			Name: n.Path, Mode: cpio.S_IFREG | uint64(n.Mode), FileSize: uint64(n.Size),
		}}, nil
	}
	return cpio.Record{}, fmt.Errorf("%s is of no known kind: %q", n.Path, n.Kind)
}

// lazy opens a node when it is read, and closes it at its end: all at once would be more files than a process may hold open.
// It is read from its beginning to its end, once.
type lazy struct {
	node *rootfs.Node
	r    io.ReadCloser
	at   int64
}

func (l *lazy) ReadAt(p []byte, off int64) (int, error) {
	if off >= l.node.Size {
		return 0, io.EOF
	}
	if l.r == nil {
		r, err := l.node.Open()
		if err != nil {
			return 0, err
		}
		l.r, l.at = r, 0
	}
	if off != l.at {
		return 0, fmt.Errorf("/%s is read at %d, behind %d: %w", l.node.Path, off, l.at, fs.ErrInvalid)
	}
	n, err := io.ReadFull(l.r, p[:min(int64(len(p)), l.node.Size-off)])
	if l.at += int64(n); err == nil && l.at < l.node.Size {
		return n, nil
	}
	closeErr := l.r.Close()
	l.r = nil
	if err != nil {
		return n, fmt.Errorf("what is to be /%s ends after %d bytes of %d: %w", l.node.Path, l.at, l.node.Size, err)
	}
	return n, closeErr
}

// Tree gives the nodes of a folder of the host, laid at target, with its files' permissions. Only folders, files and links
// can be in it.
func Tree(target, from string) ([]*rootfs.Node, error) {
	var nodes []*rootfs.Node
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		at := strings.TrimPrefix(path.Join("/", target, filepath.ToSlash(rel)), "/")
		info, err := d.Info()
		if err != nil {
			return err
		}
		n := &rootfs.Node{Path: at, Mode: info.Mode().Perm()}
		switch {
		case at == "":
			return nil
		case d.IsDir():
			n.Kind = rootfs.KindFolder
		case d.Type() == fs.ModeSymlink:
			n.Kind, n.Mode = rootfs.KindLink, 0o777
			if n.Target, err = os.Readlink(name); err != nil {
				return err
			}
		default:
			if n, err = rootfs.FileNode(at, name, info.Mode().Perm()); err != nil {
				return err
			}
		}
		nodes = append(nodes, n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", from, err)
	}
	return nodes, nil
}
