package cgroups

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Controller is a row of /proc/cgroups, see cgroups(7). From Linux 6.14 on the file leaves out the controllers that v1 cannot
// have.
type Controller struct {
	Name string `json:"name"`
	// Hierarchy is the number of the v1 hierarchy that has the controller. It is 0 where none has: then the controller is with
	// cgroup2, whether or not that is mounted.
	Hierarchy int `json:"hierarchy"`
	// Cgroups is how many cgroups the hierarchy has, its root included.
	Cgroups int `json:"cgroups"`
	// Enabled is false where the controller was switched off at boot, with cgroup_disable= on the kernel command line.
	Enabled bool `json:"enabled"`
}

// ParseControllers reads the format of /proc/cgroups. A malformed line is an error that names its number.
func ParseControllers(r io.Reader) ([]Controller, error) {
	var rows []Controller
	seen := map[string]bool{}
	err := eachLine(r, "/proc/cgroups", func(line string) error {
		if strings.HasPrefix(line, "#") {
			return nil
		}
		f := strings.Fields(line)
		if len(f) < 4 {
			return fmt.Errorf("%d fields instead of 4", len(f))
		}
		if seen[f[0]] {
			return fmt.Errorf("a second row for %q", f[0])
		}
		seen[f[0]] = true
		var n [3]int
		for i := range n {
			v, err := natural(f[i+1])
			if err != nil {
				return err
			}
			n[i] = v
		}
		rows = append(rows, Controller{Name: f[0], Hierarchy: n[0], Cgroups: n[1], Enabled: n[2] != 0})
		return nil
	})
	return rows, err
}

// Membership is a line of /proc/PID/cgroup, see cgroups(7): the place of a process in one hierarchy.
type Membership struct {
	// Hierarchy is the number of the v1 hierarchy, 0 for cgroup2.
	Hierarchy int `json:"hierarchy"`
	// Controllers are those of the hierarchy, with name=NAME among them where it has a name. It is empty for cgroup2.
	Controllers []string `json:"controllers,omitempty"`
	// Path is relative to the root of the reader's cgroup namespace, and begins with /.. where it lies outside of that.
	Path string `json:"path"`
	// Deleted says that the cgroup was removed while the process, a zombie, was in it. Only cgroup2 tells that.
	Deleted bool `json:"deleted,omitempty"`
}

const deletedSuffix = " (deleted)"

// String returns the line.
func (m Membership) String() string {
	line := strconv.Itoa(m.Hierarchy) + ":" + strings.Join(m.Controllers, ",") + ":" + m.Path
	if m.Deleted {
		line += deletedSuffix
	}
	return line
}

// ParseMembership reads the format of /proc/PID/cgroup. A malformed line is an error that names its number. Names of cgroups
// hold no line breaks (the kernel refuses them), but colons and spaces.
func ParseMembership(r io.Reader) ([]Membership, error) {
	var list []Membership
	err := eachLine(r, "/proc/PID/cgroup", func(line string) error {
		f := strings.SplitN(line, ":", 3)
		if len(f) < 3 {
			return fmt.Errorf("%d fields instead of 3", len(f))
		}
		id, err := natural(f[0])
		if err != nil {
			return err
		}
		m := Membership{Hierarchy: id, Path: f[2]}
		if f[1] != "" {
			m.Controllers = strings.Split(f[1], ",")
		}
		for _, c := range m.Controllers {
			if c == "" {
				return fmt.Errorf("an empty name among the controllers %q", f[1])
			}
		}
		if (id == 0) != (len(m.Controllers) == 0) {
			return fmt.Errorf("hierarchy %d with the controllers %q", id, f[1])
		}
		if id == 0 {
			m.Path, m.Deleted = strings.CutSuffix(m.Path, deletedSuffix)
		}
		if !strings.HasPrefix(m.Path, "/") {
			return fmt.Errorf("the path %q is not absolute", m.Path)
		}
		list = append(list, m)
		return nil
	})
	return list, err
}

func eachLine(r io.Reader, name string, take func(string) error) error {
	s := bufio.NewScanner(r)
	n := 0
	for s.Scan() {
		n++
		if s.Text() == "" {
			continue
		}
		if err := take(s.Text()); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s, line %d: %w", name, n+1, err)
	}
	return nil
}

// natural reads a number as the kernel writes it: without sign or leading zeros.
func natural(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, err
	}
	if strconv.Itoa(n) != text || n < 0 {
		return 0, fmt.Errorf("%q is not a number as the kernel writes it", text)
	}
	return n, nil
}
