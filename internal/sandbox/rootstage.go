package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// enterRoot makes the overlay on the tree this process's root, with what the options put into it. volatile tells that the
// upper layer is a tmpfs.
func (c *stageConfig) enterRoot() (volatile bool, err error) {
	// Nothing that is mounted from here on shows on the host.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return false, fmt.Errorf("making all mounts private: %w", err)
	}
	// What comes from the host must be open before the host is out of sight.
	var launcher *os.File
	if c.Launcher != "" {
		if launcher, err = os.Open(c.Launcher); err != nil {
			return false, fmt.Errorf("launcher: %w", err)
		}
		defer launcher.Close()
	}
	if volatile, err = c.mountOverlay(); err != nil {
		return false, err
	}
	// After the overlay: mountinfo lists mounts in the order of their making.
	trees := make([]int, len(c.Binds))
	for i, b := range c.Binds {
		if trees[i], err = cloneTree(b); err != nil {
			return false, err
		}
	}
	if err := pivot(filepath.Join(c.State, "merged")); err != nil {
		return false, err
	}
	if launcher != nil {
		if err := copyLauncher(launcher); err != nil {
			return false, err
		}
	}
	for _, path := range c.Hide {
		if err := os.RemoveAll(filepath.Join("/", path)); err != nil {
			return false, fmt.Errorf("hiding %s: %w", path, err)
		}
	}
	for _, f := range c.Files {
		if err := f.write(); err != nil {
			return false, err
		}
	}
	for i, b := range c.Binds {
		if err := b.attach(trees[i]); err != nil {
			return false, err
		}
	}
	if c.ReadonlyRoot {
		if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return false, fmt.Errorf("making / read-only: %w", err)
		}
	}
	// Folders made on the way must not depend on the caller, nor the launcher's own.
	unix.Umask(0o022)
	return volatile, nil
}

// mountOverlay mounts the tree and the upper layer at State/merged. The layers are named relative to State, as the mount
// options would take a colon or a comma in a path for their own.
func (c *stageConfig) mountOverlay() (volatile bool, err error) {
	unix.Umask(0) // modes are given exactly
	if err := os.Chdir(c.State); err != nil {
		return false, fmt.Errorf("state folder: %w", err)
	}
	if err := unix.Mount(c.Root, "lower", "", unix.MS_BIND, ""); err != nil {
		return false, fmt.Errorf("binding the root tree %s: %w", c.Root, err)
	}
	err = unix.Mount("dockerlaunch", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work")
	if err == nil {
		return false, nil
	}
	if errors.Is(err, unix.ENODEV) {
		return false, fmt.Errorf("mounting an overlay: %w (this kernel has no overlayfs: load the module overlay, or use a kernel with CONFIG_OVERLAY_FS)", err)
	}
	onDisk := err
	var top unix.Stat_t
	if err := unix.Stat("upper", &top); err != nil {
		return false, fmt.Errorf("state folder: %w", err)
	}
	if err := unix.Mount("tmpfs", "volatile", "tmpfs", 0, "mode=0755"); err != nil {
		return false, fmt.Errorf("mounting a tmpfs for the upper layer: %w", err)
	}
	for name, mode := range map[string]uint32{"volatile/upper": top.Mode & 0o7777, "volatile/work": 0o755} {
		if err := unix.Mkdir(name, mode); err != nil {
			return false, fmt.Errorf("making the upper layer on a tmpfs: %w", err)
		}
	}
	err = unix.Mount("dockerlaunch", "merged", "overlay", 0, "lowerdir=lower,upperdir=volatile/upper,workdir=volatile/work")
	if err != nil {
		return false, fmt.Errorf("mounting an overlay of %s: %w (and with its upper layer in %s: %w)", c.Root, err, c.State, onDisk)
	}
	return true, nil
}

// pivot makes dir, a mount, the root, and lets go of the old one.
func pivot(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("entering the root tree: %w", err)
	}
	// The new root on top of the old at one place needs no folder in the tree (pivot_root(2), "pivot_root(".", ".")").
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", dir, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting the host's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("entering the root tree: %w", err)
	}
	return nil
}

// copyLauncher puts the launcher at its place. It is a copy, as a mount there would be one that no launcher finds on a machine.
func copyLauncher(from *os.File) error {
	if err := os.MkdirAll(filepath.Dir(LauncherPath), 0o755); err != nil {
		return fmt.Errorf("placing the launcher: %w", err)
	}
	// Beside it first: the old one may be a link into nowhere.
	tmp := LauncherPath + ".new"
	to, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("placing the launcher: %w", err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("copying the launcher to %s: %w", tmp, err)
	}
	if err := os.Rename(tmp, LauncherPath); err != nil {
		return fmt.Errorf("placing the launcher: %w", err)
	}
	return nil
}

func (f File) write() error {
	path := filepath.Join("/", f.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	mode := f.Mode
	if mode == 0 {
		mode = 0o644
	}
	// Removed first, as an old one keeps its mode, or may be a link.
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("replacing %s: %w", f.Path, err)
	}
	if err := os.WriteFile(path, f.Data, mode); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	return nil
}

// cloneTree takes hold of a mount that is not attached anywhere yet.
func cloneTree(b Bind) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, b.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("binding %s: open_tree: %w", b.Source, err)
	}
	return fd, nil
}

// attach mounts the tree at its target.
func (b Bind) attach(tree int) error {
	defer unix.Close(tree)
	target := filepath.Join("/", b.Target)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return fmt.Errorf("binding %s: %w", b.Source, err)
	}
	if err := makeTarget(target, st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return fmt.Errorf("binding %s at %s: %w", b.Source, b.Target, err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("binding %s at %s: move_mount: %w", b.Source, b.Target, err)
	}
	if b.ReadOnly {
		if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("making %s read-only: %w", b.Target, err)
		}
	}
	return nil
}

func makeTarget(target string, dir bool) error {
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
