package certs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxFile bounds a file in bytes; a bundle of all public CAs has a quarter of it.
const maxFile = 1 << 20

// file is one as it was found.
type file struct {
	data []byte // nil for one that is missing, or empty, which is the same as for docker:dind
	mode fs.FileMode
	// there is true where something stands at the path.
	there bool
}

// tree is all files, by their path below the folder.
type tree map[string]file

// paths are all files, in the order in which they are written: a key before its certificate, and the CA before what it
// signs, so that what a power cut leaves is a key without its certificate, or one beside an older one, which the next
// start sees.
func paths() []string {
	return []string{"ca/key.pem", "ca/cert.pem", "server/key.pem", "server/cert.pem", "server/ca.pem", "client/key.pem", "client/cert.pem", "client/ca.pem"}
}

func observe(dir string) (tree, error) {
	t := tree{}
	for _, path := range paths() {
		f, err := readFile(filepath.Join(dir, path))
		if err != nil {
			return nil, fmt.Errorf("reading the TLS files: %w", err)
		}
		t[path] = f
	}
	return t, nil
}

func readFile(path string) (file, error) {
	// Without O_NONBLOCK a named pipe would be waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		// A link that leads nowhere is the user's, and is written through no more than it is read.
		if _, err := os.Lstat(path); err == nil {
			return file{}, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is a link that leads nowhere")}
		}
		return file{}, nil
	}
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	if !st.Mode().IsRegular() {
		return file{}, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is no regular file (%s)", st.Mode())}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return file{}, err
	}
	if len(data) > maxFile {
		return file{}, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it has more than %d bytes", maxFile)}
	}
	if len(bytes.Trim(data, "\x00")) == 0 {
		data = nil // also what some filesystems make of a file that was being written when the power went
	}
	return file{data: data, mode: st.Mode().Perm(), there: true}, nil
}
