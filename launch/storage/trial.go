package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// trialPrefix begins the names of the folders that trials are made in.
const trialPrefix = ".dockerlaunch-trial-"

// Trial is what a data-root is good for.
type Trial struct {
	FSType string `json:"fstype"` // of the data-root
	// Overlay tells that what overlay2 and containerd's overlayfs need works. Reason says why not.
	Overlay bool   `json:"overlay"`
	Reason  string `json:"reason,omitempty"`
	// Err is the kernel's answer to what failed.
	Err error `json:"-"`
}

// TryOverlay mounts an overlay with two lower folders in a data-root and does in it what layers are made of: a file that is
// deleted (a whiteout) and a folder that is replaced (opaque). It cleans up always, also what a trial left that was cut
// short. The error is about the data-root itself: it matches ErrReadOnly where nothing can be made in it.
func TryOverlay(root string) (t Trial, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return t, &Error{Op: "look at the data-root", Path: root, Err: err}
	}
	t.FSType = fsName(int64(st.Type))
	if err := tidyTrials(root); err != nil {
		return t, err
	}
	dir, err := os.MkdirTemp(root, trialPrefix)
	if err != nil {
		e := &Error{Op: "make a folder in the data-root", Path: root, Err: err}
		if errors.Is(err, unix.EROFS) {
			e.Kind = ErrReadOnly
		}
		return t, e
	}
	defer func() { err = errors.Join(err, removeTrial(dir)) }()
	t.Reason, t.Err = tryIn(dir)
	t.Overlay = t.Reason == ""
	if !t.Overlay {
		t.Reason = explainTrial(t)
	}
	return t, nil
}

// explainTrial adds what to do where the filesystem is one that is known not to work.
func explainTrial(t Trial) string {
	reason := t.Reason
	if t.Err != nil {
		reason += ": " + t.Err.Error()
	}
	switch {
	case t.FSType == "overlay":
		reason += "; the data-root is part of a container's own root: make it a volume (VOLUME in the image, or docker run -v)"
	case t.FSType == "xfs" && t.Err == nil:
		reason += "; make the xfs anew with -n ftype=1"
	case t.FSType == "nfs" || t.FSType == "ecryptfs" || t.FSType == "9p" || t.FSType == "vfat":
		reason += "; put the data-root on ext4, xfs or btrfs"
	case errors.Is(t.Err, unix.ENODEV):
		reason += "; load the module overlay, or boot a kernel with CONFIG_OVERLAY_FS"
	case errors.Is(t.Err, unix.EPERM):
		reason += "; it needs CAP_SYS_ADMIN"
	}
	return reason
}

// tryIn returns what does not work, "" if everything does.
func tryIn(dir string) (string, error) {
	for _, name := range []string{"lower1/shared", "lower2/folder", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return "folders cannot be made", err
		}
	}
	for _, name := range []string{"lower1/shared/below", "lower2/folder/old", "lower2/file"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			return "files cannot be made", err
		}
	}
	if ok, err := hasDType(filepath.Join(dir, "lower2")); err != nil || !ok {
		return "the filesystem does not tell the types of files in a folder (d_type)", err
	}
	merged := filepath.Join(dir, "merged")
	// The same options as SupportsOverlay in moby's daemon/graphdriver/overlayutils.
	data := fmt.Sprintf("lowerdir=%[1]s/lower2:%[1]s/lower1,upperdir=%[1]s/upper,workdir=%[1]s/work", escape(dir))
	if err := unix.Mount("overlay", merged, "overlay", 0, data); err != nil {
		return "an overlay cannot be mounted", err
	}
	if err := os.Remove(filepath.Join(merged, "file")); err != nil {
		return "a file of a lower layer cannot be deleted", err
	}
	folder := filepath.Join(merged, "folder")
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o755)); err != nil {
		return "a folder of a lower layer cannot be replaced", err
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		return "a folder that was replaced still shows the lower layer", err
	}
	if _, err := os.ReadFile(filepath.Join(merged, "shared/below")); err != nil {
		return "the second lower layer is not seen", err
	}
	// What dockerd and containerd find when they make a layer of it. A whiteout is a device 0:0, see the kernel's
	// documentation, filesystems/overlayfs.
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "upper/file"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		return "no whiteout is made for a deleted file", err
	}
	value := make([]byte, 8)
	n, err := unix.Lgetxattr(filepath.Join(dir, "upper/folder"), "trusted.overlay.opaque", value)
	if err != nil || string(value[:n]) != "y" {
		return "a replaced folder is not marked as opaque", err
	}
	return "", nil
}

// escape writes a path as overlay's options take it.
func escape(path string) string {
	for _, special := range [...]string{`\`, `,`, `:`} { // the backslash first, as the others get one
		path = strings.ReplaceAll(path, special, `\`+special)
	}
	return path
}

// hasDType tells whether a folder's entries come with their types, of which at least one is in it.
func hasDType(dir string) (bool, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.Getdents(fd, buf)
	if err != nil {
		return false, err
	}
	// struct linux_dirent64: inode and offset of 8 bytes, 2 for the length, the type, the name.
	for rest := buf[:n]; len(rest) > 19; {
		length := int(le16(rest[16:]))
		if length < 20 || length > len(rest) {
			break
		}
		name := text(rest[19:length])
		if name != "." && name != ".." {
			return rest[18] != unix.DT_UNKNOWN, nil
		}
		rest = rest[length:]
	}
	return false, nil
}

// removeTrial unmounts what is mounted in a trial's folder and removes it. Without the unmounting nothing is removed.
func removeTrial(dir string) error {
	merged := filepath.Join(dir, "merged")
	for {
		err := unix.Unmount(merged, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			err = unix.Unmount(merged, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		}
		if errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) {
			break // nothing is mounted there any more
		}
		if err != nil {
			return &Error{Op: "unmount the trial of overlay at", Path: merged, Err: err}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return &Error{Op: "remove the trial of overlay at", Path: dir, Err: err}
	}
	return nil
}

// tidyTrials removes what trials left that were cut short.
func tidyTrials(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return &Error{Op: "read the data-root", Path: root, Err: err}
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), trialPrefix) {
			if err := removeTrial(filepath.Join(root, e.Name())); err != nil && !errors.Is(err, unix.EROFS) {
				return err
			}
		}
	}
	return nil
}

// fsName names the filesystems that matter here by f_type of statfs(2).
func fsName(magic int64) string {
	switch uint32(magic) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.RAMFS_MAGIC:
		return "ramfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.MSDOS_SUPER_MAGIC:
		return "vfat"
	case unix.ECRYPTFS_SUPER_MAGIC:
		return "ecryptfs"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case 0x2fc12fc1:
		return "zfs"
	}
	return fmt.Sprintf("%#x", uint32(magic))
}
