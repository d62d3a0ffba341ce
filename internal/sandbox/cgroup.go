package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// hierarchy is one cgroup hierarchy that the host has mounted.
type hierarchy struct {
	Mountpoint string
	V2         bool
	// Own is the folder of the group that a process, this one mostly, is in.
	Own string
}

// wanted are the v2 controllers a Docker host should not be without; the others are passed on where they can be.
var wanted = []string{"cpu", "memory", "pids"}

// hostHierarchies lists the hierarchies that are mounted here and that this process has a group in.
func hostHierarchies() ([]hierarchy, error) { return hierarchiesOf("self") }

// hierarchiesOf is the same with the groups of another process, named as in /proc.
func hierarchiesOf(process string) ([]hierarchy, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("listing cgroup mounts: %w", err)
	}
	own, err := os.ReadFile("/proc/" + process + "/cgroup")
	if err != nil {
		return nil, fmt.Errorf("finding a process's cgroups: %w", err)
	}
	return matchHierarchies(mounts, own), nil
}

// matchHierarchies brings mounts and the lines of /proc/self/cgroup together. Of several mounts of one hierarchy the first
// is taken.
func matchHierarchies(mounts []*mountinfo.Info, own []byte) []hierarchy {
	var found []hierarchy
	seen := map[string]bool{}
	for _, m := range mounts {
		dev := fmt.Sprint(m.Major, ":", m.Minor)
		if seen[dev] {
			continue
		}
		path, ok := ownPath(own, m)
		if !ok {
			continue
		}
		seen[dev] = true
		found = append(found, hierarchy{
			Mountpoint: m.Mountpoint,
			V2:         m.FSType == "cgroup2",
			Own:        filepath.Join(m.Mountpoint, below(m.Root, path)),
		})
	}
	return found
}

// ownPath finds the group in the hierarchy of m among the lines of /proc/self/cgroup, "ID:CONTROLLERS:PATH" (cgroups(7)).
func ownPath(own []byte, m *mountinfo.Info) (string, bool) {
	super := strings.Split(m.VFSOptions, ",")
	sc := bufio.NewScanner(bytes.NewReader(own))
	for sc.Scan() {
		f := strings.SplitN(sc.Text(), ":", 3)
		if len(f) != 3 {
			continue
		}
		if m.FSType == "cgroup2" {
			if f[0] == "0" && f[1] == "" {
				return f[2], true
			}
			continue
		}
		all := f[1] != ""
		for c := range strings.SplitSeq(f[1], ",") {
			all = all && slices.Contains(super, c)
		}
		if all {
			return f[2], true
		}
	}
	return "", false
}

// below returns path as seen below a mount's root. A path outside it, as in a container that shows its own group alone,
// becomes the mount itself.
func below(root, path string) string {
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(root, "/")); ok && (rest == "" || rest[0] == '/') && !strings.Contains(rest, "/..") {
		return rest
	}
	return ""
}

// makeGroup makes a group for a sandbox and returns its folder. It lies below this process's own group, so that limits set
// on the caller hold; on v2, where a group with processes cannot pass controllers on, it lies below the nearest ancestor
// that can.
func (h hierarchy) makeGroup(name string) (string, error) {
	parent := h.Own
	if h.V2 {
		parent = delegating(h.Mountpoint, h.Own)
		if err := enableControllers(parent); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("making a cgroup: %w", err)
	}
	if !h.V2 {
		if err := fillCpuset(parent, dir); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// delegating returns the group nearest to own, itself or above, whose children can have the wanted controllers.
func delegating(mountpoint, own string) string {
	need := slices.DeleteFunc(slices.Clone(wanted), func(c string) bool {
		return !slices.Contains(words(filepath.Join(mountpoint, "cgroup.controllers")), c)
	})
	for dir := own; within(dir, mountpoint); dir = filepath.Dir(dir) {
		if !containsAll(words(filepath.Join(dir, "cgroup.controllers")), need) {
			continue
		}
		// The root of the hierarchy is exempt from the rule of no internal processes, and has no cgroup.type (cgroup-v2.rst).
		_, err := os.Stat(filepath.Join(dir, "cgroup.type"))
		root := errors.Is(err, fs.ErrNotExist)
		if root || containsAll(words(filepath.Join(dir, "cgroup.subtree_control")), need) || len(words(filepath.Join(dir, "cgroup.procs"))) == 0 {
			return dir
		}
	}
	return own
}

// enableControllers lets the children of a v2 group have every controller it has. What is enabled stays so: the setting is
// shared with every other child. Where v1 has all the controllers that are wanted, nothing is enabled: a controller with
// groups here could no longer be mounted there.
func enableControllers(dir string) error {
	file := filepath.Join(dir, "cgroup.subtree_control")
	enabled, have := words(file), words(filepath.Join(dir, "cgroup.controllers"))
	if !slices.ContainsFunc(wanted, func(c string) bool { return slices.Contains(have, c) }) {
		return nil
	}
	for _, c := range have {
		if slices.Contains(enabled, c) {
			continue
		}
		err := os.WriteFile(file, []byte("+"+c), 0)
		// A controller that is only nice to have may be refused, as cpu is beside real-time processes: the launcher then names
		// what is missing.
		if err != nil && slices.Contains(wanted, c) {
			return fmt.Errorf("passing controller %s on to the sandbox: %w", c, err)
		}
	}
	return nil
}

// fillCpuset copies what a new v1 cpuset group needs before it takes processes (cpusets.rst). Other groups lack the files.
func fillCpuset(parent, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		v, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), v, 0)
		}
		if err != nil {
			return fmt.Errorf("setting up a cpuset group: %w", err)
		}
	}
	return nil
}

// join puts a process, with all its threads, into a group.
func join(dir string, pid int) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("putting PID %d into its cgroup: %w", pid, err)
	}
	return nil
}

// words reads a file of words. One that cannot be read has none: what its reader wants is then simply not there.
func words(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

func containsAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}
