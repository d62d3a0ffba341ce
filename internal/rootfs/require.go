package rootfs

import "slices"

// Group is one section of the table.
type Group string

// The sections, in the order in which they are printed.
const (
	GroupLauncher Group = "launcher"
	GroupDocker   Group = "docker"
	GroupFirewall Group = "firewall"
	GroupTools    Group = "tools"
	GroupGit      Group = "git"
	GroupMachine  Group = "machine"
	GroupNotices  Group = "licences"
	GroupLibrary  Group = "libraries"
)

// groups lists every section once, in order.
var groups = []Group{GroupLauncher, GroupDocker, GroupFirewall, GroupTools, GroupGit, GroupMachine, GroupNotices, GroupLibrary}

// Requirement is one thing the tree must hold.
type Requirement struct {
	// Name is what a person calls it.
	Name string
	// Group is the section it is printed in.
	Group Group
	// Why says who calls it, or what fails without it.
	Why string
	// Packages are the Debian packages that bring it.
	Packages []Package
	// Files are the files it consists of.
	Files []File
	// Globs are path.Match patterns for files that nothing names, such as plug-ins. Each must match something.
	Globs []string
	// Links are symbolic links that the packages make when they are installed, or that their own layout has.
	Links []Link
	// Libraries are sonames that are loaded with dlopen, which no ELF header tells.
	Libraries []string
	// Folders are empty folders that it looks for.
	Folders []string
	// Certificates says that the file in Files is assembled from the certificates that match Globs.
	Certificates bool
}

// Package is a Debian package by name.
type Package struct {
	Name string
	// NotIn are suites that do not have it, because another package there has its files.
	NotIn []string
}

// File is a file of the tree. All paths are relative to the root, and the merged /usr's.
type File struct {
	// Path is where the file is put.
	Path string
	// From are further paths at which a package may have it.
	From []string
}

// Link is a symbolic link at Path that holds Target.
type Link struct{ Path, Target string }

func packages(names ...string) []Package {
	out := make([]Package, len(names))
	for i, name := range names {
		out[i].Name = name
	}
	return out
}

// program is a file in /usr/bin, where the archive from Docker and upstream's packages have it; Debian has some in /usr/sbin.
func program(name string) []File {
	return []File{{Path: "usr/bin/" + name, From: []string{"usr/sbin/" + name}}}
}

// tool is a file in /usr/sbin.
func tool(name string) []File {
	return []File{{Path: "usr/sbin/" + name, From: []string{"usr/bin/" + name}}}
}

// links gives each name in folder a link to target.
func links(folder, target string, names ...string) []Link {
	out := make([]Link, len(names))
	for i, name := range names {
		out[i] = Link{Path: folder + "/" + name, Target: target}
	}
	return out
}

// CertificateBundle is where every program of the tree looks for the authorities it trusts.
const CertificateBundle = "etc/ssl/certs/ca-certificates.crt"

const gitCore = "usr/lib/git-core/"

// requirements is the table: everything in the tree but shared libraries, which follow from it.
var requirements = []Requirement{
	{
		Name: "dockerd", Group: GroupDocker, Why: "the daemon",
		Packages: packages("docker.io"), Files: program("dockerd"),
	},
	{
		Name: "containerd", Group: GroupDocker, Why: "dockerd starts it, and runs containers and pulls images through it",
		Packages: packages("containerd"), Files: program("containerd"),
	},
	{
		Name: "containerd-shim-runc-v2", Group: GroupDocker, Why: "containerd starts one for each container, and it stays with it",
		Packages: packages("containerd"), Files: program("containerd-shim-runc-v2"),
	},
	{
		Name: "runc", Group: GroupDocker, Why: "makes a container's namespaces and cgroup, and starts its first process",
		Packages: packages("runc"), Files: program("runc"),
	},
	{
		Name: "docker-proxy", Group: GroupDocker, Why: "dockerd starts one for each published port; from 25.0 it does not start without it",
		Packages: packages("docker.io"), Files: program("docker-proxy"),
	},
	{
		Name: "docker-init", Group: GroupDocker, Why: "docker run --init: tini, linked statically because it runs in the container",
		Packages: packages("docker.io"), Files: []File{{Path: "usr/bin/docker-init", From: []string{"usr/libexec/docker/docker-init"}}},
	},
	{
		Name: "docker", Group: GroupDocker, Why: "the client",
		Packages: []Package{{Name: "docker-cli", NotIn: []string{"bookworm"}}}, Files: program("docker"),
	},
	{
		Name: "iptables (nft)", Group: GroupFirewall, Why: "dockerd's NAT and isolation rules, through nf_tables; the default",
		Packages: packages("iptables"), Files: tool("xtables-nft-multi"),
		Links: links("usr/sbin", "xtables-nft-multi",
			"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
			"iptables-nft", "iptables-nft-save", "iptables-nft-restore", "ip6tables-nft", "ip6tables-nft-save", "ip6tables-nft-restore"),
	},
	{
		Name: "iptables (legacy)", Group: GroupFirewall, Why: "the same through ip_tables, for a host that has such rules already",
		Packages: packages("iptables"), Files: tool("xtables-legacy-multi"),
		Links: links("usr/sbin", "xtables-legacy-multi",
			"iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore",
			"ip6tables-legacy", "ip6tables-legacy-save", "ip6tables-legacy-restore"),
	},
	{
		// Docker's own rules use addrtype, bpf, conntrack, ipvs, mark, policy, set, tcp, DNAT, MARK, MASQUERADE, REDIRECT and
		// SNAT (moby, daemon/libnetwork), and which of them depends on its version. All plug-ins come along, because
		// iptables fails at a rule whose plug-in it lacks, and in the chain DOCKER-USER, and wherever the network namespace
		// is shared, the rules are other people's.
		Name: "iptables plug-ins", Group: GroupFirewall, Why: "loaded by name for each match and target in a rule, the user's own rules included",
		Packages: packages("iptables"),
		Globs:    []string{"usr/lib/*/xtables/libxt_*.so", "usr/lib/*/xtables/libipt_*.so", "usr/lib/*/xtables/libip6t_*.so"},
	},
	{
		Name: "ps", Group: GroupTools, Why: "docker top",
		Packages: packages("procps"), Files: program("ps"),
	},
	{
		Name: "xz", Group: GroupTools, Why: "layers, build contexts and ADD archives that are packed with xz",
		Packages: packages("xz-utils"), Files: program("xz"),
	},
	{
		Name: "ca-certificates.crt", Group: GroupTools, Why: "TLS to registries, and to git servers",
		Packages: packages("ca-certificates"), Files: []File{{Path: CertificateBundle}},
		Globs: []string{"usr/share/ca-certificates/mozilla/*.crt"}, Certificates: true,
	},
	{
		Name: "git", Group: GroupGit, Why: "docker build of a git URL",
		Packages: packages("git"), Files: program("git"),
		// git runs itself by the paths below its exec-path. git-upload-pack is the other end of a file:// URL, the others
		// are what a user-space check of Docker's needs looks for.
		Links: append(links("usr/lib/git-core", "../../bin/git", "git"),
			links("usr/lib/git-core", "git", "git-checkout", "git-clone", "git-upload-pack")...),
		// An empty folder keeps git init from warning that it has no templates.
		Folders: []string{"usr/share/git-core/templates"},
		// pthread_exit loads it, and the process aborts where it is missing. git ends its threads so when a transfer fails.
		Libraries: []string{"libgcc_s.so.1"},
	},
	{
		Name: "git-remote-https", Group: GroupGit, Why: "git over http and https",
		Packages: packages("git"), Files: []File{{Path: gitCore + "git-remote-http"}},
		Links: links("usr/lib/git-core", "git-remote-http", "git-remote-https"),
	},
	{
		Name: "git-submodule", Group: GroupGit, Why: "a build's git repository with submodules; a shell script, with the two it reads",
		Packages: packages("git"),
		Files:    []File{{Path: gitCore + "git-submodule"}, {Path: gitCore + "git-sh-setup"}, {Path: gitCore + "git-sh-i18n"}},
	},
	{
		Name: "git-sh-i18n--envsubst", Group: GroupGit, Why: "git-submodule writes its messages with it, and runs it at every start",
		Packages: packages("git"), Files: []File{{Path: gitCore + "git-sh-i18n--envsubst"}},
	},
	{
		Name: "sh", Group: GroupGit, Why: "git-submodule, and the command in GIT_SSH_COMMAND, which Docker's builder sets; dash",
		Packages: packages("dash"), Files: []File{{Path: "usr/bin/dash"}}, Links: links("usr/bin", "dash", "sh"),
	},
	{
		Name: "sed", Group: GroupGit, Why: "git-submodule",
		Packages: packages("sed"), Files: program("sed"),
	},
	{
		Name: "basename", Group: GroupGit, Why: "git-submodule",
		Packages: packages("coreutils"), Files: program("basename"),
	},
	{
		Name: "uname", Group: GroupGit, Why: "git-submodule",
		Packages: packages("coreutils"), Files: program("uname"),
	},
	{
		Name: "ssh", Group: GroupGit, Why: "git over ssh",
		Packages: packages("openssh-client"), Files: program("ssh"),
	},
	{
		Name: "mke2fs", Group: GroupMachine, Why: "formats a blank data disk",
		Packages: packages("e2fsprogs"), Files: tool("mke2fs"), Links: links("usr/sbin", "mke2fs", "mkfs.ext4"),
	},
	{
		Name: "e2fsck", Group: GroupMachine, Why: "checks the data disk before it is mounted",
		Packages: packages("e2fsprogs"), Files: tool("e2fsck"), Links: links("usr/sbin", "e2fsck", "fsck.ext4"),
	},
	{
		Name: "resize2fs", Group: GroupMachine, Why: "grows the data disk's file system when the disk has grown",
		Packages: packages("e2fsprogs"), Files: tool("resize2fs"),
	},
	{
		// What is handed on has to carry its licences: the copyright file of each package, which is found by the packages that
		// something was taken from, and the texts that those files refer to.
		Name: noticesName, Group: GroupNotices, Why: "the packages' copyright files, which have to go where the programs go",
		Packages: packages("base-files"), Globs: []string{"usr/share/common-licenses/*"},
	},
}

// noticesName is the requirement that the packages' copyright files are there for.
const noticesName = "copyright files"

// wanted gives the requirements of a tree.
func (o Options) wanted() []Requirement {
	return slices.DeleteFunc(slices.Clone(requirements), func(r Requirement) bool {
		return r.Group == GroupGit && !o.Git || r.Group == GroupMachine && !o.Machine || r.Group == GroupNotices && !o.Notices
	})
}

// PackageNames lists the Debian packages of suite that bring what can be wanted, with or without git, sorted, without those
// that they depend on: trees of containers and of machines are made from the same folder. Where Docker's programs come from
// Docker's own archive, their packages are left out.
func PackageNames(suite string, git, dockerArchive bool) []string {
	var names []string
	for _, r := range (Options{Git: git, Machine: true, Notices: true}).wanted() {
		if r.Group == GroupDocker && dockerArchive {
			continue
		}
		for _, p := range r.Packages {
			if !slices.Contains(p.NotIn, suite) {
				names = append(names, p.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// folder is a folder that every root has, with its mode.
type folder struct {
	path string
	mode uint32
}

// skeleton is what the tree has besides programs: mount points and places that are written to. The files in /etc are the
// launcher's, which makes them at every start where they are missing.
var skeleton = []folder{
	{"dev", 0o755}, {"etc", 0o755}, {"proc", 0o755}, {"root", 0o700}, {"run", 0o755}, {"sys", 0o755},
	{"tmp", 0o1777}, {"usr/bin", 0o755}, {"usr/lib", 0o755}, {"usr/lib64", 0o755}, {"usr/sbin", 0o755}, {"var/lib", 0o755},
}

// treeLinks are those of a merged /usr (packages older than the merge are read as if they had it), and /var/run, where dockerd
// keeps its socket and state: on a read-only root the launcher could not make that one.
var treeLinks = []Link{{"bin", "usr/bin"}, {"lib", "usr/lib"}, {"lib64", "usr/lib64"}, {"sbin", "usr/sbin"}, {"var/run", "../run"}}
