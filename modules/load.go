package modules

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The flags of finit_module(2) (include/uapi/linux/module.h); the last since Linux 5.17.
const (
	ignoreModversions = 1
	ignoreVermagic    = 2
	initCompressed    = 4
)

// LoadFile loads a module from its file, packed or not, without what it depends on. That it is loaded already is success.
// The error is a *LoadError where the kernel refused.
func LoadFile(path, params string) error {
	_, err := loadFile(path, params, 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// loadFile also tells whether this process unpacked the file, instead of the kernel. force are flags of finit_module(2),
// which init_module(2) has not.
func loadFile(path, params string, force int) (unpacked bool, err error) {
	fd, _, err := openRegular(path)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	fail := func(op string, err error) error {
		return &LoadError{Op: op, Module: NameOf(path), Path: path, Params: params, Err: err}
	}
	var magic [8]byte
	n, err := unix.Pread(fd, magic[:], 0)
	if n < len(magic) {
		return false, &os.PathError{Op: "read", Path: path, Err: errors.Join(ErrNotModule, err)}
	}
	flags := force
	if packingOf(magic[:]) != plain {
		flags |= initCompressed
	}
	err = unix.FinitModule(fd, params, flags)
	switch {
	case err == nil:
		return false, nil
	case err == unix.ENOSYS:
		// Before 3.8, or a filter of system calls that does not know it.
	case flags&initCompressed == 0 || !mayBeUnpacking(err):
		return false, fail("finit_module", err)
	}
	if force != 0 {
		return false, fail("finit_module", fmt.Errorf("%w (what the kernel does not unpack itself cannot be forced on it)", err))
	}
	data, err := ReadFile(path)
	if err != nil {
		return false, err
	}
	if err := unix.InitModule(data, params); err != nil {
		return true, fail("init_module", err)
	}
	return flags&initCompressed != 0, nil
}

// mayBeUnpacking tells errors by which the kernel may mean that it cannot unpack the file, so that it is to be tried
// unpacked: EOPNOTSUPP without CONFIG_MODULE_DECOMPRESS, EINVAL before 5.17 and for a file that is packed with another
// program than the one this kernel knows, ENOMEM where that is xz with a dictionary larger than the kernel allows.
func mayBeUnpacking(err error) bool {
	switch err {
	case unix.EOPNOTSUPP, unix.EINVAL, unix.ENOEXEC, unix.ENOMEM, unix.EIO:
		return true
	}
	return false
}

// Remove removes a module from the kernel. It does not wait for its users: a module in use is a *LoadError with EAGAIN.
func Remove(name string) error { return remove(name, unix.O_NONBLOCK) }

func remove(name string, flags int) error {
	if err := unix.DeleteModule(name, flags); err != nil {
		return &LoadError{Op: "delete_module", Module: name, Err: err}
	}
	return nil
}
