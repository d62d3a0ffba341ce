package storage

// probeMD knows Linux software RAID, by the superblocks of drivers/md: version 0.90 lies in the last 64 KiB block that is
// whole, 1.0 8 KiB before the end, 1.1 at the beginning and 1.2 at 4 KiB.
func probeMD(d *disk) (Content, bool) {
	const magic = "\xfc\x4e\x2b\xa9"
	end := d.size&^0xffff - 0x10000
	for _, at := range []int64{end, (d.size&^0x1ff - 0x2000) &^ 0xfff, 0, 4096} {
		if !d.has(at, magic) {
			continue
		}
		c := Content{Kind: Member, FSType: "linux_raid_member"}
		if b := d.bytes(at, 64); at != end && len(b) == 64 {
			c.UUID, c.Label = uuid(b[16:]), text(b[32:64])
		}
		return c, true
	}
	// Big-endian machines wrote 0.90 in their own order.
	return Content{Kind: Member, FSType: "linux_raid_member"}, d.has(end, "\xa9\x2b\x4e\xfc")
}

// probeLUKS knows both versions of LUKS, and the second header of version 2, which may be all that is left.
func probeLUKS(d *disk) (Content, bool) {
	c := Content{Kind: Member, FSType: "crypto_LUKS"}
	if d.has(0, "LUKS\xba\xbe") {
		if b := d.bytes(0, 512); len(b) == 512 {
			c.UUID = text(b[168:208])
			if be16(b[6:]) == 2 {
				c.Label = text(b[24:72])
			}
		}
		return c, true
	}
	for at := int64(16 << 10); at <= 4<<20; at *= 2 {
		if d.has(at, "SKUL\xba\xbe") {
			return c, true
		}
	}
	return Content{}, false
}

// probeLVM knows a physical volume, whose label lies in one of the first four sectors.
func probeLVM(d *disk) (Content, bool) {
	for sector := range int64(4) {
		if d.has(sector*512, "LABELONE") && d.has(sector*512+24, "LVM2 001") {
			return Content{Kind: Member, FSType: "LVM2_member"}, true
		}
	}
	return Content{Kind: Member, FSType: "LVM1_member"}, d.has(0, "HM\x01\x00") || d.has(0, "HM\x02\x00")
}

// probeBcache knows a disk of bcache by its magic UUID, which the first versions of bcachefs shared.
func probeBcache(d *disk) (Content, bool) {
	return Content{Kind: Member, FSType: "bcache"}, d.has(4096+24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81")
}

// probeZFS looks for an uberblock, in either byte order, in the four labels: two at the beginning and two at the end of what
// is whole of 256 KiB.
func probeZFS(d *disk) (Content, bool) {
	const label = 256 << 10
	end := d.size &^ (label - 1)
	for _, at := range []int64{0, label, end - 2*label, end - label} {
		b := d.bytes(at+128<<10, 128<<10)
		for ; len(b) >= 1024; b = b[1024:] {
			if le64(b) == 0x00bab10c || be64(b) == 0x00bab10c {
				return Content{Kind: Member, FSType: "zfs_member"}, true
			}
		}
	}
	return Content{}, false
}

// probeVendorRAID knows the commonest of the formats that mainboards keep at the end of disks: DDF and Intel's.
func probeVendorRAID(d *disk) (Content, bool) {
	for _, back := range []int64{512, 257 * 512} {
		if d.has(d.size-back, "\xde\x11\xde\x11") || d.has(d.size-back, "\x11\xde\x11\xde") {
			return Content{Kind: Member, FSType: "ddf_raid_member"}, true
		}
	}
	return Content{Kind: Member, FSType: "isw_raid_member"}, d.has(d.size-1024, "Intel Raid ISM Cfg Sig. ")
}

// probeSwap knows swap space, whose signature is at the end of the first page, and an image of hibernation in it.
func probeSwap(d *disk) (Content, bool) {
	for _, page := range []int64{4 << 10, 8 << 10, 16 << 10, 64 << 10} {
		for _, magic := range []string{"SWAPSPACE2", "SWAP-SPACE", "S1SUSPEND\x00", "S2SUSPEND\x00", "ULSUSPEND\x00", "LINHIB0001"} {
			if !d.has(page-10, magic) {
				continue
			}
			c := Content{Kind: Member, FSType: "swap"}
			if b := d.bytes(1024, 512); len(b) == 512 {
				c.UUID, c.Label = uuid(b[12:28]), text(b[28:44])
			}
			return c, true
		}
	}
	return Content{}, false
}
