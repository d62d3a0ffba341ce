package storage

import (
	"fmt"
	"slices"
	"strings"
)

// Action is what is to be done about the data-root.
type Action string

const (
	// Memory: there is no disk for it. What is in the data-root is gone at the next boot.
	Memory Action = "memory"
	// Mount: there is a disk with a filesystem.
	Mount Action = "mount"
	// Format: there is a blank disk, and formatting was asked for; then it is mounted.
	Format Action = "format"
	// Refuse: Err says why, and what to do.
	Refuse Action = "refuse"
)

// Request is what is wanted.
type Request struct {
	Spec Spec `json:"spec"`
	// FormatBlank says that a blank disk may be formatted. With a path or a partition's name, it is that one; with a label
	// that no disk has, the only blank disk that there is.
	FormatBlank bool   `json:"format_blank,omitempty"`
	Target      string `json:"target"` // the data-root
	// Filesystems are those that the kernel has or can load, by name. Nil leaves that to be seen.
	Filesystems []string `json:"filesystems,omitempty"`
}

// Plan is a decision about the data-root.
type Plan struct {
	Action Action `json:"action"`
	Reason string `json:"reason"`
	Target string `json:"target"`
	Disk   *Disk  `json:"disk,omitempty"`
	// Others are the other disks of the same btrfs, which the kernel has to be told of.
	Others []Disk `json:"others,omitempty"`
	FSType string `json:"fstype,omitempty"` // to mount or to make
	Label  string `json:"label,omitempty"`  // to make
	Err    *Error `json:"-"`                // with Refuse
}

// String says in one line what is to be done.
func (p Plan) String() string {
	switch p.Action {
	case Mount:
		return fmt.Sprintf("check %s, mount it at %s, and let it grow to the size of the disk", p.Disk, p.Target)
	case Format:
		return fmt.Sprintf("format %s with %s and mount it at %s", p.Disk, p.FSType, p.Target)
	case Memory:
		return fmt.Sprintf("keep %s in memory", p.Target)
	}
	return "refuse: " + p.Reason
}

// smallest is the size below which a blank disk is not taken by itself: a card reader's or controller's own, not for data.
const smallest = 64 << 20

// Decide says what to do with the disks that there are. It is pure.
func Decide(r Request, disks []Disk) Plan {
	var found []Disk
	for _, d := range disks {
		if r.Spec.Matches(d) {
			found = append(found, d)
		}
	}
	if len(found) > 1 {
		// An encrypted volume and the filesystem in it, say, may well have the same label.
		if whole := slices.DeleteFunc(slices.Clone(found), func(d Disk) bool { return d.Content.Kind == Member }); len(whole) > 0 {
			found = whole
		}
	}
	switch {
	case len(found) == 0 && r.FormatBlank && r.Spec.Key == "LABEL":
		return r.decideBlank(disks)
	case len(found) == 0:
		return r.memory(fmt.Sprintf("there is no disk %s%s", r.Spec, unread(disks)))
	case len(found) > 1 && !oneBtrfs(found):
		return r.refuse(found[0], ErrAmbiguous, list(found), "give all but one another label, or name one by its path or UUID")
	}
	return r.decideOne(found[0], found[1:])
}

func (r Request) decideOne(d Disk, others []Disk) Plan {
	p := Plan{Target: r.Target, Disk: &d, Others: others, FSType: d.Content.FSType}
	switch {
	case d.Err != nil:
		return r.refuse(d, ErrUnreadable, d.Err.Error(), "look at its cable or at the host's storage")
	case d.Content.Kind == Blank || d.Content.Kind == Interrupted:
		return r.decideFormat(d)
	case d.Content.Kind == Unknown:
		return r.refuse(d, ErrNotBlank, d.Content.String(), "it is never formatted: do that yourself if nobody needs it")
	case d.Content.Kind == Table:
		return r.refuse(d, ErrUnfit, "it has a "+d.Content.String(), "name one of its partitions: "+r.partitions(d))
	case d.Content.Kind == Member:
		return r.refuse(d, ErrUnfit, "it holds "+d.Content.String(), "name another disk")
	case !slices.Contains([]string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"}, d.Content.FSType):
		return r.refuse(d, ErrUnfit, "its filesystem is "+d.Content.FSType, "use ext4, xfs or btrfs")
	case r.Filesystems != nil && !slices.Contains(r.Filesystems, d.Content.FSType) && !(strings.HasPrefix(d.Content.FSType, "ext") && slices.Contains(r.Filesystems, "ext4")):
		return r.refuse(d, ErrNoFilesystem, d.Content.FSType, "load its module, or boot a kernel that has it")
	case d.ReadOnly:
		return r.refuse(d, ErrReadOnly, "dockerd has to write to it", "attach it read-write, or take its write protection off")
	}
	p.Action, p.Reason = Mount, fmt.Sprintf("%s is %s", r.Spec, d)
	if strings.HasPrefix(p.FSType, "ext") {
		p.FSType = "ext4" // the one driver for all three, see the kernel's CONFIG_EXT4_USE_FOR_EXT2
	}
	return p
}

func (r Request) partitions(d Disk) string {
	var names []string
	for _, u := range d.UsedBy {
		if strings.HasPrefix(u, d.Name) {
			names = append(names, "/dev/"+u)
		}
	}
	if len(names) == 0 {
		return "it has none that the kernel knows"
	}
	return strings.Join(names, ", ")
}

// decideFormat is about a disk with nothing on it.
func (r Request) decideFormat(d Disk) Plan {
	switch {
	case !r.FormatBlank:
		p := r.memory(fmt.Sprintf("%s is %s, and formatting was not asked for", d.Path, d.Content))
		p.Disk = &d
		return p
	case d.ReadOnly:
		return r.refuse(d, ErrReadOnly, "it cannot be formatted", "attach it read-write")
	case len(d.UsedBy) > 0:
		return r.refuse(d, ErrInUse, "by "+strings.Join(d.UsedBy, ", "), "name another disk")
	case d.Size < 2*markerRoom+8<<20:
		return r.refuse(d, ErrUnfit, "it is too small", "name another disk")
	}
	return Plan{
		Action: Format, Reason: fmt.Sprintf("%s is %s, and formatting was asked for", d.Path, d.Content), Target: r.Target, Disk: &d,
		FSType: "ext4", Label: DataLabel,
	}
}

// decideBlank chooses among the disks where none has the label: the only blank one, of those that nobody could mean otherwise.
func (r Request) decideBlank(disks []Disk) Plan {
	var blank []Disk
	for _, d := range disks {
		if d.Err == nil && (d.Content.Kind == Blank || d.Content.Kind == Interrupted) && d.candidate() {
			blank = append(blank, d)
		}
	}
	switch len(blank) {
	case 0:
		return r.memory(fmt.Sprintf("there is neither a disk %s nor a blank one%s", r.Spec, unread(disks)))
	case 1:
		return r.decideFormat(blank[0])
	}
	return r.refuse(blank[0], ErrAmbiguous, "blank are "+list(blank), "name the one to format by its path")
}

// candidate tells of a whole disk that is built in. Others are formatted only by name.
func (d Disk) candidate() bool {
	for _, prefix := range []string{"loop", "ram", "zram", "sr", "fd", "nbd", "dm-", "md", "mtdblock", "rbd", "drbd"} {
		if strings.HasPrefix(d.Name, prefix) {
			return false
		}
	}
	// The boot areas of an eMMC are disks of their own to the kernel: mmcblk0boot0, mmcblk0rpmb.
	if strings.HasPrefix(d.Name, "mmcblk") && (strings.Contains(d.Name, "boot") || strings.Contains(d.Name, "rpmb")) {
		return false
	}
	return d.Partition == 0 && !d.Removable && !d.ReadOnly && len(d.UsedBy) == 0 && d.Size >= smallest
}

func (r Request) memory(why string) Plan {
	return Plan{Action: Memory, Target: r.Target, Reason: why + ": images, containers and volumes are lost when this machine stops"}
}

func (r Request) refuse(d Disk, kind error, detail, advice string) Plan {
	e := &Error{Op: "use the disk", Path: d.Path, Kind: kind, Detail: detail, Advice: advice}
	return Plan{Action: Refuse, Target: r.Target, Disk: &d, Reason: e.Error(), Err: e}
}

// oneBtrfs tells whether disks make one btrfs together.
func oneBtrfs(disks []Disk) bool {
	for _, d := range disks {
		c := d.Content
		if d.Err != nil || c.FSType != "btrfs" || c.UUID != disks[0].Content.UUID || c.Devices != uint64(len(disks)) {
			return false
		}
	}
	return true
}

func list(disks []Disk) string {
	names := make([]string, len(disks))
	for i, d := range disks {
		names[i] = d.String()
	}
	return strings.Join(names, " and ")
}

// unread names the disks that may be the one: those that could not be read, or not be formatted to the end.
func unread(disks []Disk) string {
	text := ""
	for _, d := range disks {
		if d.Err != nil {
			text += "; " + oneLine(d.Err.Error())
		}
		if d.Content.Kind == Interrupted {
			text += "; the formatting of " + d.Path + " was cut short, and may be asked for again"
		}
	}
	return text
}
