package vm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/u-root/u-root/pkg/cpio"
)

// initramfs collects the records of an archive by path, so that a later file replaces an earlier one and each folder comes
// before what it holds, as the kernel's unpacker wants it (Documentation/driver-api/early-userspace/buffer-format.rst).
type initramfs struct {
	records map[string]cpio.Record
}

func newInitramfs() *initramfs { return &initramfs{records: map[string]cpio.Record{}} }

func (a *initramfs) add(r cpio.Record) {
	r.Name = cpio.Normalize(r.Name)
	for dir := path.Dir(r.Name); dir != "."; dir = path.Dir(dir) {
		if _, ok := a.records[dir]; !ok {
			a.records[dir] = cpio.Directory(dir, 0o755)
		}
	}
	a.records[r.Name] = r
}

func (a *initramfs) file(f File) error {
	switch {
	case f.Link != "":
		a.add(cpio.Symlink(f.Path, f.Link))
	case f.From != "":
		return a.host(f.Path, f.From)
	default:
		mode := f.Mode
		if mode == 0 {
			mode = 0o644
		}
		a.add(cpio.StaticFile(f.Path, string(f.Data), uint64(mode.Perm())))
	}
	return nil
}

// host adds a file of the host, which is read when the archive is written.
func (a *initramfs) host(name, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	a.add(cpio.Record{ReaderAt: lazyFile(from), Info: cpio.Info{
		Name: name, Mode: cpio.S_IFREG | uint64(info.Mode().Perm()), FileSize: uint64(info.Size()),
	}})
	return nil
}

func (a *initramfs) tree(t Tree) error {
	return filepath.WalkDir(t.From, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(t.From, name)
		if err != nil {
			return err
		}
		target := path.Join(t.Path, filepath.ToSlash(rel))
		switch {
		case d.IsDir():
			return nil // made with the first file in it
		case t.Keep != nil && !t.Keep(filepath.ToSlash(rel)):
			return nil
		case d.Type() == fs.ModeSymlink:
			link, err := os.Readlink(name)
			if err != nil {
				return err
			}
			a.add(cpio.Symlink(target, link))
			return nil
		case d.Type().IsRegular():
			return a.host(target, name)
		}
		return fmt.Errorf("%s: only files, folders and links can go into a machine", name)
	})
}

// write writes the archive, sorted by path, behind another one where that is named: the kernel unpacks both.
func (a *initramfs) write(to, behind string) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if behind != "" {
		if err := copyAligned(f, behind); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(a.records))
	for name := range a.records {
		names = append(names, name)
	}
	slices.Sort(names)
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := cpio.Newc.Writer(buffered)
	for _, name := range names {
		if err := w.WriteRecord(a.records[name]); err != nil {
			return fmt.Errorf("writing %s into the initramfs: %w", name, err)
		}
	}
	if err := cpio.WriteTrailer(w); err != nil {
		return err
	}
	return buffered.Flush()
}

// copyAligned copies a file, and fills up to where the kernel looks for the next archive.
func copyAligned(to io.Writer, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(to, f)
	if err != nil {
		return err
	}
	_, err = to.Write(make([]byte, (4-n%4)%4))
	return err
}

// lazyFile opens its file for each read: thousands of modules would not fit into the descriptors a process may hold.
type lazyFile string

func (l lazyFile) ReadAt(p []byte, off int64) (int, error) {
	f, err := os.Open(string(l))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(p, off)
}
