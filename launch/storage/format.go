package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/dockerlaunch/dockerlaunch/internal/random"
	"golang.org/x/sys/unix"
)

// format makes an ext4 on a blank disk. The order of writes is what is described at Marker. Right before, the disk is looked at
// once more: time has passed since the plan was made, and it may be a different disk by now.
func (p Preparer) format(ctx context.Context, d Disk, plan Plan) (Content, error) {
	failed := func(kind, err error, detail, advice string) (Content, error) {
		return Content{}, &Error{Op: "format", Path: d.Path, Kind: kind, Err: err, Detail: detail, Advice: advice}
	}
	mkfs, err := p.find("mkfs." + plan.FSType)
	if err != nil {
		return failed(ErrProgram, err, "", "add it to the image (Debian has it in e2fsprogs), or format the disk elsewhere with the label "+plan.Label)
	}
	marker, err := claim(d)
	if err != nil {
		return Content{}, err
	}
	// In KiB, for mkfs takes no bytes.
	size := strconv.FormatUint((d.Size-markerRoom)>>10, 10) + "k"
	// No -F: what mkfs itself finds on the disk makes it stop.
	code, output, err := p.Runner.Run(ctx, mkfs, "-q", "-L", plan.Label, "-U", marker.UUID, "-m", "1", d.Path, size)
	if err != nil || code != 0 {
		detail := fmt.Sprintf("%s ended with status %d", mkfs, code)
		if text := lastLines(output); text != "" {
			detail += ": " + text
		}
		return failed(ErrProgram, err, detail, "the disk is marked as one that may be formatted, so that it is tried again at the next start")
	}
	c, err := IdentifyDevice(d.Path)
	if err != nil {
		return failed(ErrUnreadable, err, "", "")
	}
	// Still marked, it counts as cut short.
	if c.Kind != Interrupted || c.Marker.UUID != marker.UUID {
		return failed(ErrProgram, nil, mkfs+" said that all is well, but the disk holds "+c.String(), "")
	}
	d.Content.Marker = &marker
	if err := eraseMarker(d); err != nil {
		return Content{}, err
	}
	if c, err = IdentifyDevice(d.Path); err != nil {
		return failed(ErrUnreadable, err, "", "")
	}
	if c.Kind != Filesystem || c.UUID != marker.UUID {
		return failed(ErrProgram, nil, mkfs+" said that all is well, but the disk holds "+c.String(), "")
	}
	return c, nil
}

// claim writes the marker to a disk that is still blank and that nobody uses. Where an earlier formatting was cut short its
// marker stays: the superblock with that UUID may be on the disk, and belongs to the marker.
func claim(d Disk) (marker Marker, err error) {
	failed := func(kind, err error, detail string) (Marker, error) {
		return Marker{}, &Error{Op: "format", Path: d.Path, Kind: kind, Err: err, Detail: detail, Advice: "nothing was written"}
	}
	// O_EXCL, with a block device, is refused while it is mounted or part of another device. See open(2).
	f, err := os.OpenFile(d.Path, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return failed(ErrInUse, err, "")
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES):
		return failed(ErrReadOnly, err, "")
	case err != nil:
		return failed(nil, err, "")
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, 2)
	if err != nil {
		return failed(ErrUnreadable, err, "")
	}
	if uint64(size) != d.Size {
		return failed(ErrNotBlank, nil, fmt.Sprintf("it was %d bytes large, and is %d now", d.Size, size))
	}
	c, err := Identify(f, size)
	if err != nil {
		return failed(ErrUnreadable, err, "")
	}
	if c.Kind != Blank && c.Kind != Interrupted {
		return failed(ErrNotBlank, nil, "it is not blank any more: "+c.String())
	}
	if c.Marker != nil {
		return *c.Marker, nil
	}
	marker = Marker{Size: d.Size}
	if marker.UUID, err = newUUID(); err == nil {
		err = marker.write(f)
	}
	if err != nil {
		return failed(nil, err, "")
	}
	return marker, nil
}

func eraseMarker(d Disk) (err error) {
	f, err := os.OpenFile(d.Path, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(d.Content.Marker.erase(f), f.Close())
	}
	if err != nil {
		return &Error{Op: "finish the formatting of", Path: d.Path, Err: err}
	}
	return nil
}

// newUUID makes a random UUID, version 4 of RFC 9562.
func newUUID() (string, error) {
	var b [16]byte
	if err := random.Read(b[:]); err != nil {
		return "", fmt.Errorf("getting random bytes: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return uuid(b[:]), nil
}
