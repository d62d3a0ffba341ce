// Package mounts holds the mount table of a Docker host and applies it idempotently: what is mounted and right is kept,
// what is missing is mounted, and what is there and wrong is an error that names it and is left alone.
//
//	for _, m := range mounts.Base() {
//		kept, err := m.Apply(ctx)
//		...
//	}
//
// Every action (Mount, Device, Link, VarRun, Propagation) is plain data with an Apply method, so a plan made of them can be
// compared and printed before anything is changed. A Mount is applied in three parts, each usable alone: Observe reads what
// stands at a target, Mount.Decide is a pure function of that, and Apply carries it out and looks again.
//
// RootMove and RootSwitch leave an initramfs, at the beginning of a machine's life, and UnmountAll is for its end.
//
// Observe needs no /proc: it asks statx(2) and statfs(2), and uses the mount table (Read, Parse) only to name what those
// cannot tell apart, for example a devtmpfs from a tmpfs.
//
// The package is Linux only. It logs nothing, reads no environment and knows nothing of who calls it.
package mounts
