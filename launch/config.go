package launch

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Config is what the user asked for.
type Config struct {
	// Daemon is [DAEMON [ARGS...]] as the user wrote it, also in the words of Docker's first releases; dockerd from PATH
	// where it is empty or begins with a dash.
	Daemon []string
	// Cgroup is which hierarchies are mounted where none are.
	Cgroup cgroups.Want
	// Without names requirements of package preflight that the daemon is started without.
	Without []string
	// Exec makes the daemon take this process's place, instead of being its child.
	Exec bool
	// Restart starts a daemon that ends again, as it is always done on a machine, where nobody else would.
	Restart bool
	// Repair lets the check of a machine's data disk correct everything, and not only what is safe.
	Repair bool
	// Environ is the environment for the daemon, as os.Environ returns it.
	Environ []string
	// Boot completes the Config of a machine by its kernel command line, which is not to be read before /proc is mounted. What
	// was written wrong and left out are mistakes. It may be nil.
	Boot func(Config, bootline.Line) (c Config, mistakes []error)
	// Data names a machine's data disk, as LABEL=…, UUID=…, PARTLABEL=…, PARTUUID=… or /dev/…; "" is LABEL=docker-data, and
	// "none" is no disk. Format is "blank" where a blank one may be formatted.
	Data, Format string
	// IPs are what a machine's interfaces are to be given, beside the ip= of the kernel command line.
	IPs []bootline.IP
	// Hostname is a machine's name; "" leaves it to /etc/hostname, DHCP and the kernel.
	Hostname string
	// StateDir is where a machine keeps its clock and its entropy seed; "" is a folder on the data disk, or on the root.
	StateDir string
	// RootMove is how a machine leaves the initramfs: RootAuto, RootCopy, RootBind or RootKeep.
	RootMove string
	// PanicAfter makes the launcher panic, for tests of what becomes of that; 0 does not.
	PanicAfter time.Duration
	// NoRuntimeWrapper leaves runc alone where capabilities are missing that containers ask for.
	NoRuntimeWrapper bool
	// Preload is a folder with image archives that are loaded once each; "" is preload.DefaultDir.
	Preload string
	// Version is the launcher's, for the report of the start.
	Version string
	// Debug has a machine show each step on its console, whatever the kernel's own verbosity is.
	Debug bool
	// Log takes messages; logrus's standard logger where it is nil.
	Log logrus.FieldLogger
}

// request is a Config understood, without a look at the system.
type request struct {
	command daemon.Command
	args    daemon.Settings
}

func (c Config) request() (request, error) {
	command, err := daemon.Translate(c.Daemon)
	if err != nil {
		return request{}, &UsageError{err}
	}
	// A name that is misspelt is found before anything is done.
	if len(c.Without) > 0 {
		if err := preflight.CheckNames(preflight.Table(), c.Without); err != nil {
			return request{}, &UsageError{err}
		}
	}
	r := request{command: command}
	if command.IsDockerd() {
		r.args = daemon.ParseArgs(command.Args)
	}
	return r, nil
}

// DebugWanted tells what DOCKER_LAUNCH_DEBUG, given its value, asks for. One that is no truth value counts as yes: who
// sets it wants to see more.
func DebugWanted(value string) bool {
	yes, err := strconv.ParseBool(value)
	return yes || err != nil && value != ""
}

func (c Config) log() logrus.FieldLogger {
	if c.Log == nil {
		return logrus.StandardLogger()
	}
	return c.Log
}

// getenv reads the environment that the daemon is going to get; the last of several settings wins, as in most programs.
func (c Config) getenv(name string) string {
	value, _ := c.lookupEnv(name)
	return value
}

func (c Config) lookupEnv(name string) (value string, set bool) {
	for _, entry := range c.Environ {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value, set = v, true
		}
	}
	return value, set
}

// maxHanded is more than any socket unit has, in descriptors.
const maxHanded = 1000

// handedOver returns the descriptors that were handed to this process as to one that is activated by its sockets (sd_listen_fds(3)),
// for a daemon that is told to take them, by --host fd://. Variables of which not all is true say nothing; inherited tells whether a
// descriptor is one that was handed over.
func (c Config) handedOver(inherited func(fd int) bool) []int {
	if c.getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(c.getenv("LISTEN_FDS"))
	if err != nil || n < 1 || n > maxHanded {
		return nil // there are none
	}
	files := make([]int, n)
	for i := range files {
		if files[i] = 3 + i; !inherited(files[i]) {
			return nil
		}
	}
	return files
}

// inherited tells whether a descriptor is open and was not opened by this program, whose own are all closed on exec.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// path is where programs are looked for, by us and by the daemon.
func (c Config) path() string {
	if path := c.getenv("PATH"); path != "" {
		return path
	}
	return host.DefaultPath
}
