package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Marker is what is written to the last sector of a blank disk before it is formatted, and taken away when that is done. A
// formatting that was cut short, by a power cut perhaps, leaves something on the disk that is neither blank nor a filesystem;
// without a marker nobody could tell it from somebody's data, and it would never be formatted again.
//
// The filesystem is made somewhat smaller than the disk, so that the marker lies outside of it, and grows into the rest when
// it is mounted. The marker is on the disk before the first write of mkfs.ext4, and is taken away after its last flush, before
// the filesystem is mounted for the first time. In between nothing is known about which writes a power cut lets through. So:
//
//   - no marker, nothing on it: blank;
//   - the marker, and no superblock, the first 2 KiB being zero, which mkfs.ext4 writes nothing to but its superblock: cut short
//     (Interrupted); it may be formatted as a blank one;
//   - the marker, and an ext4 with the UUID that the marker holds which was never mounted: cut short too, as nobody knows how
//     much of it is there, and there is nothing in it to lose;
//   - the same, mounted since: somebody went on with it by hand; the marker is taken away, and it is checked and mounted;
//   - the marker, and anything else: somebody used the disk since, and the marker means nothing any more.
type Marker struct {
	Size uint64 `json:"size"` // of the disk, bytes
	UUID string `json:"uuid"` // of the filesystem that is being made
}

const (
	markerMagic  = "dockerlaunch formatting\x00"
	markerSector = 512
	// markerRoom is what of the disk the filesystem leaves free: all that is written between is lost in a cut.
	markerRoom = 1 << 20
	// emptyHead is the boot block and the superblock of an ext4. Where blocks have 1 KiB, more of it follows at once.
	emptyHead = 2048
)

// encode gives the sector: magic, size, UUID in 36 characters, zeros, and the checksum of all that.
func (m Marker) encode() []byte {
	b := make([]byte, markerSector)
	n := copy(b, markerMagic)
	binary.LittleEndian.PutUint64(b[n:], m.Size)
	copy(b[n+8:n+8+36], m.UUID)
	binary.LittleEndian.PutUint32(b[markerSector-4:], crc32.ChecksumIEEE(b[:markerSector-4]))
	return b
}

func decodeMarker(b []byte) (Marker, bool) {
	if len(b) != markerSector || !bytes.HasPrefix(b, []byte(markerMagic)) ||
		crc32.ChecksumIEEE(b[:markerSector-4]) != le32(b[markerSector-4:]) {
		return Marker{}, false
	}
	b = b[len(markerMagic):]
	return Marker{Size: le64(b), UUID: text(b[8 : 8+36])}, true
}

// markerAt is where the marker is.
func markerAt(size int64) int64 { return size/markerSector*markerSector - markerSector }

// mark looks for the marker, and says what it means for the content.
func (d *disk) mark(c *Content) {
	at := markerAt(d.size)
	if at < 0 || d.err != nil {
		return
	}
	m, ok := decodeMarker(d.bytes(at, markerSector))
	if !ok || m.Size != uint64(d.size) {
		return
	}
	switch {
	case (c.Kind == Unknown || c.Kind == Blank) && allAre(d.bytes(0, emptyHead), 0):
		*c = Content{Kind: Interrupted, Marker: &m}
	case c.Kind != Filesystem || c.FSType != "ext4" || c.UUID != m.UUID:
	case d.neverMounted():
		*c = Content{Kind: Interrupted, Marker: &m}
	default:
		c.Marker = &m
	}
}

// neverMounted tells of an ext4 by the time of its last mount, and the number of mounts.
func (d *disk) neverMounted() bool {
	b := d.bytes(1024, 1024)
	return len(b) == 1024 && le32(b[0x2c:]) == 0 && le16(b[0x34:]) == 0
}

// writer is what is needed to write a marker durably.
type writer interface {
	io.WriterAt
	Sync() error
}

func (m Marker) write(w writer) error {
	return writeSector(w, m.encode(), markerAt(int64(m.Size)))
}

// erase puts zeros in the marker's place.
func (m Marker) erase(w writer) error {
	return writeSector(w, make([]byte, markerSector), markerAt(int64(m.Size)))
}

func writeSector(w writer, b []byte, at int64) error {
	if _, err := w.WriteAt(b, at); err != nil {
		return fmt.Errorf("writing the mark of a formatting at %d: %w", at, err)
	}
	if err := w.Sync(); err != nil {
		return fmt.Errorf("writing the mark of a formatting at %d: %w", at, err)
	}
	return nil
}
