// Package preload loads image archives of a folder into a daemon that is up, each of them once.
//
// Once means: an archive that the daemon has taken is remembered by its content, in a file in the data-root, and is not
// loaded again at later starts, also where its images have been deleted since: deleting them is the user's decision. What is
// loaded again is an archive with another content, one that failed, and all of them on a data-root without that file, as a
// new volume is. The file knows nothing of storage drivers: after a change of the driver, which hides all images from the
// daemon, remove it to have the archives loaded anew.
package preload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/ready"
)

// DefaultDir is where an image brings archives along.
const DefaultDir = "/usr/share/dockerlaunch/images"

// StateName is the name of the file in the data-root.
const StateName = "dockerlaunch-preload.json"

// maxArchives bounds how many archives a folder may hold.
const maxArchives = 10_000

// Outcome is what became of an archive.
type Outcome struct {
	Name string `json:"name"`
	// Kept is true where it had been loaded before.
	Kept bool `json:"kept,omitempty"`
	// Images are those that the daemon named: names with tags, or IDs.
	Images []string `json:"images,omitempty"`
	// Err is why it failed; it is tried again by the next Run.
	Err error `json:"-"`
}

// String tells the outcome in words.
func (o Outcome) String() string {
	switch {
	case o.Err != nil:
		return fmt.Sprintf("%s was not loaded, and is tried again at the next start: %v", o.Name, o.Err)
	case o.Kept:
		return o.Name + " has been loaded before"
	}
	return fmt.Sprintf("%s is loaded: %s", o.Name, strings.Join(o.Images, ", "))
}

// Archive tells whether a file's name is that of an archive that docker load takes. The daemon unpacks it: xz by the
// program xz, and zstd since 23.0.
func Archive(name string) bool {
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2"} {
		if len(name) > len(suffix) && strings.HasSuffix(name, suffix) && name[0] != '.' {
			return true
		}
	}
	return false
}

// List returns the names of the archives in a folder, sorted. A folder that is missing has none. Folders below it are not
// looked into.
func List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing image archives: %w", err)
	}
	defer f.Close()
	entries, err := f.ReadDir(maxArchives + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("listing image archives: %w", err)
	}
	if len(entries) > maxArchives {
		return nil, fmt.Errorf("listing image archives: %s has more than %d files", dir, maxArchives)
	}
	var names []string
	for _, e := range entries {
		if Archive(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Run loads the archives of dir which the data-root does not know yet, one after the other in the order of their names, and
// tells each outcome as it comes. An archive that fails does not stop the others. The error is that of ctx, of the folder, or
// of the state file, without which what was loaded is loaded again at the next start.
func Run(ctx context.Context, dir, dataRoot string, target ready.Target, tell func(Outcome)) error {
	names, err := List(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	path := filepath.Join(dataRoot, StateName)
	known, err := readState(path)
	var broken error
	if err != nil {
		if !errors.Is(err, errBroken) {
			return err
		}
		broken, known = err, &state{}
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return errors.Join(broken, fmt.Errorf("loading image archives: %w (%s and what follows is left for the next start)", err, name))
		}
		o, changed := one(ctx, dir, name, known, target)
		if changed {
			// At once, so that a power cut costs one archive and not all.
			if err := known.write(path); err != nil {
				tell(o)
				return errors.Join(broken, err)
			}
		}
		tell(o)
	}
	return broken
}

// one looks at an archive and loads it where it is new.
func one(ctx context.Context, dir, name string, known *state, target ready.Target) (o Outcome, changed bool) {
	o.Name = name
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		o.Err = err
		return o, false
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("it is no regular file (%s)", st.Mode())
	}
	if err != nil {
		o.Err = err
		return o, false
	}
	id := identify(name, st)
	if known.has(id) {
		o.Kept = true
		return o, false
	}
	// Another copy, or another time: the content decides. A first start knows no archives, and need not read this one twice.
	if known.hasSize(id.Size) {
		if id.SHA256, err = digest(ctx, f); err != nil {
			o.Err = err
			return o, false
		}
		if known.hasContent(id.SHA256) {
			o.Kept = true
			known.put(id)
			return o, true
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			o.Err = err
			return o, false
		}
	}
	hash := sha256.New()
	o.Images, o.Err = load(ctx, target, io.TeeReader(f, hash), st.Size())
	if o.Err != nil {
		return o, false
	}
	id.SHA256 = hex.EncodeToString(hash.Sum(nil))
	known.put(id)
	return o, true
}

// digest hashes a file, for as long as ctx lets it.
func digest(ctx context.Context, r io.Reader) (string, error) {
	hash := sha256.New()
	buf := make([]byte, bufferSize)
	for {
		n, err := r.Read(buf)
		hash.Write(buf[:n]) // a hash takes everything
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(hash.Sum(nil)), nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return "", fmt.Errorf("reading it: %w", err)
		}
	}
}
