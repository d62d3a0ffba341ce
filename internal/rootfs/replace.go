package rootfs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// replaceLauncher puts another launcher into a tree that is otherwise as it should be, so that a tree somebody works on, or
// that runs, stays where it is when only the launcher was built anew. done is false where that is not enough.
func (m *Manifest) replaceLauncher(o Options, sum string) (done bool, err error) {
	at := slices.IndexFunc(m.Nodes, func(n *Node) bool { return n.Path == LauncherPath })
	if at < 0 || o.Launcher == "" {
		return false, nil
	}
	rest := slices.Delete(slices.Clone(m.Nodes), at, at+1)
	if !unchanged(rest, o.Out, m.Epoch) {
		return false, nil
	}
	b, err := readBinary(o.Launcher)
	if err != nil {
		return false, err
	}
	if b.interpreter != "" || len(b.needed) > 0 {
		return false, nil // it may bring libraries, or need others than before
	}
	info, err := os.Stat(o.Launcher)
	if err != nil {
		return false, fmt.Errorf("reading the launcher: %w", err)
	}
	if err := (&Manifest{}).save(o.Out); err != nil {
		return false, err
	}
	n := *m.Nodes[at]
	n.Size, n.source = info.Size(), o.Launcher
	name := filepath.Join(o.Out, filepath.FromSlash(LauncherPath))
	next := filepath.Join(filepath.Dir(name), ".dockerlaunch.new")
	if err := os.Remove(next); err != nil && !os.IsNotExist(err) {
		return false, fmt.Errorf("removing what an interrupted run left: %w", err)
	}
	if err := writeFile(&n, next); err != nil {
		return false, fmt.Errorf("replacing the launcher: %w", err)
	}
	if err := settle(&n, next, m.Epoch); err != nil {
		return false, fmt.Errorf("replacing the launcher: %w", err)
	}
	if err := os.Rename(next, name); err != nil {
		return false, fmt.Errorf("replacing the launcher: %w", err)
	}
	folder := &Node{Kind: KindFolder, Mode: fs.FileMode(0o755)}
	if err := settle(folder, filepath.Dir(name), m.Epoch); err != nil {
		return false, fmt.Errorf("replacing the launcher: %w", err)
	}
	m.Nodes[at], m.Launcher = &n, sum
	return true, m.save(o.Out)
}
