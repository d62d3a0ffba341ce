//go:build linux && amd64

package faults

import (
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// call is a system call as it is entered.
type call struct {
	number  uint64
	args    [6]uint64
	tid     int
	process *process
	proc    *os.Root
}

// op describes the call; ok is false for those that are left out, see ownCalls.
func (c *call) op() (op Op, ok bool) {
	shape, ok := shapes[c.number]
	if !ok {
		return Op{Call: "call " + strconv.FormatUint(c.number, 10), Child: c.process.child}, !ownCalls[c.number]
	}
	on := shape.on(c)
	if on == runtimeOwn {
		return Op{}, false
	}
	return Op{Call: shape.name, On: steady(on), Child: c.process.child}, true
}

// steady takes out of a name what differs from run to run.
func steady(on string) string {
	// All modules are asked for in the same way.
	return module.ReplaceAllString(thread.ReplaceAllString(random.ReplaceAllString(on, "N"), "/proc/thread-self/"), "/sys/module/N")
}

var (
	random = regexp.MustCompile(`\b[0-9]{5,}\b`)
	module = regexp.MustCompile(`^/sys/module/[^/]+`)
	thread = regexp.MustCompile(`/proc/1/task/[0-9]+/`)
)

// runtimeOwn is what a shape answers for a call that the Go runtime makes for itself.
const runtimeOwn = "(the Go runtime's own)"

// path reads a path argument.
func (c *call) path(n int) string {
	address := uintptr(c.args[n])
	if address == 0 {
		return "NULL"
	}
	buffer := make([]byte, 4096)
	got := 0
	for got < len(buffer) {
		// Up to the end of a page at a time, as the next may not be there.
		size := min(len(buffer)-got, 4096-int(address+uintptr(got))%4096)
		part := buffer[got : got+size]
		local := []unix.Iovec{{Base: &part[0], Len: uint64(size)}}
		k, err := unix.ProcessVMReadv(c.tid, local, []unix.RemoteIovec{{Base: address + uintptr(got), Len: size}}, 0)
		if err != nil || k == 0 {
			return "?"
		}
		if end := strings.IndexByte(string(part[:k]), 0); end >= 0 {
			return string(buffer[:got+end])
		}
		got += k
	}
	return string(buffer)
}

// at is a path argument, below what a descriptor before it is open on where the path is relative.
func (c *call) at(n int) string {
	path := c.path(n)
	if fd := int32(c.args[n-1]); fd != unix.AT_FDCWD && !strings.HasPrefix(path, "/") {
		return c.file(n-1) + "/" + path
	}
	return path
}

// file tells what a descriptor is open on.
func (c *call) file(n int) string {
	fd := c.args[n]
	goal, err := c.proc.Readlink(fmt.Sprintf("%d/fd/%d", c.process.pid, fd))
	if err != nil {
		return "descriptor " + strconv.Itoa(int(int32(fd)))
	}
	if strings.HasPrefix(goal, "socket:") {
		if label := c.process.files[fd]; label != "" {
			return label
		}
		return "socket"
	}
	if fd <= 2 {
		return "descriptor " + strconv.FormatUint(fd, 10)
	}
	if strings.HasPrefix(goal, "pipe:") {
		return "pipe"
	}
	return goal
}

// address reads the address of a socket.
func (c *call) address(n, length int) string {
	raw := make([]byte, min(int(c.args[length]), 128))
	if len(raw) < 2 {
		return "no address"
	}
	k, err := unix.ProcessVMReadv(c.tid, []unix.Iovec{{Base: &raw[0], Len: uint64(len(raw))}},
		[]unix.RemoteIovec{{Base: uintptr(c.args[n]), Len: len(raw)}}, 0)
	if err != nil || k < 2 {
		return "?"
	}
	if family := binary.LittleEndian.Uint16(raw); family != unix.AF_UNIX {
		return fmt.Sprintf("family %d", family)
	}
	return strings.TrimRight(string(raw[2:k]), "\x00")
}

// succeeded remembers what a socket is for.
func (c *call) succeeded(result uint64) {
	switch c.number {
	case unix.SYS_SOCKET:
		c.process.files[result] = "socket " + shapes[c.number].on(c)
	case unix.SYS_BIND, unix.SYS_CONNECT:
		c.process.files[c.args[0]] = "socket " + c.address(1, 2)
	case unix.SYS_CLOSE:
		if !c.process.child {
			delete(c.process.files, c.args[0])
		}
	}
}

// shape tells how a call is described.
type shape struct {
	name string
	on   func(*call) string
}

func pathArg(n int) func(*call) string { return func(c *call) string { return c.path(n) } }
func at(n int) func(*call) string      { return func(c *call) string { return c.at(n) } }
func file(n int) func(*call) string    { return func(c *call) string { return c.file(n) } }
func none(*call) string                { return "" }

func number(n int) func(*call) string {
	return func(c *call) string { return strconv.FormatUint(c.args[n], 10) }
}

func fileAnd(n int) func(*call) string {
	return func(c *call) string { return fmt.Sprintf("%s %#x", c.file(0), c.args[n]) }
}

// opened tells reading from writing.
func opened(c *call) string {
	how := ""
	if c.args[2]&(unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT) != 0 {
		how = " for writing"
	}
	switch path := c.at(1); path {
	// The size of huge pages, and the processors that a cgroup may use: the runtime does without.
	case "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "/proc/self/cgroup", "/proc/self/mountinfo":
		return runtimeOwn
	default:
		return path + how
	}
}

func mounted(c *call) string {
	target, kind, flags := c.path(1), c.path(2), c.args[3]
	switch {
	case flags&(unix.MS_SHARED|unix.MS_PRIVATE|unix.MS_SLAVE|unix.MS_UNBINDABLE) != 0:
		return target + " propagation"
	case flags&unix.MS_REMOUNT != 0:
		return target + " remount"
	case flags&unix.MS_MOVE != 0:
		return target + " move from " + c.path(0)
	case flags&unix.MS_BIND != 0:
		return target + " bind " + c.path(0)
	}
	return target + " " + kind
}

// forked leaves the runtime's threads out.
func forked(c *call) string {
	if c.args[0]&unix.CLONE_THREAD != 0 {
		return runtimeOwn
	}
	return "a process"
}

func limited(c *call) string {
	if c.args[2] != 0 {
		return fmt.Sprintf("set %d", c.args[1])
	}
	return fmt.Sprintf("get %d", c.args[1])
}

// asked leaves out the names that the runtime gives its memory.
func asked(c *call) string {
	if c.args[0] == unix.PR_SET_VMA {
		return runtimeOwn
	}
	return number(0)(c)
}

// marked leaves out what package os asks of each file that it opens, whether it blocks, and does without, and what the runtime
// asks of the first three at its start.
func marked(c *call) string {
	switch on := c.file(0); {
	case c.args[1] == unix.F_GETFL, c.args[1] == unix.F_SETFL && !strings.HasPrefix(on, "socket"), c.args[1] == unix.F_GETFD:
		return runtimeOwn
	}
	return fileAnd(1)(c)
}

// withFile leaves out the runtime's own files.
func withFile(c *call) string {
	switch on := c.file(0); on {
	case "anon_inode:[eventpoll]", "anon_inode:[eventfd]":
		return runtimeOwn
	default:
		return on
	}
}
