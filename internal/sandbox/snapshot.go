package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
)

// kinds are the namespaces of a process that a sandbox has to itself, as named in /proc/PID/ns.
var kinds = []string{"pid", "mnt", "net", "ipc", "uts", "cgroup"}

// Snapshot is what the host holds at one moment: mounts of this mount namespace, network devices of this network namespace,
// cgroups, v1 controllers that are attached to a hierarchy, and the namespaces of all processes. It finds what LeftOver
// cannot know of, at the price of seeing what anybody else does on the machine meanwhile.
type Snapshot struct {
	items map[string]bool
}

// TakeSnapshot looks at the host.
func TakeSnapshot() (Snapshot, error) {
	s := Snapshot{items: map[string]bool{}}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return s, fmt.Errorf("listing mounts: %w", err)
	}
	for _, m := range mounts {
		// The ID tells mounts apart that lie on top of each other.
		s.items[fmt.Sprintf("mount %d %s (%s)", m.ID, m.Mountpoint, m.FSType)] = true
		if m.FSType != "cgroup" && m.FSType != "cgroup2" {
			continue
		}
		// A group that goes away meanwhile is not held.
		_ = filepath.WalkDir(m.Mountpoint, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				s.items["cgroup "+path] = true
			}
			return nil
		})
	}
	links, err := netlink.LinkList()
	if err != nil {
		return s, fmt.Errorf("listing network devices: %w", err)
	}
	for _, l := range links {
		s.items[fmt.Sprintf("network device %d %s", l.Attrs().Index, l.Attrs().Name)] = true
	}
	if err := s.addControllers(); err != nil {
		return s, err
	}
	return s, s.addNamespaces()
}

func (s Snapshot) addControllers() error {
	b, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return fmt.Errorf("listing cgroup controllers: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 4 && !strings.HasPrefix(line, "#") {
			s.items[fmt.Sprintf("cgroup controller %s in hierarchy %s", f[0], f[1])] = true
		}
	}
	return nil
}

func (s Snapshot) addNamespaces() error {
	pids, err := allPIDs()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		for _, k := range kinds {
			// A process that goes meanwhile holds nothing.
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, k)); err == nil {
				s.items["namespace "+link] = true
			}
		}
	}
	return nil
}

// New returns what is in a later snapshot and not in s, sorted.
func (s Snapshot) New(later Snapshot) []string {
	var found []string
	for item := range later.items {
		if !s.items[item] {
			found = append(found, item)
		}
	}
	slices.Sort(found)
	return found
}
