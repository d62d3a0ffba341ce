package kconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig/unpack"
	"golang.org/x/sys/unix"
)

const (
	// MaxFile is the largest file, in bytes, that is read: a kernel image is smaller.
	MaxFile = 64 << 20
	// usual is more than most configurations have, in bytes.
	usual = 384 << 10
	// MaxConfig is the largest configuration, in bytes, unpacked: fifty times what distributions have.
	MaxConfig = 16 << 20
	// MaxImage is how far, in bytes, a packed kernel image is searched for its configuration.
	MaxImage = 256 << 20
)

var (
	// ErrNotRegular is returned for folders, FIFOs, devices and sockets.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLarge is returned for files and packed data beyond the limits above.
	ErrTooLarge = errors.New("too large for a kernel or its configuration")
	// ErrNoIKConfig is returned for a kernel image that was built without CONFIG_IKCONFIG.
	ErrNoIKConfig = errors.New("this kernel image holds no configuration (it was built without CONFIG_IKCONFIG)")
)

// NotFoundError tells that a system has no configuration of its kernel. It is fs.ErrNotExist to errors.Is.
type NotFoundError struct {
	// Tried are the places where one could have been.
	Tried []string
}

func (e *NotFoundError) Error() string {
	return "there is no configuration of the kernel: looked for " + strings.Join(e.Tried, ", ")
}

// Is makes it fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Read reads a configuration from a file: plain text, packed with gzip, xz, zstd, lzma or lz4, or within a kernel image
// or a module (vmlinuz, vmlinux, Image, configs.ko) built with CONFIG_IKCONFIG, whatever the file is called. What it takes is
// bounded by MaxFile, MaxConfig and MaxImage; it never waits for a FIFO or a device.
func Read(name string) (*Config, error) {
	data, err := slurp(name)
	if err != nil {
		return nil, fmt.Errorf("reading a kernel configuration: %w", err)
	}
	c, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("reading a kernel configuration: %w", &os.PathError{Op: "read", Path: name, Err: err})
	}
	c.Source = name
	return c, nil
}

// ReadRunning is Read for Running.
func ReadRunning() (*Config, error) {
	data, err := smallfile.ReadMost(Running, MaxFile)
	if err != nil {
		return nil, err
	}
	c, err := decode(data)
	if err == nil {
		c.Source = Running
	}
	return c, err
}

func slurp(name string) ([]byte, error) {
	// Opening a FIFO or a device must return, and a terminal not become one's own.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	fail := func(err error) error { return &os.PathError{Op: "read", Path: name, Err: err} }
	if !st.Mode().IsRegular() {
		return nil, fail(fmt.Errorf("%w: it is a %s", ErrNotRegular, kindOf(st.Mode())))
	}
	if st.Size() > MaxFile {
		return nil, fail(fmt.Errorf("%w: %d bytes, and %d are read at most", ErrTooLarge, st.Size(), MaxFile))
	}
	// Files in /proc have no size beforehand.
	buf := bytes.NewBuffer(make([]byte, 0, st.Size()+bytes.MinRead))
	if _, err := buf.ReadFrom(io.LimitReader(f, MaxFile+1)); err != nil {
		return nil, err
	}
	if buf.Len() > MaxFile {
		return nil, fail(fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxFile))
	}
	return buf.Bytes(), nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// decode finds the configuration in what a file holds.
func decode(data []byte) (*Config, error) {
	format := unpack.FormatOf(data)
	if format == unpack.None {
		if isText(data) {
			if len(data) > MaxConfig {
				return nil, fmt.Errorf("%w: %d bytes of text", ErrTooLarge, len(data))
			}
			return Parse(data)
		}
		return fromImage(data)
	}
	r, err := unpack.NewReader(format, data)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 4096)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	head = head[:n]
	all := io.MultiReader(bytes.NewReader(head), r)
	if isText(head) {
		text, err := readAll(all, MaxConfig)
		if err != nil {
			return nil, err
		}
		return Parse(text)
	}
	// A packed kernel, or a packed module.
	return fromStream(all)
}

// isText tells a configuration from a program. Kernels and modules have zero bytes among their first.
func isText(data []byte) bool {
	return bytes.IndexByte(data[:min(len(data), 4096)], 0) < 0
}

// readAll reads all of r, which may be limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data := bytes.NewBuffer(make([]byte, 0, usual)) // of which the system gives what is used
	if _, err := data.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	if int64(data.Len()) > limit {
		return nil, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrTooLarge, limit)
	}
	return data.Bytes(), nil
}

// Running is where a kernel built with CONFIG_IKCONFIG_PROC shows its configuration (proc(5)).
const Running = "/proc/config.gz"

// Candidates are the places, relative to the root, where distributions keep the configuration of a kernel, best first.
func Candidates(release string) []string {
	names := []string{Running[1:]}
	if release == "" || path.Base(release) != release || release == ".." {
		return names
	}
	return append(names,
		"boot/config-"+release,
		"lib/modules/"+release+"/config",
		"usr/lib/modules/"+release+"/config",
		"lib/modules/"+release+"/build/.config",
		"usr/lib/ostree-boot/config-"+release,
		"usr/lib/kernel/config-"+release,
		"usr/src/linux-"+release+"/.config",
	)
}

// Find reads the configuration of the kernel release below a root tree; "/" is the system that runs, whose kernel's own copy,
// /proc/config.gz, is the first choice, and which no other tree has. Links are followed within the tree only. Where there is
// none the error is a *NotFoundError; one that is there and cannot be read is an error that says so, unless a later place has
// one. unread are these errors where a configuration was found all the same.
func Find(root, release string) (c *Config, unread []error, err error) {
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, nil, fmt.Errorf("looking for a kernel configuration: %w", err)
	}
	missing := &NotFoundError{}
	for _, name := range Candidates(release) {
		if root != "/" && strings.HasPrefix(name, "proc/") {
			continue
		}
		full := filepath.Join(root, name)
		c, err := readWithin(root, full)
		switch {
		case err == nil:
			return c, unread, nil
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
			missing.Tried = append(missing.Tried, full)
		default:
			unread = append(unread, err)
		}
	}
	if len(unread) > 0 {
		return nil, nil, errors.Join(unread...)
	}
	return nil, nil, missing
}

// readWithin is Read, of a file that has to lie below root when links are followed: one that leads out of a tree that is only
// looked at leads to a file of this system's.
func readWithin(root, name string) (*Config, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, fmt.Errorf("reading a kernel configuration: %w", err)
	}
	if root != "/" && !strings.HasPrefix(real, root+"/") {
		return nil, fmt.Errorf("reading a kernel configuration: %s is a link that leads out of %s, to %s", name, root, real)
	}
	return Read(name)
}
