package storage

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSpec(t *testing.T) {
	for text, want := range map[string]string{
		"LABEL=docker-data": "LABEL=docker-data", `LABEL="two words"`: "LABEL=two words", "UUID=" + testUUID: "UUID=" + testUUID, "PARTLABEL=a=b": "PARTLABEL=a=b",
		"PARTUUID=1234abcd-01": "PARTUUID=1234abcd-01", "/dev/vdb": "/dev/vdb", "/dev/disk/../vdb/": "/dev/vdb",
		"": "", "vdb": "", "LABEL=": "", "label=x": "", "ID=x": "", "/etc/passwd": "", "/dev": "", "/dev/../etc": "", "=x": "",
	} {
		got, err := ParseSpec(text)
		if want == "" {
			if !errors.Is(err, ErrSpec) {
				t.Errorf("%q: %v, %v", text, got, err)
			}
		} else if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add("LABEL=docker-data")
	f.Add("/dev/../x")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpec(text)
		if err != nil {
			return
		}
		if again, err := ParseSpec(s.String()); s.Key == "" && (err != nil || again != s || !strings.HasPrefix(s.Value, "/dev/")) {
			t.Errorf("%q: %+v, %+v, %v", text, s, again, err)
		}
	})
}

func TestDecide(t *testing.T) {
	const size = 10 << 30
	fs := func(name, fstype, label string) Disk {
		return Disk{Name: name, Path: "/dev/" + name, Size: size, Content: Content{Kind: Filesystem, FSType: fstype, Label: label, UUID: testUUID, Devices: 1}}
	}
	kind := func(name string, k Kind, fstype string) Disk {
		return Disk{Name: name, Path: "/dev/" + name, Size: size, Content: Content{Kind: k, FSType: fstype}}
	}
	with := func(d Disk, change func(*Disk)) Disk { change(&d); return d }
	blank := kind("vdb", Blank, "")
	data := fs("vdb", "ext4", "docker-data")
	broken := with(kind("vdd", "", ""), func(d *Disk) { d.Err = errors.New("reading /dev/vdd: input/output error") })
	pair := func(name string) Disk {
		return with(fs(name, "btrfs", "docker-data"), func(d *Disk) { d.Content.Devices = 2 })
	}
	for _, c := range []struct {
		name   string
		spec   string
		format bool
		disks  []Disk
		want   Action
		kind   error
		disk   string
		says   string
	}{
		{"no disk", DefaultSpec, false, nil, Memory, nil, "", "are lost when this machine stops"},
		{"no disk, formatting wanted", DefaultSpec, true, nil, Memory, nil, "", "neither a disk LABEL=docker-data nor a blank one"},
		{"the disk", DefaultSpec, false, []Disk{fs("vda", "ext4", "root"), data}, Mount, nil, "vdb", `ext4 "docker-data", 10.0 GiB`},
		{"by UUID in other letters", "UUID=" + strings.ToUpper(testUUID), false, []Disk{data}, Mount, nil, "vdb", ""},
		{"by path", "/dev/vdb", false, []Disk{data}, Mount, nil, "vdb", ""},
		{"formatting wanted, but it is there", DefaultSpec, true, []Disk{blank, fs("vdc", "xfs", "docker-data")}, Mount, nil, "vdc", ""},
		{"two of the same label", DefaultSpec, true, []Disk{data, fs("vdc", "xfs", "docker-data")}, Refuse, ErrAmbiguous, "", "/dev/vdb (ext4 \"docker-data\", 10.0 GiB) and /dev/vdc"},
		{"two disks of one btrfs", DefaultSpec, false, []Disk{pair("vdb"), pair("vdc")}, Mount, nil, "vdb", ""},
		{"one of two is missing", DefaultSpec, false, []Disk{pair("vdb"), pair("vdc"), pair("vdd")}, Refuse, ErrAmbiguous, "", ""},
		{"an encrypted one and what is in it", DefaultSpec, false, []Disk{with(kind("vdb", Member, "crypto_LUKS"), func(d *Disk) { d.Content.Label = "docker-data" }), fs("dm-0", "ext4", "docker-data")}, Mount, nil, "dm-0", ""},
		{"only the encrypted one", DefaultSpec, false, []Disk{with(kind("vdb", Member, "crypto_LUKS"), func(d *Disk) { d.Content.Label = "docker-data" })}, Refuse, ErrUnfit, "", "crypto_LUKS"},
		{"blank, not asked for", "/dev/vdb", false, []Disk{blank}, Memory, nil, "vdb", "formatting was not asked for"},
		{"blank, by path", "/dev/vdb", true, []Disk{blank, kind("vdc", Blank, "")}, Format, nil, "vdb", ""},
		{"blank, by label", DefaultSpec, true, []Disk{fs("vda", "ext4", "root"), blank}, Format, nil, "vdb", ""},
		{"cut short", DefaultSpec, true, []Disk{kind("vdb", Interrupted, "")}, Format, nil, "vdb", "cut short"},
		{"several blank", DefaultSpec, true, []Disk{blank, kind("vdc", Blank, "")}, Refuse, ErrAmbiguous, "", "/dev/vdb (blank, 10.0 GiB) and /dev/vdc"},
		{"blank, but a UUID is wanted", "UUID=" + testUUID, true, []Disk{blank}, Memory, nil, "", ""},
		{"blank loop, USB, partition, in use, tiny", DefaultSpec, true, []Disk{
			kind("loop0", Blank, ""), with(blank, func(d *Disk) { d.Removable = true }), with(blank, func(d *Disk) { d.Partition = 1 }),
			with(blank, func(d *Disk) { d.UsedBy = []string{"dm-0"} }), with(blank, func(d *Disk) { d.Size = 32 << 20 }),
			with(blank, func(d *Disk) { d.ReadOnly = true }), kind("mmcblk0boot0", Blank, ""),
		}, Memory, nil, "", ""},
		{"blank loop by path", "/dev/loop0", true, []Disk{kind("loop0", Blank, "")}, Format, nil, "loop0", ""},
		{"blank partition by name", "PARTLABEL=docker-data", true, []Disk{with(blank, func(d *Disk) { d.Partition, d.PartName = 1, "docker-data" })}, Format, nil, "vdb", ""},
		{"unknown data", "/dev/vdb", true, []Disk{kind("vdb", Unknown, "")}, Refuse, ErrNotBlank, "", "never formatted"},
		{"another filesystem", "/dev/vdb", true, []Disk{fs("vdb", "ntfs", "")}, Refuse, ErrUnfit, "", "ntfs"},
		{"a table", "/dev/vdb", true, []Disk{with(kind("vdb", Table, "gpt"), func(d *Disk) { d.UsedBy = []string{"vdb1", "vdb2"} })}, Refuse, ErrUnfit, "", "/dev/vdb1, /dev/vdb2"},
		{"swap", "/dev/vdb", true, []Disk{kind("vdb", Member, "swap")}, Refuse, ErrUnfit, "", "swap"},
		{"read-only", DefaultSpec, false, []Disk{with(data, func(d *Disk) { d.ReadOnly = true })}, Refuse, ErrReadOnly, "", ""},
		{"blank and read-only", "/dev/vdb", true, []Disk{with(blank, func(d *Disk) { d.ReadOnly = true })}, Refuse, ErrReadOnly, "", ""},
		{"blank and in use", "/dev/vdb", true, []Disk{with(blank, func(d *Disk) { d.UsedBy = []string{"md0"} })}, Refuse, ErrInUse, "", "md0"},
		{"unknown to the kernel", DefaultSpec, false, []Disk{fs("vdb", "f2fs", "docker-data")}, Refuse, ErrNoFilesystem, "", "f2fs"},
		{"ext3 is ext4's", DefaultSpec, false, []Disk{fs("vdb", "ext3", "docker-data")}, Mount, nil, "vdb", ""},
		{"unreadable", "/dev/vdd", true, []Disk{broken}, Refuse, ErrUnreadable, "", "input/output"},
		{"another is unreadable", DefaultSpec, false, []Disk{broken}, Memory, nil, "", "input/output"},
	} {
		spec, err := ParseSpec(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		p := Decide(Request{Spec: spec, FormatBlank: c.format, Target: "/var/lib/docker", Filesystems: []string{"ext4", "xfs", "btrfs"}}, c.disks)
		if p.Action != c.want || !strings.Contains(p.Reason, c.says) || (p.Err == nil) != (c.kind == nil) || c.kind != nil && !errors.Is(p.Err, c.kind) {
			t.Errorf("%s: %v: %s", c.name, p.Action, p.Reason)
		}
		if c.disk != "" && (p.Disk == nil || p.Disk.Name != c.disk) {
			t.Errorf("%s: disk %v", c.name, p.Disk)
		}
		// Whatever else is decided, only what is blank is formatted.
		if p.Action == Format && p.Disk.Content.Kind != Blank && p.Disk.Content.Kind != Interrupted {
			t.Errorf("%s: %v would be formatted", c.name, p.Disk)
		}
		if p.String() == "" || strings.Contains(p.String(), "\n") {
			t.Errorf("%s: %q", c.name, p)
		}
	}
}

func TestJudgeCheck(t *testing.T) {
	for status, want := range map[int]CheckOutcome{
		0: Clean, 1: Corrected, 2: Corrected, 3: Corrected, 4: Uncorrected, 5: Uncorrected, 6: Uncorrected, 8: NotChecked, 12: NotChecked,
		16: NotChecked, 32: NotChecked, 128: NotChecked, 137: NotChecked, -1: NotChecked, 127: NotChecked,
	} {
		if got := JudgeCheck(status); got != want {
			t.Errorf("%d: %s", status, got)
		}
	}
}
