package storage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func identify(t testing.TB, path string) Content {
	t.Helper()
	c, err := IdentifyDevice(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const testUUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

func TestIdentifyMade(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64 // MiB
		make []string
		want Content
	}{
		{"ext4", 64, []string{"mkfs.ext4", "-q", "-L", "docker-data", "-U", testUUID}, Content{Kind: Filesystem, FSType: "ext4", Label: "docker-data", UUID: testUUID, Size: 64 << 20}},
		{"ext3", 64, []string{"mkfs.ext3", "-q", "-U", testUUID}, Content{Kind: Filesystem, FSType: "ext3", UUID: testUUID, Size: 64 << 20}},
		{"ext2 1k", 64, []string{"mkfs.ext2", "-q", "-b", "1024", "-U", testUUID}, Content{Kind: Filesystem, FSType: "ext2", UUID: testUUID, Size: 64 << 20}},
		{"ext4 64bit", 64, []string{"mkfs.ext4", "-q", "-O", "64bit", "-L", "sixteen-letters!", "-U", testUUID}, Content{Kind: Filesystem, FSType: "ext4", Label: "sixteen-letters!", UUID: testUUID, Size: 64 << 20}},
		{"xfs", 320, []string{"mkfs.xfs", "-q", "-L", "docker-data", "-m", "uuid=" + testUUID}, Content{Kind: Filesystem, FSType: "xfs", Label: "docker-data", UUID: testUUID, Size: 320 << 20}},
		{"xfs without ftype", 320, []string{"mkfs.xfs", "-q", "-m", "crc=0,uuid=" + testUUID, "-n", "ftype=0"}, Content{Kind: Filesystem, FSType: "xfs", UUID: testUUID, Size: 320 << 20, NoDType: true}},
		{"btrfs", 128, []string{"mkfs.btrfs", "-q", "-L", "docker-data", "-U", testUUID}, Content{Kind: Filesystem, FSType: "btrfs", Label: "docker-data", UUID: testUUID, Size: 128 << 20, Devices: 1}},
		{"fat32", 64, []string{"mkfs.vfat", "-F", "32", "-n", "DOCKERDATA", "-i", "1234ABCD"}, Content{Kind: Filesystem, FSType: "vfat", Label: "DOCKERDATA", UUID: "1234-ABCD", Size: 64 << 20}},
		{"fat16", 16, []string{"mkfs.vfat", "-F", "16", "-i", "1234ABCD"}, Content{Kind: Filesystem, FSType: "vfat", UUID: "1234-ABCD", Size: 16 << 20}},
		{"swap", 16, []string{"mkswap", "-L", "docker-data", "-U", testUUID}, Content{Kind: Member, FSType: "swap", Label: "docker-data", UUID: testUUID}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := image(t, c.size<<20)
			command(t, c.make[0], append(c.make[1:], path)...)
			got := identify(t, path)
			if got.Kind != c.want.Kind || got.FSType != c.want.FSType || got.Label != c.want.Label || got.UUID != c.want.UUID ||
				got.Size != c.want.Size || got.Devices != c.want.Devices || got.NoDType != c.want.NoDType {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
			// The beginning is wiped, as people do it; what is left must not look blank.
			if c.want.Kind != Filesystem || c.want.FSType == "vfat" {
				return
			}
			poke(t, path, 0, strings.Repeat("\x00", 10<<20))
			if got := identify(t, path); got.Kind == Blank || got.Kind == Interrupted {
				t.Errorf("with its beginning wiped: %+v", got)
			}
		})
	}
}

func TestIdentifyTables(t *testing.T) {
	script := func(t *testing.T, path, text string) {
		cmd := exec.Command(tool(t, "sfdisk"), "-q", path)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	path := image(t, 64<<20)
	script(t, path, "label: gpt\nlabel-id: "+testUUID+"\nsize=10M, name=\"first Ω\"\nname=\"docker-data\", uuid="+strings.ToUpper(testUUID)+"\n")
	check := func(what string) {
		t.Helper()
		c := identify(t, path)
		if c.Kind != Table || c.FSType != "gpt" || c.UUID != testUUID || len(c.Partitions) != 2 {
			t.Fatalf("%s: %+v", what, c)
		}
		p := c.Partitions
		if p[0].Name != "first Ω" || p[0].Size != 10<<20 || p[0].Start != 1<<20 || p[1].Name != "docker-data" || p[1].UUID != testUUID || p[1].Number != 2 {
			t.Errorf("%s: %+v", what, p)
		}
	}
	check("gpt")
	poke(t, path, 0, strings.Repeat("\x00", 1<<20))
	check("gpt with only the second header")

	path = image(t, 64<<20)
	script(t, path, "label: dos\nlabel-id: 0x1234abcd\nsize=10M\n")
	if c := identify(t, path); c.Kind != Table || c.FSType != "dos" || c.UUID != "1234abcd" {
		t.Errorf("dos: %+v", c)
	}
}

func TestIdentifySignatures(t *testing.T) {
	const size = 100 << 20
	for _, c := range []struct {
		name string
		at   int64
		data string
		kind Kind
		what string
	}{
		{"mdraid 0.90", size - 64<<10 - size%(64<<10), "\xfc\x4e\x2b\xa9", Member, "linux_raid_member"},
		{"mdraid 1.0", size - 8<<10, "\xfc\x4e\x2b\xa9", Member, "linux_raid_member"},
		{"mdraid 1.2", 4096, "\xfc\x4e\x2b\xa9", Member, "linux_raid_member"},
		{"luks1", 0, "LUKS\xba\xbe\x00\x01", Member, "crypto_LUKS"},
		{"luks2, second header", 16 << 10, "SKUL\xba\xbe\x00\x02", Member, "crypto_LUKS"},
		{"lvm", 512, "LABELONE" + strings.Repeat("\x00", 16) + "LVM2 001", Member, "LVM2_member"},
		{"zfs", 128<<10 + 3*1024, "\x0c\xb1\xba\x00\x00\x00\x00\x00", Member, "zfs_member"},
		{"zfs, last label, big-endian", size - 128<<10, "\x00\x00\x00\x00\x00\xba\xb1\x0c", Member, "zfs_member"},
		{"bcache", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", Member, "bcache"},
		{"intel", size - 1024, "Intel Raid ISM Cfg Sig. 1.2", Member, "isw_raid_member"},
		{"iso9660", 32769, "CD001", Filesystem, "iso9660"},
		{"ntfs", 3, "NTFS    ", Filesystem, "ntfs"},
		{"boot code", 510, "\x55\xaa", Table, "dos"},
		{"a byte at the beginning", 0, "\x01", Unknown, ""},
		{"in the first MiBs", 3 << 20, "x", Unknown, ""},
		{"the last byte", size - 1, "\x80", Unknown, ""},
		{"where ext4 has a copy", 32768*1024 + 1024 + 56, "\x53", Unknown, ""},
		{"where nothing is looked for", 10<<20 + 5, "x", Blank, ""},
	} {
		path := image(t, size)
		poke(t, path, c.at, c.data)
		if got := identify(t, path); got.Kind != c.kind || got.FSType != c.what {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestIdentifyDoubt(t *testing.T) {
	path := image(t, 320<<20)
	if c := identify(t, path); c.Kind != Blank {
		t.Errorf("zeros: %+v", c)
	}
	command(t, "mkfs.ext4", "-q", "-L", "docker-data", path)
	poke(t, path, 0, "XFSB")
	if c := identify(t, path); c.Kind != Unknown || !strings.Contains(c.Detail, "ext4 and xfs") {
		t.Errorf("two filesystems: %+v", c)
	}
	poke(t, path, 0, "\x00\x00\x00\x00")
	poke(t, path, 320<<20-8<<10, "\xfc\x4e\x2b\xa9")
	if c := identify(t, path); c.Kind != Member {
		t.Errorf("half of a mirror: %+v", c)
	}
	small := image(t, 20<<20)
	poke(t, small, 11<<20+1, "x")
	if c := identify(t, small); c.Kind != Unknown {
		t.Errorf("a small disk is read whole: %+v", c)
	}
	erased := image(t, 5<<20)
	poke(t, erased, 0, strings.Repeat("\xff", 5<<20))
	if c := identify(t, erased); c.Kind != Unknown || !strings.Contains(c.Detail, "0xff") {
		t.Errorf("erased flash: %+v", c)
	}
	if _, err := Identify(strings.NewReader("short"), 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a disk shorter than it says: %v", err)
	}
	if _, err := Identify(strings.NewReader(""), 0); err == nil {
		t.Error("no size")
	}
	for size := range int64(5000) {
		if c, err := Identify(bytes.NewReader(make([]byte, size+1)), size+1); err != nil || c.Kind != Blank {
			t.Fatalf("%d zeros: %+v, %v", size+1, c, err)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	for _, args := range [][]string{{"mkfs.ext4", "-q"}, {"mkfs.vfat"}, {"mkswap"}} {
		path := image(f, 1<<20)
		command(f, args[0], append(args[1:], path)...)
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:128<<10], data[len(data)-4096:])
	}
	gpt := make([]byte, 1024)
	copy(gpt[512:], "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
	f.Add(gpt, []byte{})
	f.Add(append(make([]byte, 64<<10), bytes.Repeat([]byte("_BHRfS_M"), 600)...), Marker{Size: 1 << 20}.encode())
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		if len(head)+len(tail) == 0 || len(head)+len(tail) > 4<<20 {
			return
		}
		data := append(append([]byte{}, head...), tail...)
		c, err := Identify(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if zero := allAre(data, 0); (c.Kind == Blank) != zero {
			t.Errorf("%+v of a disk whose being zero is %v", c, zero)
		}
		if c.Kind == "" || c.String() == "" || len(c.Partitions) > maxEntries {
			t.Errorf("%+v", c)
		}
		if c.Kind == Interrupted && (c.Marker == nil || !allAre(data[:min(len(data), 1024)], 0) && !bytes.Contains(data[:2048], []byte("\x53\xef"))) {
			t.Errorf("%+v with something at the beginning", c)
		}
	})
}
