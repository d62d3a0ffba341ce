package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Kind is what an entry of an archive, or of the tree, is.
type Kind string

// The kinds. Nothing else is taken from an archive.
const (
	KindFolder Kind = "folder"
	KindFile   Kind = "file"
	KindLink   Kind = "link"
)

// Entry is one path of an archive.
type Entry struct {
	// Path is relative, clean, and the merged /usr's.
	Path string `json:"path"`
	Kind Kind   `json:"kind"`
	// Mode holds the permission bits alone.
	Mode fs.FileMode `json:"mode"`
	// Size is a file's, in bytes.
	Size int64 `json:"size,omitempty"`
	// Time is the modification time, in seconds since 1970.
	Time int64 `json:"time"`
	// Target is a link's, as the archive has it.
	Target string `json:"target,omitempty"`
	// Data is the path of the entry that has a file's bytes: its own, or for a hard link another one's.
	Data string `json:"data,omitempty"`
}

// limits bound what an archive may unpack to, so that a damaged or hostile one cannot fill the disk.
type limits struct {
	entry, total int64 // bytes
	entries      int
}

// defaultLimits leave room for the largest packages there are: a kernel's modules, a dockerd of 120 MB.
var defaultLimits = limits{entry: 1 << 30, total: 8 << 30, entries: 200_000}

// ErrUnsafe is what an archive that would write outside its folder, or without bound, is refused with.
var ErrUnsafe = errors.New("unsafe archive")

// readTar reads an archive and calls write for each file that keep wants, with exactly that file's bytes. It gives the kept
// entries in the archive's order. Nothing is written by readTar itself, and links are never followed.
func readTar(r io.Reader, lim limits, keep func(path string) bool, write func(Entry, io.Reader) error) ([]Entry, error) {
	var (
		entries []Entry
		kinds   = map[string]Kind{}
		total   int64
		count   int
	)
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the archive after %d entries: %w", count, err)
		}
		if count++; count > lim.entries {
			return nil, fmt.Errorf("%w: more than %d entries", ErrUnsafe, lim.entries)
		}
		name, err := cleanName(h.Name)
		if err != nil {
			return nil, err
		}
		if total += h.Size; h.Size < 0 || h.Size > lim.entry || total > lim.total {
			return nil, fmt.Errorf("%w: %s has %d bytes, which makes %d; at most %d in one file and %d in all are taken",
				ErrUnsafe, name, h.Size, total, lim.entry, lim.total)
		}
		if name == "." {
			continue
		}
		merged := mergeUsr(name)
		if h.Typeflag == tar.TypeSymlink && merged != name && strings.TrimPrefix(h.Linkname, "/") == merged {
			continue // the merge itself, as base-files has it
		}
		name = merged
		e := Entry{Path: name, Mode: fs.FileMode(h.Mode & 0o777), Time: seconds(h.ModTime)}
		switch h.Typeflag {
		case tar.TypeDir:
			e.Kind = KindFolder
		case tar.TypeReg:
			e.Kind, e.Size, e.Data = KindFile, h.Size, name
		case tar.TypeSymlink:
			e.Kind, e.Target = KindLink, h.Linkname
			if err := checkTarget(h.Name, h.Linkname); err != nil {
				return nil, err
			}
		case tar.TypeLink:
			target, err := cleanName(h.Linkname)
			if err != nil {
				return nil, fmt.Errorf("hard link %s: %w", name, err)
			}
			e.Kind, e.Data = KindFile, mergeUsr(target)
		default:
			return nil, fmt.Errorf("%w: %s is a device or another thing (tar type %q) that no tree here has", ErrUnsafe, name, h.Typeflag)
		}
		if !keep(name) {
			continue
		}
		if old, ok := kinds[name]; ok {
			if old == KindFolder && e.Kind == KindFolder {
				continue
			}
			return nil, fmt.Errorf("%w: %s is there twice", ErrUnsafe, name)
		}
		kinds[name] = e.Kind
		if h.Typeflag == tar.TypeLink {
			first, ok := findFile(entries, e.Data)
			if !ok {
				return nil, fmt.Errorf("%w: %s is a hard link to %s, which is no file before it", ErrUnsafe, name, e.Data)
			}
			e.Size, e.Mode, e.Data = first.Size, first.Mode, first.Data
		} else if e.Kind == KindFile {
			if err := write(e, tr); err != nil {
				return nil, err
			}
		}
		entries = append(entries, e)
	}
}

func findFile(entries []Entry, path string) (Entry, bool) {
	for _, e := range entries {
		if e.Path == path && e.Kind == KindFile {
			return e, true
		}
	}
	return Entry{}, false
}

// seconds keeps a time within what a file system and JSON can hold.
func seconds(t time.Time) int64 { return min(max(t.Unix(), 0), 1<<33) }

// cleanName gives an entry's name as a clean relative path, or an error for one that leads out of the folder.
func cleanName(name string) (string, error) {
	if name == "" || strings.ContainsRune(name, 0) || strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("%w: the path %q is empty or absolute", ErrUnsafe, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: the path %q leads out of its folder", ErrUnsafe, name)
		}
	}
	return path.Clean(name), nil
}

// checkTarget refuses a link that climbs above the root. An absolute one is let through, because packages have them: it means
// a path below the root, and neither unpacking nor the index ever follows one on disk.
func checkTarget(name, target string) error {
	if target == "" || strings.ContainsRune(target, 0) {
		return fmt.Errorf("%w: the link %q has no target", ErrUnsafe, name)
	}
	if strings.HasPrefix(target, "/") {
		return nil
	}
	depth := strings.Count(path.Clean(name), "/")
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return fmt.Errorf("%w: the link %q to %q leads out of its folder", ErrUnsafe, name, target)
		}
	}
	return nil
}

// mergeUsr gives the path that name has where /bin, /sbin and /lib* are links into /usr.
func mergeUsr(name string) string {
	first, _, _ := strings.Cut(name, "/")
	switch first {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
		return "usr/" + name
	}
	return name
}
