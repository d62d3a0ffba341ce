// Package rootfs builds the root tree that Docker runs in from Debian packages: the programs that Docker needs, the shared
// libraries that those need, found by reading their ELF headers, and nothing else. It is build tooling; the launcher does
// not use it.
//
//	report, err := rootfs.Build(ctx, rootfs.Options{Packages: "build/packages/trixie", Out: "build/rootfs", Git: true})
//
// What is wanted is the table in require.go. The way from packages to a tree:
//
//	.deb files ── Store ──> Index: every path of every package
//	table + Index ── planner ──> Nodes: what the tree will hold, and why
//	Nodes ── write, swap ──> the tree, and its manifest beside it
//
// The same packages, options and launcher give the same tree, byte for byte, with modes and times.
package rootfs
