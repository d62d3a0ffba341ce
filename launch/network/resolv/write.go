package resolv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"golang.org/x/sys/unix"
)

// ErrForeign is a resolv.conf that somebody else made: it is left as it is.
var ErrForeign = errors.New("somebody else made it, so that it is left as it is (remove it, or empty it, to have it made)")

// Read reads the resolv.conf at path. One that is missing is an empty Config without an error.
func Read(path string) (Config, error) {
	text, err := smallfile.ReadMost(path, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(bytes.NewReader(text))
	if err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

// Write makes the file at path say what c does. One that somebody else made is ErrForeign, one that says so already is
// kept. It is replaced as a whole or not at all, so that no reader and no power cut sees half of it.
//
// A link is followed, also to a file that is not there yet: a tree with a read-only /etc has /etc/resolv.conf lead to where
// it can be written.
func Write(path string, c Config) (kept bool, err error) {
	fail := func(err error) (bool, error) { return false, fmt.Errorf("writing %s: %w", path, err) }
	target, err := follow(path)
	if err != nil {
		return fail(err)
	}
	text := c.Text()
	old, err := readAll(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fail(err)
	case !isOurs(old):
		return fail(ErrForeign)
	case old == text:
		return true, nil
	}
	if err := replace(target, text); err != nil {
		return fail(err)
	}
	return false, nil
}

// follow returns what a chain of links leads to, which need not be there.
func follow(path string) (string, error) {
	for range 40 { // the kernel's own limit, MAXSYMLINKS
		to, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL) {
			return path, nil // nothing is there, or no link
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", unix.ELOOP
}

func readAll(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not hold us up
	if err != nil {
		return "", err
	}
	st, err := file.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("it is no file (%s)", st.Mode())
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(file, maxSize))
	}
	return string(data), errors.Join(err, file.Close())
}

func replace(path, text string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		// Its first error tells more than that the rest could not be tidied up.
		err = errors.Join(err, os.Remove(temp.Name()))
	}
	return err
}
