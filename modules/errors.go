package modules

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotFound is returned for a name that is no module, alias or built-in of the index.
var ErrNotFound = errors.New("module not found")

// ErrNotRegular is returned where a file is to be read and a folder, a pipe or a device stands there.
var ErrNotRegular = errors.New("not a regular file")

// CycleError tells of modules that need each other, so that none can be the first.
type CycleError struct {
	Modules []string // the first is the last
}

func (e *CycleError) Error() string {
	return "modules need each other: " + strings.Join(e.Modules, " -> ")
}

// CommandError tells of a module that the configuration has an install or remove command for. It is not run.
type CommandError struct{ Module, Command string }

func (e *CommandError) Error() string {
	return fmt.Sprintf("modprobe.d says to run %q for %s, and no command is run here", e.Command, e.Module)
}

// disables tells the usual ways to write "never load this": a command that does nothing, with success.
func (e *CommandError) disables() bool {
	switch strings.TrimSpace(e.Command) {
	case "/bin/true", "/usr/bin/true", "true", ":":
		return true
	}
	return false
}

// LoadError tells why the kernel did not take a module, or not let it go.
type LoadError struct {
	Op     string // the system call
	Module string
	Path   string
	Params string
	Err    error // a unix.Errno
}

func (e *LoadError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Op, e.Module)
	if e.Path != "" {
		fmt.Fprintf(&b, " (%s)", e.Path)
	}
	if e.Params != "" {
		fmt.Fprintf(&b, " with %q", e.Params)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if why := e.Explain(); why != "" {
		fmt.Fprintf(&b, ": %s", why)
	}
	return b.String()
}

func (e *LoadError) Unwrap() error { return e.Err }

// Explain says what the kernel's answer means for a module, by init_module(2), delete_module(2) and kernel/module; empty
// where the errno says enough.
func (e *LoadError) Explain() string {
	var errno unix.Errno
	if !errors.As(e.Err, &errno) {
		return ""
	}
	if e.Op == "delete_module" {
		return meaningOfRemove(errno)
	}
	return meaningOfLoad(errno)
}

func meaningOfLoad(errno unix.Errno) string {
	switch errno {
	case unix.ENOEXEC:
		return "the module was built for another kernel or is damaged; install the modules of the running kernel (uname -r)"
	case unix.EKEYREJECTED:
		return "the module is not signed by a key that this kernel trusts; use the kernel's own modules, or boot without " +
			"module.sig_enforce and secure boot"
	case unix.ENOKEY:
		return "the module is signed by a key that this kernel does not know; use the kernel's own modules"
	case unix.EBADMSG:
		return "the module's signature is damaged"
	case unix.ENOENT:
		return "the module uses a symbol that neither the kernel nor a loaded module has; the modules and the kernel are not of " +
			"the same build, or a dependency is missing (the kernel's log names the symbol)"
	case unix.EPERM:
		return "the process lacks CAP_SYS_MODULE (run the container with --privileged, or load the module on the host), or the " +
			"kernel is locked down or has kernel.modules_disabled=1"
	case unix.EINVAL:
		return "the module does not take these parameters (the kernel's log names them)"
	case unix.EBUSY:
		return "the kernel took too long to resolve a dependency, or the device is in use by another driver"
	case unix.ENODEV:
		return "the module found no device that it drives"
	case unix.ENOMEM:
		return "not enough memory"
	case unix.ENOSYS:
		return "this kernel was built without support for modules"
	case unix.ETXTBSY:
		return "someone has the module's file open for writing"
	case unix.EOPNOTSUPP:
		return "this kernel cannot unpack modules"
	case unix.ENODATA:
		return "the module is not signed, and this kernel asks for a signature"
	}
	return ""
}

func meaningOfRemove(errno unix.Errno) string {
	switch errno {
	case unix.EBUSY:
		return "the module is still being loaded or removed, or has no way to be removed"
	case unix.EWOULDBLOCK:
		return "the module is in use, or another module needs it"
	case unix.ENOENT:
		return "no such module is loaded"
	case unix.EPERM:
		return "the process lacks CAP_SYS_MODULE, or kernel.modules_disabled is 1"
	case unix.ENOSYS:
		return "this kernel was built without support for the removal of modules"
	}
	return ""
}
