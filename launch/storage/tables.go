package storage

import (
	"fmt"
	"hash/crc32"
)

// maxEntries bounds the partitions that are read of a GPT; the usual table has 128.
const maxEntries = 1024

// probeGPT reads a GUID partition table, see the UEFI Specification, section 5.3: the first header, or the one at the end
// where the first is broken. The sector size is found by where the header is.
func probeGPT(d *disk) (Content, bool) {
	for _, sector := range []int64{512, 4096} {
		for _, at := range []int64{sector, d.size/sector*sector - sector} {
			if !d.has(at, "EFI PART") {
				continue
			}
			c := Content{Kind: Table, FSType: "gpt"}
			header := d.bytes(at, int(sector))
			size := le32(header[12:])
			if size < 92 || int64(size) > sector || headerSum(header[:size]) != le32(header[16:]) {
				c.Detail = "the table's checksum is wrong"
				return c, true
			}
			c.UUID = guid(header[56:72])
			c.Partitions = partitions(d, header, sector)
			return c, true
		}
	}
	return Content{}, false
}

// headerSum is the checksum of a header, taken with its own field zero.
func headerSum(header []byte) uint32 {
	copied := append([]byte(nil), header...)
	clear(copied[16:20])
	return crc32.ChecksumIEEE(copied)
}

func partitions(d *disk, header []byte, sector int64) []Partition {
	start, count, size := le64(header[72:]), le32(header[80:]), le32(header[84:])
	if count > maxEntries || size < 128 || size > 4096 || start > uint64(d.size/sector) {
		return nil
	}
	table := d.bytes(int64(start)*sector, int(count*size))
	if len(table) < int(count*size) || crc32.ChecksumIEEE(table) != le32(header[88:]) {
		return nil
	}
	var list []Partition
	for n := range int(count) {
		e := table[n*int(size):][:size]
		first, last := le64(e[32:]), le64(e[40:])
		if allAre(e[:16], 0) || last < first || last > uint64(d.size/sector) {
			continue
		}
		list = append(list, Partition{
			Number: n + 1, Type: guid(e), UUID: guid(e[16:]), Name: utf16Text(e[56:128]),
			Start: first * uint64(sector), Size: (last - first + 1) * uint64(sector),
		})
	}
	return list
}

// guid prints a UUID of a GPT, whose first three groups are little-endian.
func guid(b []byte) string {
	if len(b) < 16 || allAre(b[:16], 0) {
		return ""
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le32(b), le16(b[4:]), le16(b[6:]), b[8:10], b[10:16])
}

// probeDOS knows an MBR. Only the signature at its end tells; boot code alone has it too, and is as little blank. The UUIDs of
// its partitions are made of the disk's signature, which is why that is kept.
func probeDOS(d *disk) (Content, bool) {
	b := d.bytes(0, 512)
	if len(b) < 512 || b[510] != 0x55 || b[511] != 0xaa {
		return Content{}, false
	}
	c := Content{Kind: Table, FSType: "dos"}
	if id := le32(b[440:]); id != 0 {
		c.UUID = fmt.Sprintf("%08x", id)
	}
	return c, true
}
