package rootfs

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// ListName is the file that scripts/fetch-packages leaves beside the packages: what it fetched, one line each.
const ListName = "packages.list"

// storeFormat is part of an unpacked package's folder, and changes when what is kept of a package does.
const storeFormat = "2"

// Archive is one file that parts of a tree come from: a Debian package, or Docker's own archive.
type Archive struct {
	// Name and Version are as in a package's file name. Docker's archive is named by its file.
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// SHA256 is of the file, in hexadecimal.
	SHA256 string `json:"sha256"`
	// Built is the newest modification time of a file in it, in seconds since 1970.
	Built int64 `json:"-"`
	// Control is what a package says of itself, known once it was unpacked. Docker's archive says nothing.
	Control Control `json:"-"`

	file    string
	docker  bool // Docker's own archive
	entries []Entry
	folder  string // where it is unpacked
}

// File is the name of the archive's file, without its folder. It is known to a plan, not to a manifest that was read.
func (a *Archive) File() string {
	if a.file == "" {
		return ""
	}
	return filepath.Base(a.file)
}

// findDebs lists the packages in folder with their hashes, sorted by name: those in its list, or all where it has none.
func findDebs(folder string) ([]*Archive, error) {
	listed, err := readList(filepath.Join(folder, ListName))
	if errors.Is(err, fs.ErrNotExist) {
		files, globErr := filepath.Glob(filepath.Join(folder, "*.deb"))
		if globErr != nil {
			return nil, fmt.Errorf("looking for packages in %s: %w", folder, globErr)
		}
		for _, file := range files {
			listed = append(listed, listLine{file: filepath.Base(file)})
		}
	} else if err != nil {
		return nil, err
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("%s has no packages: fetch them first, with scripts/fetch-packages --dest %s $(mkimage packages)", folder, folder)
	}
	var debs []*Archive
	for _, line := range listed {
		d := &Archive{file: filepath.Join(folder, line.file)}
		if d.SHA256, err = hashFile(d.file); err != nil {
			return nil, fmt.Errorf("reading a package: %w: fetch it again, with scripts/fetch-packages", err)
		}
		if line.hash != "" && line.hash != d.SHA256 {
			return nil, fmt.Errorf("%s has changed since it was fetched: its SHA-256 is %s, and %s has %s; fetch it again, with scripts/fetch-packages",
				d.file, d.SHA256, ListName, line.hash)
		}
		d.Name, d.Version, _ = strings.Cut(strings.TrimSuffix(line.file, ".deb"), "_")
		d.Version, _, _ = strings.Cut(strings.ReplaceAll(d.Version, "%3a", ":"), "_")
		debs = append(debs, d)
	}
	slices.SortFunc(debs, func(a, b *Archive) int { return strings.Compare(a.file, b.file) })
	return debs, nil
}

type listLine struct{ file, hash string }

// readList reads name, version, architecture, SHA-256 and file, with tabs between them.
func readList(file string) ([]listLine, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the list of packages: %w", err)
	}
	defer f.Close()
	return parseList(f, file)
}

func parseList(r io.Reader, name string) ([]listLine, error) {
	var lines []listLine
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		if strings.HasPrefix(s.Text(), "#") || s.Text() == "" {
			continue
		}
		fields := strings.Split(s.Text(), "\t")
		if len(fields) != 5 || len(fields[3]) != 2*sha256.Size || !strings.HasSuffix(fields[4], ".deb") || strings.ContainsAny(fields[4], "/\x00") {
			return nil, fmt.Errorf("%s, line %d: want name, version, architecture, SHA-256 and file, separated by tabs", name, n)
		}
		lines = append(lines, listLine{file: fields[4], hash: fields[3]})
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return lines, nil
}

func hashFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// unpackWorkers is how many packages are unpacked at once: dpkg-deb keeps one processor busy, and writing waits now and then.
const unpackWorkers = 2

// unpack makes the contents of each package readable below store, where one that is there already is kept, and removes those
// that are none of debs. Each lies in a folder named by its hash, which appears only when it is whole.
func unpack(ctx context.Context, store string, debs []*Archive, progress func(done, total int)) error {
	if err := os.MkdirAll(store, 0o755); err != nil {
		return fmt.Errorf("making the folder of unpacked packages: %w", err)
	}
	lock, err := lockFile(filepath.Join(store, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	wanted := map[string]bool{"lock": true}
	var missing []*Archive
	for _, d := range debs {
		name := storeFormat + "-" + d.SHA256
		wanted[name] = true
		d.folder = filepath.Join(store, name)
		if err := d.load(); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, d)
		} else if err != nil {
			return err
		}
	}
	there, err := os.ReadDir(store)
	if err != nil {
		return fmt.Errorf("listing the unpacked packages: %w", err)
	}
	for _, e := range there {
		if !wanted[e.Name()] {
			if err := os.RemoveAll(filepath.Join(store, e.Name())); err != nil {
				return fmt.Errorf("removing an unpacked package that is no longer wanted: %w", err)
			}
		}
	}

	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		done  = len(debs) - len(missing)
		queue = make(chan *Archive)
	)
	for range unpackWorkers {
		wg.Go(func() {
			for d := range queue {
				err := d.unpack(ctx)
				mu.Lock()
				errs = append(errs, err)
				done++
				progress(done, len(debs))
				mu.Unlock()
			}
		})
	}
	for _, d := range missing {
		queue <- d
	}
	close(queue)
	wg.Wait()
	return errors.Join(errs...)
}

// contents is what index.json in an unpacked package's folder holds.
type contents struct {
	Control Control `json:"control"`
	Entries []Entry `json:"entries"`
}

// load reads what an earlier run unpacked.
func (d *Archive) load() error {
	raw, err := os.ReadFile(filepath.Join(d.folder, "index.json"))
	if err != nil {
		return fmt.Errorf("reading an unpacked package: %w", err)
	}
	var c contents
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("reading %s: %w: remove that folder", filepath.Join(d.folder, "index.json"), err)
	}
	d.Control = c.Control
	d.setEntries(c.Entries)
	return nil
}

func (d *Archive) setEntries(entries []Entry) {
	d.entries = entries
	for _, e := range entries {
		d.Built = max(d.Built, e.Time)
	}
}

func (d *Archive) unpack(ctx context.Context) error {
	part := d.folder + ".part"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("unpacking %s: %w", d.file, err)
	}
	if err := os.MkdirAll(filepath.Join(part, "data"), 0o755); err != nil {
		return fmt.Errorf("unpacking %s: %w", d.file, err)
	}
	read := readDeb
	if d.docker {
		read = readDocker
	}
	entries, err := read(ctx, d.file, fileWriter(filepath.Join(part, "data")))
	if err != nil {
		return err
	}
	if !d.docker {
		if d.Control, err = readControl(ctx, d.file); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(contents{Control: d.Control, Entries: entries})
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", d.file, err)
	}
	if err := os.WriteFile(filepath.Join(part, "index.json"), raw, 0o644); err != nil {
		return fmt.Errorf("unpacking %s: %w", d.file, err)
	}
	if err := os.Rename(part, d.folder); err != nil {
		return fmt.Errorf("unpacking %s: %w", d.file, err)
	}
	d.setEntries(entries)
	return nil
}
