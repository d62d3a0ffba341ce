package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writer puts all files beside their places first, and moves them there in one go, in the order in which they were written.
type writer struct {
	files   []staged
	aside   []string
	tighten []string
}

type staged struct{ temp, path string }

// write puts a file, with its folder, beside its place, and onto the disk.
func (w *writer) write(dir, path string, data []byte) error {
	target := filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(target), tempName(target))
	if err != nil {
		return err
	}
	w.files = append(w.files, staged{temp.Name(), path})
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Chmod(modeOf(path))
	}
	if err == nil {
		err = temp.Sync()
	}
	return errors.Join(err, temp.Close())
}

// commit moves the files into place. What somebody else made is kept under another name.
func (w *writer) commit(dir string) error {
	for _, path := range w.tighten {
		if err := os.Chmod(filepath.Join(dir, path), 0o600); err != nil {
			return err
		}
	}
	for _, path := range w.aside {
		if err := setAside(filepath.Join(dir, path)); err != nil {
			return err
		}
	}
	var folders []string
	for len(w.files) > 0 {
		f := w.files[0]
		if err := os.Rename(f.temp, filepath.Join(dir, f.path)); err != nil {
			return err
		}
		w.files = w.files[1:]
		if folder := filepath.Join(dir, filepath.Dir(f.path)); !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	for _, folder := range append(folders, dir) {
		if err := syncDir(folder); err != nil {
			return err
		}
	}
	return nil
}

// discard removes what was not moved into place. An error of that leaves a hidden file behind, which harms nobody.
func (w *writer) discard() {
	for _, f := range w.files {
		_ = os.Remove(f.temp)
	}
}

// maxAside bounds how many files are kept under other names; the last one is replaced where there are as many.
const maxAside = 20

// setAside keeps a file under a name that is free, with link(2), which replaces nothing; what is written next takes the old
// name.
func setAside(path string) error {
	name := path + ".old"
	for i := 2; ; i++ {
		err := os.Link(path, name)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if i > maxAside {
			if err := os.Remove(name); err != nil {
				return err
			}
			continue
		}
		name = fmt.Sprintf("%s.old%d", path, i)
	}
}

// sweep removes what an earlier run that was cut off has left beside the files.
func sweep(dir string) error {
	for _, p := range profiles() {
		folder := filepath.Join(dir, p.name)
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), tempPrefix) {
				if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

const tempPrefix = ".dockerlaunch-"

// tempName begins the name that a file has until it is whole.
func tempName(path string) string { return tempPrefix + filepath.Base(path) + "-" }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
