package rootfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// write makes the tree of nodes, sorted by path, in dir, which must not exist. Every time in it is epoch, in seconds since
// 1970, and everything in it belongs to root, or to the user where that is not root. Each file's hash is entered in its node.
func write(nodes []*Node, dir string, epoch int64, progress func(done, total int)) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("making the tree: %w", err)
	}
	root := &Node{Path: ".", Kind: KindFolder, Mode: 0o755}
	for i, n := range nodes {
		name := filepath.Join(dir, filepath.FromSlash(n.Path))
		var err error
		switch n.Kind {
		case KindFolder:
			err = os.Mkdir(name, 0o700)
		case KindLink:
			err = os.Symlink(n.Target, name)
		case KindFile:
			err = writeFile(n, name)
		default:
			err = fmt.Errorf("%s is of no known kind: %q", n.Path, n.Kind)
		}
		if err != nil {
			return fmt.Errorf("making the tree: %w", err)
		}
		progress(i+1, len(nodes))
	}
	// Last, because making an entry in a folder changes the folder's time.
	for _, n := range append([]*Node{root}, nodes...) {
		if err := settle(n, filepath.Join(dir, filepath.FromSlash(n.Path)), epoch); err != nil {
			return fmt.Errorf("making the tree: %w", err)
		}
	}
	return nil
}

// writeFile writes a file's bytes, and enters their hash and number in its node.
func writeFile(n *Node, name string) error {
	var r io.Reader = bytes.NewReader(n.content)
	if n.source != "" {
		f, err := os.Open(n.source)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, h), r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if size != n.Size {
		return fmt.Errorf("%s has %d bytes where %d were expected: it has changed meanwhile, or is damaged; remove it and run this again", n.source, size, n.Size)
	}
	n.SHA256 = hex.EncodeToString(h.Sum(nil))
	return nil
}

// settle gives what is at name its owner, mode and time.
func settle(n *Node, name string, epoch int64) error {
	if os.Geteuid() == 0 {
		if err := os.Lchown(name, 0, 0); err != nil {
			return err
		}
	}
	if n.Kind != KindLink {
		if err := unix.Chmod(name, uint32(n.Mode)); err != nil { // the sticky bit has another place in os.FileMode
			return &fs.PathError{Op: "chmod", Path: name, Err: err}
		}
	}
	t := unix.NsecToTimespec(epoch * 1e9)
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}

// unchanged tells whether dir still has every node as it was written. Files that were added do not matter, nor do folders'
// times: a launcher that runs on the tree makes files in it.
func unchanged(nodes []*Node, dir string, epoch int64) bool {
	for _, n := range nodes {
		name := filepath.Join(dir, filepath.FromSlash(n.Path))
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return false
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			if n.Kind != KindFolder {
				return false
			}
		case unix.S_IFLNK:
			if target, err := os.Readlink(name); n.Kind != KindLink || err != nil || target != n.Target {
				return false
			}
		case unix.S_IFREG:
			if n.Kind != KindFile || st.Size != n.Size || st.Mtim.Sec != epoch || fs.FileMode(st.Mode&0o7777) != n.Mode {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// swap puts the tree at next in the place of the one at out, in one step, and removes the old one, below which nothing may
// be mounted.
func swap(next, out string) error {
	if err := os.Rename(next, out); err == nil {
		return nil // there was none, or an empty folder
	}
	err := unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, out, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// A file system that cannot exchange: for a moment there is no tree, but never half of one.
		old := out + ".old"
		if err := os.Rename(out, old); err != nil {
			return fmt.Errorf("putting the old tree aside: %w", err)
		}
		if err := os.Rename(next, out); err != nil {
			return fmt.Errorf("putting the new tree in its place: %w", err)
		}
		next = old
	} else if err != nil {
		return fmt.Errorf("putting the new tree in the place of %s: %w", out, err)
	}
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("removing the old tree: %w", err)
	}
	return nil
}

// notMounted refuses a tree that has something mounted at or below it: removing the tree would remove what is mounted.
func notMounted(dir string) error {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resolving %s: %w", dir, err)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(abs))
	if err != nil {
		return fmt.Errorf("reading the mount table: %w", err)
	}
	var points []string
	for _, m := range mounts {
		points = append(points, m.Mountpoint)
	}
	if len(points) > 0 {
		return fmt.Errorf("the tree is in use: unmount %s first", strings.Join(points, ", "))
	}
	return nil
}
