package mounts

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// User is something that keeps a mount busy: a process, or what of the kernel's own has a file on it.
type User struct {
	PID  int    `json:"pid,omitempty"`
	Name string `json:"name"` // of the program, "loop0", or "swap"
	// How lists what it uses: "cwd", "root", "exe", "fd 3 /mnt/log", "map /mnt/lib.so", or the file behind a loop device.
	How []string `json:"how,omitempty"`
}

// String is for messages: "sleep (pid 12: cwd, fd 3 /mnt/log)".
func (u User) String() string {
	how := strings.Join(u.How, ", ")
	if u.PID == 0 {
		return u.Name + " (" + printable(how) + ")"
	}
	return fmt.Sprintf("%s (pid %d: %s)", printable(u.Name), u.PID, oneLine(how))
}

// Bounds of the search: it is for a message.
const (
	maxUsers   = 8 // for each mount
	maxHow     = 3 // for each user
	maxFDs     = 1024
	maxMaps    = 1 << 20 // bytes
	maxLooking = 2 * time.Second
)

// Users looks for who uses each of the mounts, as fuser(1) does. A process counts also where it uses the same filesystem
// through another mount, for example in a mount namespace of its own: that too can keep it from being unmounted. It looks for
// two seconds at most, and names up to eight users of each mount. It needs /proc.
func Users(entries []Entry) [][]User { return usersOf(entries, anyUse) }

// What usersOf looks for.
const (
	anyUse      = false
	writersOnly = true
)

func usersOf(entries []Entry, writers bool) [][]User {
	s := &search{entries: entries, users: make([][]User, len(entries)), writers: writers, until: time.Now().Add(maxLooking)}
	s.kernel()
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return s.users // a message without names is still a message
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if time.Now().After(s.until) {
			break
		}
		s.process(pid)
	}
	return s.users
}

type search struct {
	entries []Entry
	users   [][]User
	writers bool // only what is open for writing
	until   time.Time
}

// note remembers that a process uses a mount.
func (s *search) note(n int, u User, how string) {
	list := s.users[n]
	for i := range list {
		if list[i].PID == u.PID && list[i].Name == u.Name {
			if len(list[i].How) < maxHow && !slices.Contains(list[i].How, how) {
				list[i].How = append(list[i].How, how)
			}
			return
		}
	}
	if len(list) < maxUsers {
		u.How = []string{how}
		s.users[n] = append(list, u)
	}
}

// process looks at one process. Whatever cannot be read is left out: it may have ended, or be out of reach.
func (s *search) process(pid int) {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	comm, err := os.ReadFile(dir + "comm")
	if err != nil {
		return
	}
	u := User{PID: pid, Name: strings.TrimSuffix(string(comm), "\n")}
	if !s.writers {
		for _, link := range []string{"cwd", "root", "exe"} {
			s.link(u, dir+link, link)
		}
		s.maps(u, dir+"maps")
	}
	fds, err := os.Open(dir + "fd")
	if err != nil {
		return
	}
	names, _ := fds.Readdirnames(maxFDs) // what was read before an error is as good as nothing more
	fds.Close()
	for _, fd := range names {
		if s.writers && !writable(dir+"fdinfo/"+fd) {
			continue
		}
		how := "fd " + fd
		if goal, err := os.Readlink(dir + "fd/" + fd); err == nil {
			how += " " + printable(goal)
		}
		s.link(u, dir+"fd/"+fd, how)
	}
}

// link looks on which mount the file is that a link of /proc leads to.
func (s *search) link(u User, path, how string) {
	var st unix.Statx_t
	// The server of a network filesystem is not asked: it may be what hangs.
	flags := unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT
	if err := unix.Statx(unix.AT_FDCWD, path, flags, unix.STATX_TYPE|unix.STATX_MNT_ID, &st); err != nil {
		return
	}
	for n, e := range s.entries {
		sameMount := st.Mask&unix.STATX_MNT_ID != 0 && int(st.Mnt_id) == e.ID
		if sameMount || int(st.Dev_major) == e.Major && int(st.Dev_minor) == e.Minor {
			s.note(n, u, how)
		}
	}
}

// maps looks for files that a process has mapped, a library that was replaced for example, by device and by path.
func (s *search) maps(u User, path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	text := make([]byte, 64<<10)
	var rest []byte
	for read := 0; read < maxMaps; {
		n, err := f.Read(text)
		if n == 0 || err != nil {
			return
		}
		read += n
		rest = append(rest, text[:n]...)
		for {
			line, after, complete := bytes.Cut(rest, []byte("\n"))
			if !complete {
				break
			}
			rest = after
			s.mapped(u, string(line))
		}
		rest = slices.Clone(rest)
	}
}

// mapped looks at one line of /proc/PID/maps: "address perms offset dev inode path", see proc_pid_maps(5).
func (s *search) mapped(u User, line string) {
	fields := strings.Fields(line)
	if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") {
		return
	}
	major, minor, ok := strings.Cut(fields[3], ":")
	a, err1 := strconv.ParseUint(major, 16, 32)
	b, err2 := strconv.ParseUint(minor, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return
	}
	file := strings.Join(fields[5:], " ")
	for n, e := range s.entries {
		if int(a) == e.Major && int(b) == e.Minor || e.Target != "/" && within(file, e.Target) {
			s.note(n, u, "map "+printable(file))
		}
	}
}

// writable tells by a fdinfo whether the descriptor is open for writing. Its flags are octal, see proc_pid_fdinfo(5).
func writable(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(value), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}

// kernel looks for loop devices and swap areas whose files are on the mounts: these have no process.
func (s *search) kernel() {
	for _, l := range loopFiles() {
		for n, e := range s.entries {
			if e.Target != "/" && within(l.file, e.Target) {
				s.note(n, User{Name: l.device}, l.file)
			}
		}
	}
	for _, file := range swapFiles() {
		for n, e := range s.entries {
			if e.Target != "/" && within(file, e.Target) {
				s.note(n, User{Name: "swap"}, file)
			}
		}
	}
}

type loopFile struct{ device, file string }

// loopFiles lists the loop devices in use with the files behind them.
func loopFiles() []loopFile {
	names, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is right, and there is no other error
	var list []loopFile
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it was freed just now
		}
		list = append(list, loopFile{strings.Split(name, "/")[3], strings.TrimSuffix(string(text), "\n")})
	}
	return list
}

// unescape undoes the escapes of a path in /proc. That of the backslash, with which all others begin, comes last. Package strings'
// Replacer, for one of these at a time, would add 10 KB to a program that does without it otherwise.
func unescape(path string) string {
	for _, e := range [...][2]string{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\134`, `\`}} {
		path = strings.ReplaceAll(path, e[0], e[1])
	}
	return path
}

// swapFiles lists the files, not partitions, that are swapped to, see proc_swaps(5). Blanks in paths are escaped.
func swapFiles() []string {
	text, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return nil
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "file" {
			list = append(list, unescape(f[0]))
		}
	}
	return list
}
