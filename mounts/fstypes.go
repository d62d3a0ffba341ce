package mounts

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// magicNames are the filesystems that may be met at a target, by f_type of statfs(2). Neither this nor kernelOptions is a map, which
// each start would have to fill in.
var magicNames = [...]struct {
	magic int64
	name  string
}{
	{unix.PROC_SUPER_MAGIC, "proc"},
	{unix.SYSFS_MAGIC, "sysfs"},
	{unix.TMPFS_MAGIC, "tmpfs"},
	{unix.RAMFS_MAGIC, "ramfs"},
	{unix.DEVPTS_SUPER_MAGIC, "devpts"},
	{0x19800202, "mqueue"}, // MQUEUE_MAGIC in ipc/mqueue.c
	{unix.SECURITYFS_MAGIC, "securityfs"},
	{unix.SELINUX_MAGIC, "selinuxfs"},
	{unix.BPF_FS_MAGIC, "bpf"},
	{unix.CGROUP_SUPER_MAGIC, "cgroup"},
	{unix.CGROUP2_SUPER_MAGIC, "cgroup2"},
	{unix.DEBUGFS_MAGIC, "debugfs"},
	{unix.TRACEFS_MAGIC, "tracefs"},
	{unix.HUGETLBFS_MAGIC, "hugetlbfs"},
	{unix.AUTOFS_SUPER_MAGIC, "autofs"},
	{unix.OVERLAYFS_SUPER_MAGIC, "overlay"},
	{unix.EXT4_SUPER_MAGIC, "ext4"},
	{unix.XFS_SUPER_MAGIC, "xfs"},
	{unix.BTRFS_SUPER_MAGIC, "btrfs"},
	{unix.F2FS_SUPER_MAGIC, "f2fs"},
	{0x2fc12fc1, "zfs"},
	{0xe0f5e1e2, "erofs"},
	{unix.SQUASHFS_MAGIC, "squashfs"},
	{unix.ISOFS_SUPER_MAGIC, "iso9660"},
	{unix.MSDOS_SUPER_MAGIC, "vfat"},
	{unix.FUSE_SUPER_MAGIC, "fuse"},
	{unix.NFS_SUPER_MAGIC, "nfs"},
	{unix.V9FS_MAGIC, "9p"},
}

// magicName names a filesystem by its f_type. The kernel's field is a signed word, so on a 32-bit machine a high bit comes out
// as a sign.
func magicName(magic int64) string {
	if magic < 0 {
		magic = int64(uint32(magic))
	}
	for i := range magicNames {
		if m := &magicNames[i]; m.magic == magic {
			return m.name
		}
	}
	return "0x" + strconv.FormatInt(magic, 16)
}

// kernelOptions are what the kernel has to be built with for a filesystem. Those with a module may be loaded too.
var kernelOptions = [...]struct{ fstype, option, module string }{
	{"proc", "CONFIG_PROC_FS", ""},
	{"sysfs", "CONFIG_SYSFS", ""},
	{"devtmpfs", "CONFIG_DEVTMPFS", ""},
	{"devpts", "CONFIG_UNIX98_PTYS", ""},
	{"tmpfs", "CONFIG_TMPFS", ""},
	{"mqueue", "CONFIG_POSIX_MQUEUE", ""},
	{"securityfs", "CONFIG_SECURITYFS", ""},
	{"selinuxfs", "CONFIG_SECURITY_SELINUX", ""},
	{"bpf", "CONFIG_BPF_SYSCALL", ""},
	{"cgroup", "CONFIG_CGROUPS", ""},
	{"cgroup2", "CONFIG_CGROUPS", ""},
	{"overlay", "CONFIG_OVERLAY_FS", "overlay"},
	{"ext4", "CONFIG_EXT4_FS", "ext4"},
	{"xfs", "CONFIG_XFS_FS", "xfs"},
	{"btrfs", "CONFIG_BTRFS_FS", "btrfs"},
	{"fuse", "CONFIG_FUSE_FS", "fuse"},
	{"vfat", "CONFIG_VFAT_FS", "vfat"},
}

// kernelAdvice tells how a kernel gets a filesystem that it lacks. Every filesystem module has the alias fs-TYPE
// (MODULE_ALIAS_FS in include/linux/fs.h).
func kernelAdvice(fstype string) string {
	for i := range kernelOptions {
		switch need := &kernelOptions[i]; {
		case need.fstype != fstype:
		case need.module == "":
			return "boot a kernel with " + need.option + "=y (it cannot be a module)"
		default:
			return "load the module " + need.module + ", or boot a kernel with " + need.option + "=y"
		}
	}
	return "load the module with the alias fs-" + fstype + ", or boot a kernel with that filesystem"
}
