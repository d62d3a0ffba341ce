package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The requests that let a mounted filesystem grow: include/uapi/linux/ext4.h (in fs/ext4/ext4.h before Linux 6.0),
// fs/xfs/libxfs/xfs_fs.h, include/uapi/linux/btrfs.h.
const (
	ioctlExt4Resize  = 0x40086610 // _IOW('f', 16, __u64)
	ioctlXFSGeometry = 0x80705864 // _IOR('X', 100, struct xfs_fsop_geom_v1)
	ioctlXFSGrow     = 0x4010586e // _IOW('X', 110, struct xfs_growfs_data)
	ioctlBtrfsResize = 0x50009403 // _IOW(0x94, 3, struct btrfs_ioctl_vol_args)
	ioctlBtrfsScan   = 0x50009404 // _IOW(0x94, 4, struct btrfs_ioctl_vol_args)
)

// grow lets the filesystem at the target grow to the size of its disk, where that is larger. That it does not work is a notice:
// the disk is as good as before.
func (p Preparer) grow(ctx context.Context, d Disk, plan Plan, done *Prepared) error {
	before, err := filesystemSize(plan)
	if err != nil {
		return &Error{Op: "ask for the size of the filesystem at", Path: plan.Target, Err: err}
	}
	done.Size = before
	switch plan.FSType {
	case "ext4":
		err = growExt4(plan.Target, d.Size)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
			// Without CAP_SYS_RESOURCE the kernel refuses; resize2fs can no more then, but knows older ways.
			err = p.resize2fs(ctx, d, err)
		}
	case "xfs":
		err = growXFS(plan.Target, d.Size)
	case "btrfs":
		err = growBtrfs(plan.Target)
	default:
		return nil
	}
	if err != nil {
		done.notice("the filesystem on %s does not take the whole disk (%s), and could not grow: %v", d.Path, human(d.Size), err)
		return nil
	}
	after, err := filesystemSize(plan)
	if err != nil {
		return &Error{Op: "ask for the size of the filesystem at", Path: plan.Target, Err: err}
	}
	if done.Size = after; after != before && !done.Formatted {
		done.GrownFrom = before
		done.notice("the filesystem on %s has grown from %s to %s", d.Path, human(before), human(after))
	}
	return nil
}

func filesystemSize(plan Plan) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(plan.Target, &st); err != nil {
		return 0, err
	}
	return st.Blocks * uint64(st.Bsize), nil
}

// onFolder opens a folder for a request.
func onFolder(path string, call func(fd uintptr) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(call(f.Fd()), f.Close())
}

func request(fd, number uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, number, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// growExt4 does nothing where the superblock on disk says that all is taken; the kernel rounds down what would make too
// small a last group, without an error.
func growExt4(target string, size uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(target, &st); err != nil {
		return err
	}
	// Blocks of statfs leave out what the filesystem takes for itself, so that the request is made more often than needed.
	blocks := size / uint64(st.Bsize)
	if blocks <= st.Blocks {
		return nil
	}
	return onFolder(target, func(fd uintptr) error { return request(fd, ioctlExt4Resize, unsafe.Pointer(&blocks)) })
}

func (p Preparer) resize2fs(ctx context.Context, d Disk, first error) error {
	program, err := p.find("resize2fs")
	if err != nil {
		return fmt.Errorf("EXT4_IOC_RESIZE_FS: %w", first)
	}
	status, output, err := p.Runner.Run(ctx, program, d.Path)
	switch {
	case err != nil:
		return err
	case status != 0:
		return fmt.Errorf("EXT4_IOC_RESIZE_FS: %w; %s ended with status %d: %s", first, program, status, lastLines(output))
	}
	return nil
}

// xfsGeometry is struct xfs_fsop_geom_v1.
type xfsGeometry struct {
	BlockSize, RTExtSize, AGBlocks, AGCount, LogBlocks, SectSize, InodeSize, IMaxPct uint32
	DataBlocks                                                                       uint64
	_                                                                                [72]byte
}

// xfsGrow is struct xfs_growfs_data.
type xfsGrow struct {
	NewBlocks uint64
	IMaxPct   uint32
	_         uint32
}

func growXFS(target string, size uint64) error {
	return onFolder(target, func(fd uintptr) error {
		var g xfsGeometry
		if err := request(fd, ioctlXFSGeometry, unsafe.Pointer(&g)); err != nil {
			return fmt.Errorf("XFS_IOC_FSGEOMETRY: %w", err)
		}
		if g.BlockSize == 0 || size/uint64(g.BlockSize) <= g.DataBlocks {
			return nil
		}
		want := xfsGrow{NewBlocks: size / uint64(g.BlockSize), IMaxPct: g.IMaxPct}
		if err := request(fd, ioctlXFSGrow, unsafe.Pointer(&want)); err != nil {
			return fmt.Errorf("XFS_IOC_FSGROWFSDATA: %w", err)
		}
		return nil
	})
}

// btrfsArgs is struct btrfs_ioctl_vol_args.
type btrfsArgs struct {
	FD   int64
	Name [4088]byte
}

func growBtrfs(target string) error {
	var args btrfsArgs
	copy(args.Name[:], "max")
	return onFolder(target, func(fd uintptr) error {
		if err := request(fd, ioctlBtrfsResize, unsafe.Pointer(&args)); err != nil {
			return fmt.Errorf("BTRFS_IOC_RESIZE: %w", err)
		}
		return nil
	})
}

// scanBtrfs tells the kernel of the disks of a btrfs, as udev does elsewhere.
func scanBtrfs(disks []Disk) error {
	f, err := os.OpenFile("/dev/btrfs-control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, d := range disks {
		var args btrfsArgs
		copy(args.Name[:len(args.Name)-1], d.Path)
		if err := request(f.Fd(), ioctlBtrfsScan, unsafe.Pointer(&args)); err != nil {
			return fmt.Errorf("BTRFS_IOC_SCAN_DEV of %s: %w", d.Path, err)
		}
	}
	return nil
}
