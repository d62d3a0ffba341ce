// Package runtime stands in front of runc where the bounding set lacks capabilities, as in nested machines and hardened
// pods. runc refuses to start a container that asks for a capability which cannot be given ("unable to apply caps:
// operation not permitted"), so that every `docker run --privileged` fails. The launcher, called by the name runc, takes
// those capabilities out of the bundle's config.json, or out of the process file of an exec, and becomes the real runc with
// the same arguments, environment and open files. A container gets all that there is to give, and no more.
//
// dockerd since [DaemonKnows] asks for nothing that it lacks itself (moby#42933), and refuses a --cap-add of it; the
// wrapper is for those before, for BuildKit's security.insecure and for other clients of the same containerd.
//
// It fails open: a command line or a file that it does not understand is left alone, and runc has the last word.
//
// # Why a link in PATH, and not a runtime of another name
//
// dockerd's stock runtime is the word "runc", which containerd's shim looks up in the PATH that it has from dockerd (moby,
// daemon/runtime_unix.go: defaultV2ShimConfig); BuildKit's executor in dockerd looks it up in the same way. So a folder that
// stands first in PATH and holds a link by that name ([Link]) reaches both, and containers keep HostConfig.Runtime "runc".
// A runtime of another name ([Fragment]) is written into every container that is made under it, and such containers start
// no more on a daemon that does not know the name ("unknown or invalid runtime name"), as after the volume has moved to a
// machine that needs no wrapper; containers that were made before do not come by at all, nor do builds; and the name runc
// itself is reserved (moby, daemon/config/config_linux.go). It is there for a containerd that has a PATH of its own.
//
// Calls that start no process, such as `runc features`, `--version` and `state`, pass through unchanged.
package runtime

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"golang.org/x/sys/unix"
)

const (
	// Name is that of the program which is stood in for.
	Name = "runc"
	// AltName is the wrapper's name as a runtime beside runc, see Fragment.
	AltName = "dockerlaunch-runc"

	// DaemonKnows is the first major version of dockerd whose privileged containers start without the wrapper.
	DaemonKnows = 23

	// exitNotFound is what a shell says where a program is not there.
	exitNotFound = 127
)

// Called tells whether a program was called as the runtime, by argv[0].
func Called(argv0 string) bool {
	base := filepath.Base(argv0)
	return base == Name || base == AltName
}

// Needed lists the capabilities that cannot be given to a container, as their CAP_ names: those up to the kernel's last that
// the bounding set lacks. Where there are none, the wrapper is not needed.
func Needed(bounding host.CapabilitySet, last int) []string {
	return (host.Full(last) &^ bounding).Names()
}

// Main becomes runc after it has taken what cannot be given out of the file that argv leads to. It returns only where
// there is no runc to become: with the exit status, after saying so on stderr.
func Main(argv, environ []string, stderr io.Writer) int {
	path, err := find(environ, "/proc/self/exe")
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", AltName, err)
		return exitNotFound
	}
	mend(argv)
	argv = append([]string{Name}, argv[min(1, len(argv)):]...)
	err = unix.Exec(path, argv, beyond(environ, path))
	fmt.Fprintf(stderr, "%s: executing %s: %v\n", AltName, path, err)
	return exitNotFound
}

// mend changes the file that a command line leads to, where it has to be and can be. What goes wrong is written to runc's
// own log, as standard error may be the container's.
func mend(argv []string) {
	c := parse(argv[min(1, len(argv)):])
	if c.file == "" {
		return
	}
	err := func() (err error) {
		defer func() {
			if caught := recover(); caught != nil {
				err = fmt.Errorf("a mistake in the wrapper itself, please report it: %v", caught)
			}
		}()
		bounding, last, err := host.Bounding()
		if err != nil {
			return err
		}
		lacking := Needed(bounding, last)
		if len(lacking) == 0 {
			return nil
		}
		_, err = editFile(c.file, c.whole, lacking)
		return err
	}()
	if err != nil {
		c.warn(fmt.Sprintf("%s: %s is left as it is, and asks for capabilities that may not be there to give: %v", AltName, c.file, err))
	}
}
