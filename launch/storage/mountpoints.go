package storage

import (
	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/mounts"
)

// mountPoints tells where devices are mounted, one place of each. Without a mount table nothing is.
func mountPoints() map[uint64]string {
	info, err := mounts.Read()
	if err != nil {
		return nil
	}
	at := map[uint64]string{}
	for _, e := range info.Entries() {
		dev := unix.Mkdev(uint32(e.Major), uint32(e.Minor))
		if _, known := at[dev]; !known {
			at[dev] = e.Target
		}
		// A btrfs has a number of its own; its source is one of its devices.
		var st unix.Stat_t
		if e.FSType == "btrfs" && unix.Stat(e.Source, &st) == nil {
			at[uint64(st.Rdev)] = e.Target
		}
	}
	return at
}
