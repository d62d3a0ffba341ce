package check

import (
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
)

// newestDocker stands for a daemon of unknown version.
const newestDocker = 1 << 10

const goodPlace = "put the data-root on ext4, xfs or btrfs, so that overlay works"

// goodFilesystems are those that overlay works on; on others only a trial tells.
const goodFilesystems = ",ext4,ext3,ext2/ext3,xfs,btrfs,f2fs,tmpfs,"

// HoldsNoFiles tells of the filesystems that are windows into the kernel: nobody can make a file there.
func HoldsNoFiles(fstype string) bool {
	return fstype != "" && listed(",proc,sysfs,devpts,cgroup,cgroup2,securityfs,debugfs,tracefs,selinuxfs,bpf,mqueue,configfs,pstore,efivarfs,binfmt_misc,autofs,nsfs,", fstype)
}

func (b *book) storage(r *Request, f *Facts) {
	s := &f.Storage
	b.dataRoot(f)
	major := newestDocker
	if f.User.Docker.Known() && !f.User.Docker.Dev {
		major = f.User.Docker.Major
	}
	choice := choose(r, s, major)
	how, note, fix := ok, "an overlay with two lower layers was mounted, and did what layers need (whiteouts, d_type)", ""
	switch {
	case s.Trial == nil:
		how, note = unknown, "no trial mount: "+s.NoTrial
	case !s.Trial.Overlay:
		how = offLost
		if note, fix, _ = strings.Cut(s.Trial.Reason, "; "); fix == "" {
			fix = goodPlace
		}
	}
	b.add("storage.overlay", how, note, "overlay2, the driver that is best for nearly everybody", fix)
	b.driver(s, choice)
	b.leftovers(s, major)
}

// choose is what dockerd of a version has to choose a driver by. Where there was no trial mount, the filesystem tells.
func choose(r *Request, s *StorageFacts, major int) storage.Choice {
	c := storage.Choice{
		Major: major, Configured: r.Daemon.StorageDriver(), Remapped: value(&r.Daemon, "userns-remap") != "", Prior: s.Prior,
		Snapshotter: snapshotter(r), ZFS: s.ZFS, FUSE: s.FUSE,
	}
	if s.Trial != nil {
		c.Trial = *s.Trial
		return c
	}
	c.Trial = storage.Trial{FSType: s.FSType, Overlay: s.FSType == "" || listed(goodFilesystems, s.FSType)}
	if !c.Trial.Overlay {
		c.Trial.Reason = "overlay2 does not work on " + s.FSType
	}
	return c
}

// driver judges the driver that dockerd takes.
func (b *book) driver(s *StorageFacts, choice storage.Choice) {
	tried := s.Trial != nil
	driver := storage.Choose(choice)
	how, note, fix := ok, "dockerd takes "+driver.Name+": "+driver.Why, ""
	if driver.Fails {
		note = "dockerd cannot take " + driver.Name + ", though " + driver.Why
	}
	lost := "dockerd does not start"
	switch {
	case driver.Fails && (tried || len(s.Prior) > 1 || choice.Trial.Overlay):
		how, fix = offFatal, "name a driver that works with --storage-driver, or leave the choice to dockerd"
	case driver.Name == "overlayfs" && tried && !choice.Trial.Overlay:
		how, lost, fix = offFatal, "every image: none can be unpacked", goodPlace
	case (driver.Name == "btrfs" || driver.Name == "zfs") && s.FSType != driver.Name && s.FSType != "":
		how, fix = offFatal, "take overlay2: "+driver.Name+" works only where the data-root is on it"
	case driver.Name == "vfs":
		how, lost = offLost, "speed and disk space: every layer and container is a full copy"
		fix = goodPlace + ": vfs is for volumes and tests, and the last resort"
	case !tried:
		how = unknown
	}
	if driver.Warning != "" && how != ok && how != unknown {
		note += "; " + driver.Warning
	}
	b.add("storage.driver", how, note, lost, fix)
}

// snapshotter is the feature containerd-snapshotter of the command line and of daemon.json; nil where neither speaks of it.
func snapshotter(r *Request) *bool {
	for _, v := range append(r.Daemon.Args.Values("feature"), r.Daemon.File.Values("feature")...) {
		if value, is := strings.CutPrefix(v, "containerd-snapshotter="); is {
			on := value == "true"
			return &on
		}
	}
	return nil
}

func (b *book) dataRoot(f *Facts) {
	s := &f.Storage
	how, note, lost, fix := ok, "the data-root "+s.DataRoot, "", "mount a volume there, or name another place with --data-root"
	switch {
	case s.ReadOnly:
		how, lost = offFatal, "dockerd does not start: it has no place for its data"
		note += " lies on a read-only " + s.FSType
	case HoldsNoFiles(s.FSType):
		how, lost = offFatal, "dockerd does not start: it has no place for its data"
		note += " lies on " + s.FSType + ", which holds no files"
	case s.FSType == "overlay":
		how, lost = offLost, "overlay2, which does not work on an overlay filesystem: every layer is a full copy"
		note += " lies on an overlay filesystem"
		if f.For == host.Container {
			fix = "make it a volume: VOLUME " + s.DataRoot + " in the Dockerfile, or docker run -v docker-data:" + s.DataRoot
		}
	case s.FSType == "tmpfs" || s.FSType == "ramfs":
		how, lost = offMinor, "images and containers at the next boot, and memory for them until then"
		note += " lies in memory"
	case !s.Exists:
		note += " is not there yet"
	default:
		note += " is on " + s.FSType
	}
	b.add("storage.data-root", how, note, lost, fix)
}

// goneDriver is one that later Dockers do not have.
type goneDriver struct {
	name, last, advice, clean string
	gone                      int // the first Docker without it
}

var goneDrivers = [...]goneDriver{
	{"aufs", "23", "never in the mainline kernel, and never good on btrfs; overlay2 took its place", "", 24},
	{"overlay", "23", "overlay2 took its place", "", 24},
	{"devicemapper", "24", "slow on loopback files; overlay2 took its place, on a raw partition's filesystem too", ", and its thin pool (dmsetup ls, lvremove)", 25},
}

// leftovers are data of drivers that this Docker does not have, and advice of old that people still follow.
func (b *book) leftovers(s *StorageFacts, major int) {
	for i := range goneDrivers {
		d := &goneDrivers[i]
		id, note := "storage.prior."+d.name, "gone after Docker "+d.last+"; "+d.advice
		if major < d.gone || !slices.Contains(s.Prior, d.name) {
			b.add(id, needless, note, "", "")
			continue
		}
		folder := s.DataRoot + "/" + d.name
		b.add(id, offLost, folder+" holds data of "+d.name+", which is "+note, "images and containers that were made with "+d.name,
			"with Docker "+d.last+" or before, docker save the images and docker cp what containers hold; then remove "+folder+d.clean)
	}
	how := needless
	if s.FSType == "btrfs" {
		how = ok
	}
	b.add("storage.btrfs", how, "a driver only where the data-root is on btrfs, where overlay2 works too", "", "")
}
