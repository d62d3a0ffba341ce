package rootfs

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// findDocker takes Docker's own archive of static programs, docker-VERSION.tgz.
func findDocker(file string) (*Archive, error) {
	sum, err := hashFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading Docker's archive: %w", err)
	}
	return &Archive{Name: filepath.Base(file), SHA256: sum, file: file, docker: true}, nil
}

// dockerPrograms are the programs that a tree takes from Docker's archive, by name.
func dockerPrograms() map[string]bool {
	names := map[string]bool{}
	for _, r := range requirements {
		if r.Group == GroupDocker {
			names[r.Name] = true
		}
	}
	return names
}

// dockerFolder is the only folder of the archive. See https://docs.docker.com/engine/install/binaries/.
const dockerFolder = "docker/"

// readDocker reads Docker's archive as readDeb reads a package: its programs appear as files of /usr/bin.
func readDocker(_ context.Context, file string, write func(Entry, io.Reader) error) ([]Entry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading Docker's archive: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s is no archive of Docker's static programs: %w: want a docker-VERSION.tgz", file, err)
	}
	missing := dockerPrograms()
	entries, err := readTar(z, defaultLimits, func(name string) bool {
		folder, base := path.Split(name)
		return folder == dockerFolder && missing[base]
	}, write)
	if err == nil {
		_, err = io.Copy(io.Discard, z) // up to gzip's checksum
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no archive of Docker's static programs, or a damaged one: %w", file, err)
	}
	for i := range entries {
		e := &entries[i]
		base := path.Base(e.Path)
		if e.Kind != KindFile {
			return nil, fmt.Errorf("%s: %w: %s is a %s, not a file", file, ErrUnsafe, e.Path, e.Kind)
		}
		delete(missing, base)
		e.Path = "usr/bin/" + base
	}
	if len(missing) > 0 {
		var names []string
		for _, r := range requirements {
			if missing[r.Name] {
				names = append(names, dockerFolder+r.Name)
			}
		}
		return nil, fmt.Errorf("%s: %w: it has no %s", file, errIncomplete, strings.Join(names, ", "))
	}
	return entries, nil
}

// errIncomplete is an archive of Docker's that lacks a program.
var errIncomplete = errors.New("not all of Docker's programs are in the archive")
