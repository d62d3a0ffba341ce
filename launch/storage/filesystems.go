package storage

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// The on-disk formats are those of the kernel's own headers: fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h,
// include/uapi/linux/btrfs_tree.h, include/linux/f2fs_fs.h, include/uapi/linux/msdos_fs.h; and of the kernel documentation
// https://docs.kernel.org/filesystems/ext4/globals.html#super-block.

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// text gives a label up to its first NUL.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.ToValidUTF8(s, "�")
}

// uuid prints 16 bytes in the usual groups, "" where all are zero.
func uuid(b []byte) string {
	if len(b) < 16 || allAre(b[:16], 0) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// utf16Text decodes little-endian UTF-16 up to its first NUL.
func utf16Text(b []byte) string {
	var units []uint16
	for ; len(b) >= 2 && le16(b) != 0; b = b[2:] {
		units = append(units, le16(b))
	}
	return string(utf16.Decode(units))
}

func probeExt(d *disk) (Content, bool) {
	const (
		hasJournal   = 0x4
		journalDev   = 0x8 // incompat
		incompat64   = 0x80
		onlyExt3     = 0x2 | 0x4       // filetype, recover
		onlyExt3Read = 0x1 | 0x2 | 0x4 // sparse_super, large_file, btree_dir
	)
	b := d.bytes(1024, 1024)
	if len(b) < 1024 || le16(b[0x38:]) != 0xef53 {
		return Content{}, false
	}
	compat, incompat, readOnly := le32(b[0x5c:]), le32(b[0x60:]), le32(b[0x64:])
	c := Content{Kind: Filesystem, FSType: "ext4", Label: text(b[0x78:0x88]), UUID: uuid(b[0x68:0x78])}
	switch {
	case incompat&journalDev != 0:
		c.Kind, c.FSType = Member, "jbd"
	case incompat&^onlyExt3 != 0 || readOnly&^onlyExt3Read != 0:
	case compat&hasJournal != 0:
		c.FSType = "ext3"
	default:
		c.FSType = "ext2"
	}
	blocks, shift := uint64(le32(b[0x4:])), le32(b[0x18:])
	if incompat&incompat64 != 0 {
		blocks |= uint64(le32(b[0x150:])) << 32
	}
	if shift > 6 {
		return Content{}, false // blocks have 64 KiB at most
	}
	c.Size = scaled(blocks, 1024<<shift)
	return c, true
}

// scaled multiplies, and gives 0 for what cannot be a disk's size.
func scaled(blocks, size uint64) uint64 {
	if size == 0 || blocks > (1<<63)/size {
		return 0
	}
	return blocks * size
}

func probeXFS(d *disk) (Content, bool) {
	b := d.bytes(0, 512)
	if len(b) < 512 || string(b[:4]) != "XFSB" {
		return Content{}, false
	}
	version := be16(b[100:]) & 0xf
	ftype := version == 5 && be32(b[216:])&1 != 0 || version == 4 && be32(b[200:])&0x200 != 0
	return Content{
		Kind: Filesystem, FSType: "xfs", Label: text(b[108:120]), UUID: uuid(b[32:48]),
		Size: scaled(be64(b[8:]), uint64(be32(b[4:]))), NoDType: !ftype,
	}, true
}

func probeBtrfs(d *disk) (Content, bool) {
	b := d.bytes(64<<10, 4096)
	if len(b) < 4096 || string(b[0x40:0x48]) != "_BHRfS_M" {
		return Content{}, false
	}
	// dev_item begins at 0xc9: its total_bytes is this device's share.
	return Content{
		Kind: Filesystem, FSType: "btrfs", Label: text(b[0x12b:0x22b]), UUID: uuid(b[0x20:0x30]),
		Size: le64(b[0xc9+8:]), Devices: le64(b[0x88:]),
	}, true
}

func probeF2FS(d *disk) (Content, bool) {
	for _, at := range []int64{1024, 4096 + 1024} {
		b := d.bytes(at, 3072)
		if len(b) < 0x7c+1024 || le32(b) != 0xf2f52010 {
			continue
		}
		if shift := le32(b[0x10:]); shift <= 16 {
			return Content{
				Kind: Filesystem, FSType: "f2fs", UUID: uuid(b[0x6c:]), Label: utf16Text(b[0x7c : 0x7c+1024]),
				Size: scaled(le64(b[0x24:]), 1<<shift),
			}, true
		}
	}
	return Content{}, false
}

// probeFAT knows FAT12, 16 and 32. What is called vfat shares its first sector with boot code and partition tables, thus
// the fields are looked at as the kernel's fat_read_bpb does.
func probeFAT(d *disk) (Content, bool) {
	b := d.bytes(0, 512)
	if len(b) < 512 || b[510] != 0x55 || b[511] != 0xaa {
		return Content{}, false
	}
	sector, cluster, fats, media := le16(b[11:]), b[13], b[16], b[21]
	power := func(n int) bool { return n > 0 && n&(n-1) == 0 }
	if !power(int(sector)) || sector < 512 || sector > 4096 || !power(int(cluster)) || fats == 0 || fats > 4 ||
		le16(b[14:]) == 0 || media < 0xf8 && media != 0xf0 {
		return Content{}, false
	}
	c := Content{Kind: Filesystem, FSType: "vfat"}
	ids := b[0x24:] // FAT12 and 16
	if le16(b[22:]) == 0 {
		if le32(b[36:]) == 0 {
			return Content{}, false
		}
		ids = b[0x40:]
	}
	if sig := ids[2]; sig == 0x28 || sig == 0x29 {
		c.UUID = fmt.Sprintf("%04X-%04X", le16(ids[5:]), le16(ids[3:]))
		if label := strings.TrimRight(text(ids[7:18]), " "); label != "NO NAME" {
			c.Label = label
		}
	}
	sectors := uint64(le16(b[19:]))
	if sectors == 0 {
		sectors = uint64(le32(b[32:]))
	}
	c.Size = scaled(sectors, uint64(sector))
	return c, true
}

func probeNTFS(d *disk) (Content, bool) {
	return Content{Kind: Filesystem, FSType: "ntfs"}, d.has(3, "NTFS    ")
}

func probeExFAT(d *disk) (Content, bool) {
	return Content{Kind: Filesystem, FSType: "exfat"}, d.has(3, "EXFAT   ")
}

// probeOthers is about filesystems of which it only matters that they are there.
func probeOthers(d *disk) (Content, bool) {
	for _, s := range []struct {
		fstype, magic string
		at            int64
	}{
		{"iso9660", "CD001", 32769}, {"udf", "NSR02", 34817}, {"udf", "NSR03", 34817}, {"squashfs", "hsqs", 0},
		{"erofs", "\xe2\xe1\xf5\xe0", 1024}, {"cramfs", "\x45\x3d\xcd\x28", 0}, {"reiserfs", "ReIsErFs", 65536 + 52},
		{"reiserfs", "ReIsEr2Fs", 65536 + 52}, {"reiserfs", "ReIsEr3Fs", 65536 + 52}, {"jfs", "JFS1", 32768},
		{"apfs", "NXSB", 32}, {"ubifs", "\x31\x18\x10\x06", 0}, {"gfs2", "\x01\x16\x19\x70", 65536},
		{"bcachefs", "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef", 4096 + 24},
		{"ocfs2", "OCFSV2", 8192}, {"ocfs2", "OCFSV2", 4096},
	} {
		if d.has(s.at, s.magic) {
			return Content{Kind: Filesystem, FSType: s.fstype}, true
		}
	}
	return Content{}, false
}

// probeWeak is about signatures so short that other formats have them by chance. They count where there is nothing else.
func probeWeak(d *disk) (Content, bool) {
	for _, s := range []struct {
		fstype, magic string
		at            int64
	}{
		{"nilfs2", "\x34\x34", 1024 + 6}, {"hfsplus", "H+\x00\x04", 1024}, {"hfsplus", "HX\x00\x05", 1024},
		{"minix", "\x68\x24", 1024 + 16}, {"minix", "\x78\x24", 1024 + 16}, {"minix", "\x5a\x4d", 1024 + 24},
	} {
		if d.has(s.at, s.magic) {
			return Content{Kind: Filesystem, FSType: s.fstype}, true
		}
	}
	return Content{}, false
}
