package storage

import (
	"fmt"
	"strings"
)

// Kind is what a disk or partition holds.
type Kind string

const (
	// Blank: every byte read is zero, see Identify for which these are.
	Blank Kind = "blank"
	// Interrupted: a formatting by this package was cut short, and nothing else was written since. See Marker. It may be
	// formatted like a blank one.
	Interrupted Kind = "interrupted"
	// Filesystem: FSType says which.
	Filesystem Kind = "filesystem"
	// Table: a partition table; FSType is "gpt" or "dos".
	Table Kind = "table"
	// Member: part of a RAID, volume group, pool or encrypted volume, or swap space; FSType says of what.
	Member Kind = "member"
	// Unknown: there is something on it.
	Unknown Kind = "unknown"
)

// Content is what Identify finds.
type Content struct {
	Kind Kind `json:"kind"`
	// FSType is the kernel's name of a filesystem ("ext4", "xfs"), or that of another format as blkid(8) has it ("gpt",
	// "crypto_LUKS", "LVM2_member", "linux_raid_member", "zfs_member", "swap", "bcache").
	FSType string `json:"fstype,omitempty"`
	Label  string `json:"label,omitempty"`
	UUID   string `json:"uuid,omitempty"` // as blkid(8) prints it
	// Size is how many bytes the filesystem takes; 0 where that is not known.
	Size uint64 `json:"size,omitempty"`
	// Devices is how many disks a btrfs is made of; 0 for other kinds.
	Devices uint64 `json:"devices,omitempty"`
	// NoDType tells of an xfs that was made without ftype, on which overlay2 does not run.
	NoDType bool `json:"no_d_type,omitempty"`
	// Partitions are those of a GPT.
	Partitions []Partition `json:"partitions,omitempty"`
	// Detail says more about the kind: where the first byte was found that is not zero, or which signatures contradict.
	Detail string `json:"detail,omitempty"`
	// Marker is set with Interrupted, and with a filesystem that the marked formatting made and somebody has mounted since.
	Marker *Marker `json:"marker,omitempty"`
}

// String is for messages: `ext4 "docker-data"`.
func (c Content) String() string {
	switch c.Kind {
	case Blank:
		return "blank"
	case Interrupted:
		return "a formatting that was cut short"
	case Table:
		return c.FSType + " partition table"
	case Unknown:
		return strings.TrimSuffix("unknown data: "+c.Detail, ": ")
	}
	text := c.FSType
	if c.Label != "" {
		text += fmt.Sprintf(" %q", c.Label)
	}
	return text
}

// Partition is an entry of a GPT.
type Partition struct {
	Number int    `json:"number"` // from 1
	Type   string `json:"type"`   // UUIDs in lower case
	UUID   string `json:"uuid"`
	Name   string `json:"name,omitempty"`
	Start  uint64 `json:"start"` // bytes
	Size   uint64 `json:"size"`  // bytes
}
