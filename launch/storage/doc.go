// Package storage finds and prepares the disk that the data-root lies on, and looks after what lies in it.
//
//	spec, err := storage.ParseSpec("LABEL=docker-data")
//	disks, err := storage.Survey(ctx, spec, 10*time.Second) // waits for the disk
//	plan := storage.Decide(storage.Request{Spec: spec, Target: "/var/lib/docker"}, disks)
//	result, err := storage.Preparer{Runner: r}.Apply(ctx, plan)
//
// A disk with anything on it is never formatted: Identify, a pure function of a disk's bytes, calls Blank only what has nothing
// in any of the places that it reads, and everything that it does not know is Unknown. Decide, a pure function too, chooses
// a blank disk only where formatting was asked for.
//
// Lock keeps a second daemon off a data-root, SetAside renames files that a power cut left empty, and TryOverlay tries what the
// storage driver overlay2 needs.
package storage
