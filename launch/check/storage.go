package check

import (
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
)

// newestDocker stands for a daemon of unknown version.
const newestDocker = 1 << 10

func storageFindings(r Request, f *Facts, c kconfig.Conditions) []finding.Finding {
	s := f.Storage
	list := []finding.Finding{dataRootFinding(f)}
	trial, overlay := overlayFinding(f)
	major := newestDocker
	if f.User.Docker.Known() && !f.User.Docker.Dev {
		major = f.User.Docker.Major
	}
	choice := storage.Choice{
		Major: major, Configured: c.StorageDriver, Remapped: c.UserNS, Prior: s.Prior, Trial: trial, ZFS: s.ZFS, FUSE: s.FUSE,
	}
	if on, ok := snapshotter(r); ok {
		choice.Snapshotter = &on
	}
	driver := storage.Choose(choice)
	list = append(list, overlay)
	out := finding.Finding{ID: "storage.driver", Area: finding.Storage, Status: finding.OK, Severity: finding.Degraded, Note: "dockerd takes " + driver.Name + ": " + driver.Why}
	switch {
	case driver.Fails:
		out.Status, out.Severity = finding.Disabled, finding.Fatal
		out.Note += "; " + driver.Warning
		out.Lost, out.Fix = "dockerd does not start", "name a driver that works with --storage-driver, or take the option out"
	case overlay.Status == finding.Unknown:
		out.Status, out.Note = finding.Unknown, out.Note+", as far as can be told without a trial"
	case driver.Name == "overlayfs" && !trial.Overlay:
		out.Status, out.Severity = finding.Disabled, finding.Fatal
		out.Note += "; " + trial.Reason
		out.Lost, out.Fix = "every image: none can be unpacked", overlay.Fix
	case driver.Name == "vfs":
		out.Status, out.Lost = finding.Disabled, "speed and disk space: every layer and container is a full copy"
		out.Fix = "put the data-root on ext4, xfs or btrfs, so that overlay2 works: vfs is for volumes and tests, and the last resort"
	case driver.Name == "btrfs" || driver.Name == "zfs":
		if s.FSType != driver.Name {
			out.Status, out.Severity, out.Lost = finding.Disabled, finding.Fatal, "dockerd does not start: "+driver.Name+" works only where the data-root is on it"
			out.Fix = "take overlay2, or put the data-root on " + driver.Name
		}
	}
	list = append(list, out)
	return append(list, leftovers(f, major)...)
}

// snapshotter is the feature containerd-snapshotter of the command line and of daemon.json.
func snapshotter(r Request) (on, ok bool) {
	const name = "containerd-snapshotter="
	for _, values := range [][]string{r.Daemon.Args.Values("feature"), r.Daemon.File.Values("feature")} {
		for _, v := range values {
			if value, is := strings.CutPrefix(v, name); is {
				return value == "true", true
			}
		}
	}
	return false, false
}

func dataRootFinding(f *Facts) finding.Finding {
	s := f.Storage
	out := finding.Finding{ID: "storage.data-root", Area: finding.Storage, Status: finding.OK, Severity: finding.Degraded, Note: s.DataRoot}
	switch {
	case s.ReadOnly:
		out.Status, out.Severity, out.Lost = finding.Disabled, finding.Fatal, "dockerd does not start: it has no place for its data"
		out.Note = "the data-root " + s.DataRoot + " lies on a read-only " + s.FSType
		out.Fix = "mount a volume there, or name another place with --data-root"
	case s.FSType == "overlay":
		out.Status, out.Lost = finding.Disabled, "speed and disk space: overlay2 does not work on an overlay filesystem, and every layer is a full copy"
		out.Note = "the data-root " + s.DataRoot + " lies on an overlay filesystem"
		out.Fix = "mount a volume there"
		if f.For == host.Container {
			out.Fix = "make it a volume: VOLUME " + s.DataRoot + " in the Dockerfile, or docker run -v docker-data:" + s.DataRoot
		}
	case s.FSType == "tmpfs" || s.FSType == "ramfs":
		out.Status, out.Severity, out.Lost = finding.Disabled, finding.Info, "images and containers at the next boot, and memory for them until then"
		out.Note, out.Fix = "the data-root "+s.DataRoot+" lies in memory", "mount a disk there"
	case !s.Exists:
		out.Note += " is not there yet, and will lie on " + s.FSType
	default:
		out.Note += " is on " + s.FSType
	}
	return out
}

// goodFilesystems are those that overlay works on, as all who use it know; on others only a trial tells.
func goodFilesystems() []string {
	return []string{"ext4", "ext3", "ext2/ext3", "xfs", "btrfs", "f2fs", "tmpfs"}
}

// overlayFinding judges overlay, by a trial where there was one. The result is what the driver is chosen from.
func overlayFinding(f *Facts) (storage.Trial, finding.Finding) {
	s := f.Storage
	out := finding.Finding{ID: "storage.overlay", Area: finding.Storage, Status: finding.OK, Severity: finding.Degraded}
	if s.Trial != nil {
		out.Note = "an overlay with two lower layers was mounted, and did what layers need (whiteouts, d_type)"
		if !s.Trial.Overlay {
			out.Status, out.Lost = finding.Disabled, "overlay2, the driver that is best for nearly everybody"
			out.Note, out.Fix, _ = strings.Cut(s.Trial.Reason, "; ")
		}
		return *s.Trial, out
	}
	trial := storage.Trial{FSType: s.FSType, Overlay: s.FSType == "" || slices.Contains(goodFilesystems(), s.FSType)}
	out.Status, out.Severity, out.Note = finding.Unknown, finding.Info, "no trial mount: "+s.NoTrial
	if !trial.Overlay {
		trial.Reason = "overlay2 does not work on " + s.FSType
	}
	return trial, out
}

// leftovers are data of drivers that this Docker does not have, and advice of old that people still follow.
func leftovers(f *Facts, major int) []finding.Finding {
	s := f.Storage
	gone := map[string]int{"aufs": 24, "overlay": 24, "devicemapper": 25}
	var list []finding.Finding
	for _, name := range []string{"aufs", "overlay", "devicemapper"} {
		out := finding.Finding{ID: "storage." + name, Area: finding.Storage, Status: finding.NotApplicable, Severity: finding.Degraded}
		switch {
		case major < gone[name] && name == "aufs" && s.FSType == "btrfs":
			out.Note = "aufs is refused on btrfs: take btrfs itself, or overlay2"
		case major < gone[name]:
			out.Note = "this Docker has it still; overlay2 is better, and the only one of them that later ones have"
		case slices.Contains(s.Prior, name):
			folder := s.DataRoot + "/" + name
			out.Status, out.Lost = finding.Disabled, "images and containers that were made with "+name+": no Docker since "+docker(gone[name])+" has it"
			out.Note = "data of " + name + " is left in " + folder
			out.Fix = "with a Docker before " + docker(gone[name]) + ": docker save the images, docker commit or cp what containers hold; then rm -rf " + folder
			if name == "devicemapper" {
				out.Fix += " and remove its thin pool (dmsetup ls; lvremove), or the loopback files in it"
			}
		case name == "aufs":
			out.Note = "aufs is gone from Docker since 24, and never was in the mainline kernel; it was never good on btrfs"
		case name == "devicemapper":
			out.Note = "devicemapper is gone from Docker since 25, on loopback files as on a raw partition"
		default:
			out.Note = "overlay is gone from Docker since 24; overlay2 took its place"
		}
		list = append(list, out)
	}
	btrfs := finding.Finding{ID: "storage.btrfs", Area: finding.Storage, Status: finding.NotApplicable, Severity: finding.Info, Note: "btrfs is a driver only where the data-root is on it"}
	if s.FSType == "btrfs" {
		btrfs.Status, btrfs.Note = finding.OK, "the data-root is on btrfs: overlay2 works there too, and is what dockerd takes from 23 on where nothing else is said"
	}
	return append(list, btrfs)
}

func docker(major int) string {
	return "Docker " + string(rune('0'+major/10)) + string(rune('0'+major%10))
}
