package mounts

import "golang.org/x/sys/unix"

// sealed are the flags of a filesystem from which nothing is ever run and in which no device node is ever opened.
const sealed = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// Base is what must stand before anything of the system can be observed: /proc, /sys, /dev and /run, in that order. The
// table is a fresh copy; the caller may change it.
func Base() []Mount {
	return []Mount{
		{
			Source: "proc", Target: "/proc", FSType: "proc", Flags: sealed, Mode: 0o555, Write: true,
			Purpose: "processes, the mount table and kernel settings are read there",
			Lost:    "neither the daemon nor a container can start",
		},
		{
			Source: "sysfs", Target: "/sys", FSType: "sysfs", Flags: sealed, Mode: 0o555, Write: true,
			Purpose: "devices, cgroups and security modules are found there",
			Lost:    "no cgroup can be made, so no container can start",
		},
		{
			// Not nodev, for device nodes are all there is. Not noexec, because SGX enclaves are mapped executable from
			// /dev/sgx_enclave, which the kernel refuses on a noexec mount (path_noexec in mm/mmap.c); LinuxKit sets it.
			Source: "devtmpfs", Target: "/dev", FSType: "devtmpfs", Fallback: "tmpfs",
			Flags: unix.MS_NOSUID, Data: "mode=0755", Mode: 0o755,
			// A container runtime mounts a tmpfs and makes the nodes itself; a plain folder into which single devices are
			// mounted is what a chroot of an older kind has.
			Accept: []string{"tmpfs", "ramfs"}, Populated: true,
			Purpose: "device nodes",
			Lost:    "/dev/null and /dev/urandom are missing, without which hardly any program runs",
		},
		{
			Source: "tmpfs", Target: "/run", FSType: "tmpfs", Flags: sealed, Data: "mode=0755", Mode: 0o755,
			Accept: []string{AnyFS}, Populated: true, Write: true,
			Purpose: "sockets, PID files and container state that must not outlive a boot",
			Lost:    "state of an earlier boot is taken for that of this one",
		},
	}
}

// Rest is the rest of the table, to be applied after Base. The cgroup hierarchies are not in it: what is right there depends
// on the kernel and the habitat. Tracing and debug filesystems are left alone, for they widen what a container can reach and
// Docker needs neither.
func Rest() []Mount {
	return []Mount{
		{
			// newinstance is the only behaviour since Linux 4.7 and is accepted and ignored there. ptmxmode=666 is needed
			// because the kernel's default of 000 makes /dev/pts/ptmx, to which /dev/ptmx may be a link, unusable for all
			// but root; Talos keeps 000 and relies on a 5:2 node at /dev/ptmx.
			// https://docs.kernel.org/filesystems/devpts.html
			Source: "devpts", Target: "/dev/pts", FSType: "devpts", Flags: unix.MS_NOSUID | unix.MS_NOEXEC,
			Data: "newinstance,ptmxmode=0666,gid=5,mode=0620", Mode: 0o755,
			Purpose: "pseudo-terminals of docker run -t and docker exec -t",
			Lost:    "docker run -t and docker exec -t fail",
		},
		{
			Source: "shm", Target: "/dev/shm", FSType: "tmpfs", Flags: sealed, Data: "mode=1777", Mode: 0o1777,
			Accept: []string{AnyFS}, Populated: true, Write: true,
			Purpose: "POSIX shared memory, see shm_overview(7)",
			Lost:    "programs that use POSIX shared memory or semaphores fail outside containers",
		},
		{
			Source: "mqueue", Target: "/dev/mqueue", FSType: "mqueue", Flags: sealed, Mode: 0o1777,
			Purpose: "POSIX message queues, see mq_overview(7)",
			Lost:    "message queues cannot be listed outside containers",
		},
		{
			// Not noexec: build steps and package scripts unpack programs into /tmp and run them. No size: the kernel's
			// default of half the memory holds.
			Source: "tmpfs", Target: "/tmp", FSType: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=1777",
			Mode: 0o1777, When: WhenUnwritable, Accept: []string{AnyFS}, Populated: true, Write: true,
			Purpose: "temporary files, where the folder that is there cannot be written",
			Lost:    "programs that need temporary files fail, docker build among them",
		},
		{
			Source: "securityfs", Target: "/sys/kernel/security", FSType: "securityfs", Flags: sealed, When: WhenExists,
			Purpose: "the daemon finds AppArmor there",
			Lost:    "containers run without AppArmor profiles",
		},
		{
			// Not nodev: SELinux puts the device /sys/fs/selinux/null in the place of descriptors that a program may not
			// inherit (security/selinux/hooks.c, flush_unauthorized_files), and that has to open.
			Source: "selinuxfs", Target: "/sys/fs/selinux", FSType: "selinuxfs", Flags: unix.MS_NOSUID | unix.MS_NOEXEC,
			When:    WhenExists,
			Purpose: "the daemon finds SELinux there",
			Lost:    "containers run without SELinux labels",
		},
		{
			Source: "bpf", Target: "/sys/fs/bpf", FSType: "bpf", Flags: sealed, Data: "mode=0700", When: WhenExists,
			Purpose: "pinned BPF programs and maps",
			Lost:    "BPF programs cannot be pinned, which some network plug-ins need",
		},
	}
}
