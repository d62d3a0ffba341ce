package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// farAhead is how far behind the newest time that is built in a saved time may lie and be believed: a clock that somebody once
// set to 2099 must not stay there for good.
const farAhead = 15 * 365 * 24 * time.Hour

// epoch is a day before the first release of this package.
func epoch() time.Time { return time.Date(2025, time.November, 1, 0, 0, 0, 0, time.UTC) }

// Clock moves the clock of a machine to the latest time that is known to have passed, where it is before that: a machine
// without a battery for its clock, or without a clock, starts in 1970, and no TLS certificate is valid then. It never moves
// back; network time does the rest.
type Clock struct {
	// Built is when the launcher was built; the zero time where that is not known.
	Built time.Time
	// File is touched by Save; its time of change is the last that this machine knew.
	File string
}

// String tells what Apply does.
func (c Clock) String() string {
	return "set the clock forward where it is before the time of " + c.File
}

// Floor is the latest time that is known to have passed. saved is the file's, zero where there is none.
func (c Clock) Floor(saved time.Time) (floor time.Time, source string) {
	floor, source = epoch(), "this release"
	if c.Built.After(floor) {
		floor, source = c.Built, "the launcher's build"
	}
	if saved.After(floor) && saved.Before(floor.Add(farAhead)) {
		floor, source = saved, c.File
	}
	return floor, source
}

// Apply sets the clock, or keeps it where it is not before the floor.
func (c Clock) Apply(ctx context.Context) (kept bool, err error) {
	saved, err := within(ctx, ioLimit, "looking at "+c.File, func() (time.Time, error) {
		st, err := os.Stat(c.File)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return time.Time{}, nil
		case err != nil:
			return time.Time{}, err
		}
		return st.ModTime(), nil
	})
	// Without the file, what is built in still holds.
	floor, source := c.Floor(saved)
	if !time.Now().Before(floor) {
		return err == nil, err
	}
	ts := unix.NsecToTimespec(floor.UnixNano())
	if setErr := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); setErr != nil {
		err = errors.Join(err, fmt.Errorf("setting the clock forward to %s, the time of %s (TLS certificates will look as if they were not valid yet): %w",
			floor.UTC().Format(time.DateTime), source, setErr))
	}
	return false, err
}

// Save touches the file: at shutdown, and from time to time for the sake of power cuts.
func (c Clock) Save(ctx context.Context) error {
	return try(ctx, ioLimit, "saving the time", func() error {
		if err := os.MkdirAll(filepath.Dir(c.File), 0o700); err != nil {
			return fmt.Errorf("saving the time: %w", err)
		}
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|unix.O_NONBLOCK, 0o644)
		if err != nil {
			return fmt.Errorf("saving the time: %w", err)
		}
		now := time.Now()
		err = os.Chtimes(c.File, now, now)
		if err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("saving the time: %w", err)
		}
		return nil
	})
}
