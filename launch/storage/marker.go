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
// it is mounted. mkfs.ext4 writes the first superblock last of all (ext2fs_flush2 in e2fsprogs' lib/ext2fs/closefs.c), so:
//
//   - no marker, nothing on it: blank;
//   - the marker, and the first 4 KiB zero: cut short (Interrupted); it may be formatted as a blank one;
//   - the marker, and an ext4 with the UUID that the marker holds: complete, but for the taking away of the marker;
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
	// emptyHead is what mkfs.ext4 leaves zero until it is done.
	emptyHead = 4096
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
	case c.Kind == Unknown && allAre(d.bytes(0, emptyHead), 0):
		*c = Content{Kind: Interrupted, Marker: &m}
	case c.Kind == Filesystem && c.FSType == "ext4" && c.UUID == m.UUID:
		c.Marker = &m
	}
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
