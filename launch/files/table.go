package files

import (
	"io/fs"
	"strings"
)

// Expected lists the files that Docker, or a program that it calls, reads and that a root tree made from scratch lacks.
// nameservers are written into /etc/resolv.conf.
func Expected(nameservers []string) []File {
	return []File{
		{
			Path: "/etc/os-release", Mode: 0o644, Also: "/usr/lib/os-release",
			Content: "NAME=dockerlaunch\nID=dockerlaunch\nPRETTY_NAME=\"a root tree started by dockerlaunch\"\n",
			Purpose: "docker info names the system by it, and dockerd warns each time where it is missing",
		},
		{
			Path: "/etc/passwd", Mode: 0o644,
			Content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
			Purpose: "git, ssh and dockerd look up the user's name and home",
		},
		{
			Path: "/etc/group", Mode: 0o644,
			// tty is the group that /dev/pts is mounted with, docker the one that dockerd gives its socket to.
			Content: "root:x:0:\ntty:x:5:\ndocker:x:999:\nnogroup:x:65534:\n",
			Purpose: "dockerd gives its socket to the group docker",
		},
		{
			Path: "/etc/hosts", Mode: 0o644,
			Content: "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
			Purpose: "localhost is looked up here",
		},
		{
			Path: "/etc/nsswitch.conf", Mode: 0o644,
			Content: "passwd: files\ngroup: files\nhosts: files dns\n",
			Purpose: "without it Go and the C library disagree on whether /etc/hosts or DNS comes first",
		},
		{
			Path: "/etc/resolv.conf", Mode: 0o644,
			Content: resolvConf(nameservers),
			Purpose: "dockerd resolves registries with it and hands it to containers",
		},
	}
}

// resolvConf never names a public resolver: whom a machine asks is its owner's decision.
func resolvConf(nameservers []string) string {
	if len(nameservers) == 0 {
		return "# No name server was known when dockerlaunch made this file: add a line \"nameserver ADDRESS\".\n"
	}
	// Package network replaces a file that says this in its first line when it learns of others.
	var b strings.Builder
	b.WriteString("# dockerlaunch made this file out of the kernel's ip= option. Take this line out and it is yours.\n")
	for _, server := range nameservers {
		b.WriteString("nameserver " + server + "\n")
	}
	return b.String()
}

// Folders lists the folders that Docker expects, apart from the data-root.
func Folders() []Dir {
	return []Dir{
		{Path: "/etc/docker", Mode: 0o755, Purpose: "daemon.json, registries' certificates and dockerd's own key"},
		{Path: "/root", Mode: 0o700, Purpose: "the home of root, where git and ssh look for their settings"},
		{Path: "/tmp", Mode: 0o777 | fs.ModeSticky, Purpose: "docker load and docker build unpack here"},
		{Path: "/var/lib", Mode: 0o755, Purpose: "the data-root's parent"},
	}
}

// DataRoot is the folder with images and containers; dockerd itself makes it with the same mode (daemon/daemon.go).
func DataRoot(path string) Dir {
	return Dir{Path: path, Mode: 0o710, Writable: true, Purpose: "the data-root: images, containers and volumes"}
}
