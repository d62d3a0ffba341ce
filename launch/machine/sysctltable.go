package machine

// DockerSysctls lists the kernel parameters that a machine for containers needs otherwise than the kernel sets them. Each is
// global, so that no container can set it for itself; a file of sysctl.d and the kernel command line override each.
func DockerSysctls() []Setting {
	exact := func(name, value, why string) Setting {
		return Setting{Name: name, Value: value, Why: why, Source: "the launcher", IfThere: true}
	}
	atLeast := func(name, value, why string) Setting {
		s := exact(name, value, why)
		s.AtLeast = true
		return s
	}
	return []Setting{
		exact("kernel/ctrl-alt-del", "0", "Ctrl-Alt-Del asks PID 1 for a clean reboot instead of resetting the machine (proc_sys_kernel(5))"),
		exact("kernel/printk_devkmsg", "on", "the kernel drops all but ten messages in five seconds of each writer without a word"),
		atLeast("fs/inotify/max_user_instances", "8192", "the containers' root users are one user to the kernel, and share 128 (inotify(7)): \"too many open files\""),
		atLeast("fs/inotify/max_user_watches", "524288", "the same user's watches; on small machines the kernel allows 8192"),
		atLeast("vm/max_map_count", "262144", "Elasticsearch and OpenSearch refuse to start below it, and cannot set it in a container"),
		atLeast("kernel/pid_max", "4194304", "32768 processes and threads on a small machine are few for many containers; 64-bit kernels take this many (proc_sys_kernel(5))"),
		atLeast("kernel/keys/maxkeys", "2000", "runc makes a session keyring for each container, and a user that is not root may have 200: with userns-remap, \"disk quota exceeded\" (keyrings(7))"),
		atLeast("kernel/keys/maxbytes", "2000000", "the bytes of these keys"),
		atLeast("fs/aio-max-nr", "1048576", "databases reserve thousands of asynchronous requests each, of 65536 for all containers (io_setup(2))"),
		atLeast("net/ipv4/neigh/default/gc_thresh3", "8192", "above 1024 neighbours, containers on large bridges lose packets: \"neighbour table overflow\" (arp(7))"),
		atLeast("net/ipv6/neigh/default/gc_thresh3", "8192", "the same for IPv6"),
		exact("fs/protected_symlinks", "1", "links in /tmp are followed only for their owner, as distributions set it; the kernel's default is off (proc_sys_fs(5))"),
		exact("fs/protected_hardlinks", "1", "nobody links to files that they could not write, as distributions set it"),
		exact("fs/protected_fifos", "1", "nobody is tricked into writing to another's FIFO in /tmp, as distributions set it"),
		exact("fs/protected_regular", "1", "the same for files"),
	}
}
