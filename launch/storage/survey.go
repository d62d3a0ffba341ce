package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a block device that has a size: a whole disk or a partition.
type Disk struct {
	Name  string `json:"name"`            // the kernel's: "vdb", "nvme0n1p2"
	Path  string `json:"path"`            // of its node
	Alias string `json:"alias,omitempty"` // the name that was asked for, where that is a link to Path
	Size  uint64 `json:"size"`            // bytes
	// Major and Minor are st_rdev of the node.
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`

	ReadOnly  bool   `json:"read_only,omitempty"`
	Removable bool   `json:"removable,omitempty"`
	Parent    string `json:"parent,omitempty"` // the disk that a partition is on
	// Partition is the number of a partition, 0 of a whole disk. Name and UUID are those of its table.
	Partition int    `json:"partition,omitempty"`
	PartName  string `json:"part_name,omitempty"`
	PartUUID  string `json:"part_uuid,omitempty"`
	// UsedBy names what has the disk open: partitions, devices on top of it ("dm-0"), or a mount point.
	UsedBy  []string `json:"used_by,omitempty"`
	Content Content  `json:"content"`
	// Err is why the content is not known.
	Err error `json:"-"`
}

// String is for messages: "/dev/vdb (ext4 "docker-data", 20.0 GiB)".
func (d Disk) String() string {
	what := d.Content.String()
	if d.Err != nil {
		what = d.Err.Error()
	}
	return fmt.Sprintf("%s (%s, %s)", d.Path, what, human(d.Size))
}

// human prints a size as people say it.
func human(bytes uint64) string {
	for _, u := range []struct {
		name  string
		shift uint
	}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}} {
		if bytes >= 1<<u.shift {
			return fmt.Sprintf("%.1f %s", float64(bytes)/float64(uint64(1)<<u.shift), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// Surveyor looks for disks. The zero Surveyor is for the system.
type Surveyor struct {
	Sys, Dev string // "/sys" and "/dev" when empty
	// Limit bounds the reading of one disk: 30 s when zero. A dying disk may take minutes to say so.
	Limit time.Duration
	seen  map[string]Disk
}

const poll = 100 * time.Millisecond

// Survey lists all disks, as soon as one matches the spec, or when the time to wait is over. Disks appear late: a USB disk some
// seconds after its driver. One that matches too but appears later is not seen. That nothing matches is no error; errors are
// those of listing, and of the context.
func Survey(ctx context.Context, spec Spec, wait time.Duration) ([]Disk, error) {
	return (&Surveyor{}).Survey(ctx, spec, wait)
}

// Survey is as the function Survey.
func (s *Surveyor) Survey(ctx context.Context, spec Spec, wait time.Duration) ([]Disk, error) {
	deadline := time.Now().Add(wait)
	for {
		disks, err := s.look(ctx, spec)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(disks, spec.Matches) || !time.Now().Before(deadline) {
			return disks, nil
		}
		// Polling a folder of some ten names costs less than what a netlink socket and its overruns need.
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the disk %s: %w", spec, context.Cause(ctx))
		case <-time.After(poll):
		}
	}
}

func (s *Surveyor) sys(elem ...string) string {
	root := s.Sys
	if root == "" {
		root = "/sys"
	}
	return filepath.Join(append([]string{root, "class/block"}, elem...)...)
}

func (s *Surveyor) dev(name string) string {
	root := s.Dev
	if root == "" {
		root = "/dev"
	}
	return filepath.Join(root, strings.ReplaceAll(name, "!", "/")) // cciss!c0d0
}

// look lists the disks of now. What was read already is not read again, unless it failed.
func (s *Surveyor) look(ctx context.Context, spec Spec) ([]Disk, error) {
	entries, err := os.ReadDir(s.sys())
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // no disk at all, or no driver yet
		}
		return nil, fmt.Errorf("listing the disks: %w", err)
	}
	alias := ""
	if spec.Key == "" {
		alias = realpath(spec.Value)
	}
	mounted := mountPoints()
	var disks []Disk
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("looking at the disks: %w", context.Cause(ctx))
		}
		d, ok := s.describe(e.Name())
		if !ok {
			continue
		}
		if alias == d.Path && spec.Value != d.Path {
			d.Alias = spec.Value
		}
		if at, ok := mounted[unix.Mkdev(d.Major, d.Minor)]; ok {
			d.UsedBy = append(d.UsedBy, at)
		}
		key := fmt.Sprint(d.Name, d.Size, s.attribute(d.Name, "diskseq"))
		if old, ok := s.seen[key]; ok && old.Err == nil {
			d.Content = old.Content
		} else {
			d.Content, d.Err = s.identify(d.Path)
		}
		if s.seen == nil {
			s.seen = map[string]Disk{}
		}
		s.seen[key] = d
		disks = append(disks, d)
	}
	namePartitions(disks)
	return disks, nil
}

func realpath(path string) string {
	if full, err := filepath.EvalSymlinks(path); err == nil {
		return full
	}
	return path // it may come
}

// describe reads what sysfs says. Devices without a size are left out: drives without a medium, loop devices without a file.
// See https://docs.kernel.org/admin-guide/abi-stable.html and the stable part about /sys/block.
func (s *Surveyor) describe(name string) (Disk, bool) {
	d := Disk{Name: name, Path: s.dev(name)}
	sectors, err := strconv.ParseUint(s.attribute(name, "size"), 10, 54)
	if err != nil || sectors == 0 {
		return d, false
	}
	d.Size = sectors * 512
	d.ReadOnly = s.attribute(name, "ro") == "1"
	d.Removable = s.attribute(name, "removable") == "1"
	major, minor, _ := strings.Cut(s.attribute(name, "dev"), ":")
	a, err1 := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	if err1 != nil || err2 != nil {
		return d, false
	}
	d.Major, d.Minor = uint32(a), uint32(b)
	if number, err := strconv.Atoi(s.attribute(name, "partition")); err == nil {
		d.Partition = number
		if full, err := filepath.EvalSymlinks(s.sys(name)); err == nil {
			d.Parent = filepath.Base(filepath.Dir(full))
		}
	}
	for line := range strings.Lines(s.attribute(name, "uevent")) {
		if value, ok := strings.CutPrefix(line, "PARTNAME="); ok {
			d.PartName = strings.TrimSpace(value)
		}
	}
	if holders, err := os.ReadDir(s.sys(name, "holders")); err == nil {
		for _, h := range holders {
			d.UsedBy = append(d.UsedBy, h.Name())
		}
	}
	return d, true
}

// attribute reads a file of sysfs, "" where it cannot be.
func (s *Surveyor) attribute(name, file string) string {
	text, err := os.ReadFile(s.sys(name, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// identify reads a disk, and gives it up after a while.
func (s *Surveyor) identify(path string) (Content, error) {
	type answer struct {
		c   Content
		err error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("panic while reading %s: %v", path, p)
			}
			done <- a
		}()
		a.c, a.err = IdentifyDevice(path)
	}()
	limit := s.Limit
	if limit == 0 {
		limit = 30 * time.Second
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-done:
		return a.c, a.err
	case <-timer.C:
		return Content{}, fmt.Errorf("reading %s: no answer in %v", path, limit)
	}
}

// IdentifyDevice is Identify for a block device or an image.
func IdentifyDevice(path string) (Content, error) {
	// O_NONBLOCK: a drive without a medium is opened too, and does not wait for one.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Content{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return Content{}, fmt.Errorf("asking for the size of %s: %w", path, err)
	}
	c, err := Identify(f, size)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// namePartitions gives partitions the UUIDs and names that their disk's table has, and tells disks that they have partitions.
func namePartitions(disks []Disk) {
	byName := map[string]int{}
	for i, d := range disks {
		byName[d.Name] = i
	}
	for i := range disks {
		d := &disks[i]
		at, ok := byName[d.Parent]
		if d.Partition == 0 || !ok {
			continue
		}
		parent := &disks[at]
		parent.UsedBy = append(parent.UsedBy, d.Name)
		if parent.Content.FSType == "dos" && parent.Content.UUID != "" {
			d.PartUUID = fmt.Sprintf("%s-%02x", parent.Content.UUID, d.Partition)
		}
		for _, p := range parent.Content.Partitions {
			if p.Number == d.Partition {
				d.PartUUID, d.PartName = p.UUID, p.Name
			}
		}
	}
}
