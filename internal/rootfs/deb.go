package rootfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// kept are the parts of a package that anything in a tree can come from.
var kept = []string{
	"usr/bin/", "usr/sbin/", "usr/lib/", "usr/lib64/", "usr/libexec/", "usr/share/ca-certificates/", "usr/share/common-licenses/",
}

// keep tells whether a path of a package is worth unpacking: programs, and the copyright file, whose folder can be a link.
func keep(name string) bool {
	if rest, ok := strings.CutPrefix(name, docFolder); ok {
		_, file, below := strings.Cut(rest, "/")
		return !below || file == "copyright"
	}
	return slices.ContainsFunc(kept, func(prefix string) bool { return strings.HasPrefix(name+"/", prefix) })
}

// docFolder has a folder for each package. See Debian Policy, section 12.5.
const docFolder = "usr/share/doc/"

// readDeb hands the files of a .deb to write, as readTar does. dpkg-deb takes the two outer layers off (ar, and xz, zstd or
// gzip), at six times the speed of the decompressors written in Go; what is in the archive is judged here.
func readDeb(ctx context.Context, file string, write func(Entry, io.Reader) error) ([]Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", file, err)
	}
	if err := cmd.Start(); errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("unpacking %s: %w: it is in the package dpkg", file, err)
	} else if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", file, err)
	}
	entries, readErr := readTar(out, defaultLimits, keep, write)
	if readErr == nil {
		// Padding behind the archive's end must be taken, or dpkg-deb fails at writing it.
		_, readErr = io.Copy(io.Discard, out)
	} else if !errors.Is(readErr, io.ErrUnexpectedEOF) {
		cancel() // it would go on writing to a pipe that nobody reads
	}
	waitErr := cmd.Wait()
	switch {
	case errors.Is(readErr, ErrUnsafe):
		return nil, fmt.Errorf("%s: %w", file, readErr)
	case stderr.Len() > 0:
		return nil, fmt.Errorf("%s is no Debian package, or a damaged one: %s", file, strings.TrimSpace(stderr.String()))
	case readErr != nil:
		return nil, fmt.Errorf("%s is damaged: %w", file, readErr)
	case waitErr != nil:
		return nil, fmt.Errorf("unpacking %s: dpkg-deb: %w", file, waitErr)
	}
	return entries, nil
}

// fileWriter gives a write function that puts each file below folder. Files there are the reader's own and carry neither
// the archive's mode nor its time: those are in the entries.
func fileWriter(folder string) func(Entry, io.Reader) error {
	return func(e Entry, r io.Reader) error {
		name := filepath.Join(folder, filepath.FromSlash(e.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		_, err = io.Copy(f, r)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", e.Path, err)
		}
		return nil
	}
}
