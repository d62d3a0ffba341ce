package kconfig

import (
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Runtime makes up for a missing configuration: it probes the running kernel for what it shows of its options, by fsys, which
// is the root of its filesystem (os.DirFS("/")), with /proc and /sys. release is uname -r. What it does not show stays
// unknown, unless Modules knows the module. It reads a few files and changes nothing.
//
// How the rows of the table say where to look, in their field probe, blanks between several places of which one is enough:
//
//	/path      the option is on where path exists
//	!/path     and off where it does not
//	fs:NAME    on where /proc/filesystems has NAME, !fs:NAME off where not
//	cg:NAME    on where /proc/cgroups or cgroup.controllers of v2 has the controller
//	run        on, since programs run
//	getgroups  on where the system call of that name exists
func Runtime(fsys fs.FS, release string) *Config {
	c := &Config{Source: "the running kernel", Text: release, probed: true, values: map[string]string{}}
	c.Release, _ = ParseRelease(release) // one that cannot be read is an unknown one
	p := prober{fsys: fsys}
	_, err := fs.Stat(fsys, "proc/self")
	p.proc = err == nil
	// With the mount option subset=pid (proc(5)) it shows nothing but processes.
	if _, err := fs.Stat(fsys, "proc/sys"); err != nil {
		p.proc = false
	}
	p.filesystems = p.words("proc/filesystems")
	p.controllers = p.words("proc/cgroups") + p.words("sys/fs/cgroup/cgroup.controllers") + p.words("sys/fs/cgroup/unified/cgroup.controllers")
	for _, table := range tables() {
		for i := range table {
			if value := p.look(table[i].probe); value != "" {
				c.values[table[i].name] = value
				c.Options++
			}
		}
	}
	return c
}

type prober struct {
	fsys                     fs.FS
	proc                     bool   // /proc is mounted
	filesystems, controllers string // words with blanks around them
}

// words reads a file as words, all between blanks. A file that cannot be read has none, which leaves unknown what it would
// have told.
func (p *prober) words(name string) string {
	data, err := fs.ReadFile(p.fsys, name)
	if err != nil {
		return " "
	}
	return " " + strings.Join(strings.Fields(string(data)), " ") + " "
}

// look returns y, n, or "" where a probe does not tell.
func (p *prober) look(probe string) string {
	for place := range strings.FieldsSeq(probe) {
		place, conclusive := strings.CutPrefix(place, "!")
		seen := false
		switch what, name, _ := strings.Cut(place, ":"); what {
		case "fs":
			seen = strings.Contains(p.filesystems, " "+name+" ")
			conclusive = conclusive && p.filesystems != " "
		case "cg":
			seen = strings.Contains(p.controllers, " "+name+" ")
		case "run":
			seen = true
		case "getgroups":
			_, err := unix.Getgroups()
			seen, conclusive = err != unix.ENOSYS, true
		default:
			_, err := fs.Stat(p.fsys, strings.TrimPrefix(place, "/"))
			seen = err == nil
			conclusive = conclusive && p.proc
		}
		switch {
		case seen:
			return "y"
		case conclusive:
			return "n"
		}
	}
	return ""
}
