package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Driver is the storage driver that dockerd is going to take.
type Driver struct {
	Name string `json:"name"` // "overlay2", or "overlayfs" of containerd
	Why  string `json:"why"`
	// Warning says what is wrong with it, "" if nothing is.
	Warning string `json:"warning,omitempty"`
	// Fails tells that dockerd does not start.
	Fails bool `json:"fails,omitempty"`
}

// Choice is what dockerd's choice depends on.
type Choice struct {
	Major      int    // of dockerd's version
	Configured string // --storage-driver, DOCKER_DRIVER, or storage-driver in daemon.json
	// Snapshotter is the feature containerd-snapshotter of daemon.json; nil where nothing is said.
	Snapshotter *bool
	Remapped    bool     // userns-remap
	Prior       []string // see PriorDrivers
	Trial       Trial
	ZFS         bool // the program zfs and /dev/zfs are there
	FUSE        bool // the program fuse-overlayfs and /dev/fuse are there
}

// drivers in the order in which a version of dockerd tries them: priority in daemon/graphdriver/driver_linux.go of moby's tags
// v20.10.24, v23.0.0, v26.1.5 and v28.5.2. aufs and overlay went with 24, devicemapper with 25.
func drivers(major int) []string {
	switch {
	case major < 23:
		return []string{"btrfs", "zfs", "overlay2", "fuse-overlayfs", "aufs", "overlay", "devicemapper", "vfs"}
	case major < 24:
		return []string{"overlay2", "fuse-overlayfs", "btrfs", "zfs", "aufs", "overlay", "devicemapper", "vfs"}
	case major < 25:
		return []string{"overlay2", "fuse-overlayfs", "btrfs", "zfs", "devicemapper", "vfs"}
	}
	return []string{"overlay2", "fuse-overlayfs", "btrfs", "zfs", "vfs"}
}

// PriorDrivers lists the drivers whose folder in a data-root holds something. vfs is left out, as in scanPriorDrivers of
// daemon/graphdriver/driver.go.
func PriorDrivers(root string) []string {
	var prior []string
	for _, name := range drivers(0) {
		if name == "vfs" {
			continue
		}
		f, err := os.Open(filepath.Join(root, name))
		if err != nil {
			continue // it is not there
		}
		names, err := f.Readdirnames(1)
		f.Close()
		if err == nil && len(names) > 0 {
			prior = append(prior, name)
		}
	}
	return prior
}

// Choose says which driver dockerd is going to take. It is pure.
func Choose(c Choice) Driver {
	order := drivers(c.Major)
	d := Driver{}
	switch {
	case c.Configured != "":
		d.Name, d.Why = c.Configured, "it is configured"
	case len(c.known(order)) > 1:
		prior := c.known(order)
		return Driver{
			Name: prior[0], Fails: true, Why: "the data-root holds data of " + strings.Join(prior, " and "),
			Warning: "dockerd does not choose between them: name one with --storage-driver, or remove the others' folders",
		}
	case len(c.known(order)) == 1:
		d.Name, d.Why = c.known(order)[0], "the data-root holds its data"
	case c.Snapshotter != nil && *c.Snapshotter, c.Snapshotter == nil && c.Major >= 29 && !c.Remapped:
		d.Name, d.Why = "overlayfs", "it is the containerd snapshotter that Docker takes from version 29 on"
		if c.Major < 29 {
			d.Why = "the feature containerd-snapshotter is on"
		}
	default:
		i := slices.IndexFunc(order, c.works)
		if i < 0 {
			i = len(order) - 1
		}
		d.Name, d.Why = order[i], fmt.Sprintf("it is the first that works of %s", strings.Join(order, ", "))
	}
	if gone := slices.DeleteFunc(slices.Clone(c.Prior), func(name string) bool { return slices.Contains(order, name) }); len(gone) > 0 && c.Configured == "" {
		d.Warning = "the data-root holds data of " + strings.Join(gone, " and ") + ", which this version of Docker does not have any more: its images are not seen"
	}
	switch {
	case !slices.Contains(append(order, "overlayfs", "native", "stargz", "nydus"), d.Name):
		d.Fails, d.Warning = true, "this version of Docker does not have it"
	case (d.Name == "overlay2" || d.Name == "overlayfs" || d.Name == "overlay") && !c.Trial.Overlay:
		d.Fails, d.Warning = d.Name != "overlayfs", c.Trial.Reason
	case d.Name == "vfs":
		d.Warning = "every layer and container is a full copy: it is slow and takes much space"
		if c.Trial.Reason != "" {
			d.Warning += "; " + c.Trial.Reason
		}
	}
	return d
}

// known are the prior drivers that this version has, in its order.
func (c Choice) known(order []string) []string {
	var list []string
	for _, name := range order {
		if slices.Contains(c.Prior, name) {
			list = append(list, name)
		}
	}
	return list
}

// works tells of the drivers that are tried without being asked for.
func (c Choice) works(name string) bool {
	switch name {
	case "overlay2":
		return c.Trial.Overlay
	case "fuse-overlayfs":
		return c.FUSE
	case "btrfs":
		return c.Trial.FSType == "btrfs"
	case "zfs":
		return c.Trial.FSType == "zfs" && c.ZFS
	case "vfs":
		return true
	}
	return false
}
