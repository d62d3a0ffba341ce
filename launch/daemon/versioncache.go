package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"golang.org/x/sys/unix"
)

// Where the version of a dockerd is remembered, so that it is not run to ask for it, which takes 30 ms and more.
const (
	// VersionCache is what a launcher wrote down that has asked.
	VersionCache = "/run/dockerlaunch/dockerd-version.json"
	// VersionHint comes with a root tree: a line with the size of its dockerd, in bytes, and the version.
	VersionHint = "/usr/share/dockerlaunch/dockerd-version"
)

// maxVersionFile is more than either file has, in bytes.
const maxVersionFile = 4096

// ProgramID tells a program's file from others, and from what stood at its path before.
type ProgramID struct {
	Path   string `json:"path"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Size   int64  `json:"size"`
	// Changed is the time of its last change (st_mtim of stat(2)), in nanoseconds since 1970.
	Changed int64 `json:"mtime_ns"`
}

// Identify looks at a program, behind links. The error is an *os.PathError.
func Identify(path string) (ProgramID, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return ProgramID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	// Dev has another width on other architectures.
	return ProgramID{Path: path, Device: uint64(s.Dev), Inode: s.Ino, Size: s.Size, Changed: s.Mtim.Nano()}, nil
}

// VersionFiles are the two files; the zero value stands for VersionCache and VersionHint.
type VersionFiles struct{ Cache, Hint string }

func (f VersionFiles) cache() string {
	if f.Cache != "" {
		return f.Cache
	}
	return VersionCache
}

func (f VersionFiles) hint() string {
	if f.Hint != "" {
		return f.Hint
	}
	return VersionHint
}

// remembered is the form of the cache.
type remembered struct {
	ProgramID
	Version Version `json:"version"`
}

// Known returns the version of a dockerd as far as one of the files tells; the zero Version where none does, or where the
// program is not the one that they are about. It runs nothing. What cannot be read is not known: asking the program is always
// the other way.
func (f VersionFiles) Known(path string) Version {
	id, err := Identify(path)
	if err != nil {
		return Version{}
	}
	if data, err := readShort(f.cache()); err == nil {
		var r remembered
		if json.Unmarshal(data, &r) == nil && r.ProgramID == id && r.Version.Known() {
			return r.Version
		}
	}
	if data, err := readShort(f.hint()); err == nil {
		if size, version, err := ParseHint(string(data)); err == nil && size == id.Size {
			return version
		}
	}
	return Version{}
}

// Remember writes a version into the cache, whole or not at all.
func (f VersionFiles) Remember(id ProgramID, version Version) error {
	data, err := json.Marshal(remembered{id, version})
	if err != nil {
		return fmt.Errorf("remembering the version of %s: %w", id.Path, err)
	}
	cache := f.cache()
	if err := os.MkdirAll(filepath.Dir(cache), 0o755); err != nil {
		return fmt.Errorf("making a folder for the version of %s: %w", id.Path, err)
	}
	part := cache + ".part"
	if err := os.WriteFile(part, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("remembering the version of %s: %w", id.Path, err)
	}
	if err := os.Rename(part, cache); err != nil {
		return fmt.Errorf("remembering the version of %s: %w", id.Path, errors.Join(err, os.Remove(part)))
	}
	return nil
}

// Hint is the content of VersionHint for a dockerd of this size in bytes.
func Hint(size int64, version Version) string { return fmt.Sprintf("%d %s\n", size, version) }

// ParseHint reads what Hint wrote.
func ParseHint(text string) (size int64, version Version, err error) {
	first, second, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		return 0, Version{}, fmt.Errorf("reading a hint of dockerd's version from %.80q: it is not a size and a version", text)
	}
	if size, err = strconv.ParseInt(first, 10, 64); err != nil || size <= 0 {
		return 0, Version{}, fmt.Errorf("reading a hint of dockerd's version from %.80q: %q is no size", text, first)
	}
	if version, err = ParseVersion(second); err != nil {
		return 0, Version{}, err
	}
	return size, version, nil
}

func readShort(path string) ([]byte, error) {
	return smallfile.ReadMost(path, maxVersionFile)
}

// NeedsVersion tells whether it makes a difference which version an unknown dockerd has: where a flag is called for that
// only newer ones know, or the user gives an option that newer ones do not know any more.
func NeedsVersion(e Effective, facts DefaultFacts) bool {
	if !e.Command.IsDockerd() || e.Version.Known() {
		return false
	}
	newest := e
	newest.Version = Version{Dev: true}
	for _, d := range Defaults() {
		if _, wanted := d.add(newest, facts); wanted && d.Versioned {
			return true
		}
	}
	_, left := Fit(e.Command.Args, newest.Version)
	return len(left) > 0
}
