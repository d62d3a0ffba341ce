package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// emptied is a file that a power cut may leave empty, and what dockerd does then. All paths are those of
// https://github.com/moby/moby.
type emptied struct {
	pattern string // below the data-root; * is one name
	aside   bool   // rename it; otherwise it is only told of
	lost    string
}

// emptiedFiles is the table. A file is set aside where dockerd does not start with it and starts without it:
//
//   - repositories.json: NewReferenceStore returns any error but os.IsNotExist (daemon/internal/refstore/store.go);
//   - opts.json: New of the local volume driver returns the error of loadOpts, which ignores a missing file
//     (daemon/volume/local/local.go);
//   - docker-state.json: Start of the cluster returns any error but os.IsNotExist (daemon/cluster/cluster.go, utils.go), and
//     swarmkit does the same with its state.json (node/node.go);
//   - engine-id: an empty one makes a daemon without an ID, a missing one is made anew (daemon/id.go).
//
// config.v2.json is set aside although it changes nothing: the container is not loaded either way (load in
// daemon/container.go), and so one sees that something is wrong there. hostconfig.json must stay: without it the container comes
// back without its mounts, limits and security options (readHostConfig in daemon/container/container.go), with it empty
// the container is not loaded. Databases of bbolt that are empty are made anew (Open in bbolt's db.go); nothing could
// be done about them. An empty image configuration fails its digest and is written again by the next pull (daemon/internal/image/fs.go).
func emptiedFiles() []emptied {
	const gone = "the container is not loaded: its files are still there, its name and settings are lost"
	return []emptied{
		{"image/*/repositories.json", true, "the names of all images are lost, the images themselves are there"},
		{"volumes/*/opts.json", true, "the volume's options are lost: it is a plain folder now"},
		{"swarm/docker-state.json", true, "this node is in no swarm any more"},
		{"swarm/state.json", true, "the addresses of the swarm's managers are lost"},
		{"engine-id", true, "the daemon gets a new ID"},
		{"containers/*/config.v2.json", true, gone},
		{"containers/*/hostconfig.json", false, gone},
		{"plugins/*/config.json", false, "the plug-in is not loaded"},
		{"network/files/local-kv.db", false, "the networks that were created are lost"},
		{"volumes/metadata.db", false, "the labels and options of volumes are lost"},
		{"containerd/daemon/io.containerd.metadata.v1.bolt/meta.db", false, "containerd's images and snapshots are lost"},
	}
}

// Aside is a file that was found empty.
type Aside struct {
	Path string `json:"path"`
	// Renamed is where it is now, empty where it was left in place.
	Renamed string `json:"renamed,omitempty"`
	Lost    string `json:"lost"`
}

// String is a message.
func (a Aside) String() string {
	if a.Renamed == "" {
		return fmt.Sprintf("%s is empty, after a power cut perhaps: %s", a.Path, a.Lost)
	}
	return fmt.Sprintf("%s was empty, after a power cut perhaps, and is %s now: %s", a.Path, filepath.Base(a.Renamed), a.Lost)
}

// SetAside looks in a data-root for files that a power cut left empty or full of zeros, and renames those that would keep
// dockerd from starting to NAME.empty-TIME. Nothing is deleted, and nothing with a byte in it that is not zero is touched. It
// is done before the daemon starts, under the lock. files are more of that kind, outside of the data-root: key.json, with which
// Docker up to 23.0 does not start (loadOrCreateTrustKey in daemon/trustkey.go), and daemon.json, with which 20.10 does not
// (getConflictFreeConfiguration in daemon/config/config.go).
//
// The list is of what was found; the errors are about single files, and do not end the search.
func SetAside(root string, now time.Time, files ...string) ([]Aside, error) {
	var list []Aside
	var errs []error
	look := func(path string, e emptied) {
		if empty, err := isEmpty(path); err != nil || !empty {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			return
		}
		a := Aside{Path: path, Lost: e.lost}
		if e.aside {
			renamed, err := rename(path, now)
			if err != nil {
				errs = append(errs, fmt.Errorf("setting aside the empty %s (%s; dockerd may not start with it): %w", path, e.lost, err))
				return
			}
			a.Renamed = renamed
		}
		list = append(list, a)
	}
	for _, e := range emptiedFiles() {
		paths, err := expand(root, strings.Split(e.pattern, "/"))
		if err != nil {
			errs = append(errs, fmt.Errorf("looking for files that a power cut left empty: %w", err))
		}
		for _, path := range paths {
			look(path, e)
		}
	}
	for _, path := range files {
		look(path, emptied{aside: true, lost: "what was in it; the daemon goes on with its defaults"})
	}
	return list, errors.Join(errs...)
}

// expand is a glob in which only a whole name can be a star, so that a data-root with brackets in its name is none.
// The errors are about single folders.
func expand(dir string, parts []string) ([]string, error) {
	if len(parts) == 0 {
		return []string{dir}, nil
	}
	if parts[0] != "*" {
		return expand(filepath.Join(dir, parts[0]), parts[1:])
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil // a new data-root has none of these
	}
	if err != nil {
		return nil, err
	}
	var list []string
	var errs []error
	for _, e := range entries {
		if e.IsDir() {
			more, err := expand(filepath.Join(dir, e.Name()), parts[1:])
			list, errs = append(list, more...), append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

// isEmpty tells of a regular file without a byte, or with nothing but zeros, which is what some filesystems make of one whose
// data had not been written yet.
func isEmpty(path string) (bool, error) {
	st, err := os.Lstat(path)
	if err != nil {
		if errors.Is(err, unix.ENOTDIR) {
			return false, nil
		}
		return false, err
	}
	const most = 1 << 20 // larger ones would have taken several writes, and are none of those in the table
	if !st.Mode().IsRegular() || st.Size() > most {
		return false, nil
	}
	if st.Size() == 0 {
		return true, nil
	}
	if strings.HasSuffix(path, ".db") {
		return false, nil // bbolt writes more than one page at once
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	return allAre(data, 0), nil
}

// rename does not replace a file that is there: with the same time, a number is added.
func rename(path string, now time.Time) (string, error) {
	base := path + ".empty-" + now.UTC().Format("20060102T150405Z")
	name := base
	for n := 2; ; n++ {
		// link(2) refuses to replace, on every filesystem and kernel, unlike the flag of renameat2(2).
		err := os.Link(path, name)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || n > 100 {
			return "", err
		}
		name = fmt.Sprintf("%s.%d", base, n)
	}
	if err := os.Remove(path); err != nil {
		return "", err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return name, errors.Join(dir.Sync(), dir.Close())
}
