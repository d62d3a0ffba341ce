package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
)

// LeftOver lists what is still there of this sandbox, to be called after Stop: processes in its cgroups or its mount
// namespace, mounts below its state folder, network devices, cgroups, its masquerade and forward rules. It looks for what is this
// sandbox's alone, so that others on the same machine do no harm; see Snapshot for the opposite. Namespaces are not told by
// their inode: the kernel gives a free one to the next namespace at once.
func (s *Sandbox) LeftOver(ctx context.Context) ([]string, error) {
	left, err := s.leftProcesses()
	if err != nil {
		return nil, err
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	for _, m := range mounts {
		if within(m.Mountpoint, s.opts.State) {
			left = append(left, fmt.Sprintf("mount %s (%s %s)", m.Mountpoint, m.FSType, m.Root))
		}
	}
	if s.veth != nil {
		_, err := netlink.LinkByName(s.veth.Name)
		if notFound := (netlink.LinkNotFoundError{}); err == nil {
			left = append(left, "network device "+s.veth.Name)
		} else if !errors.As(err, &notFound) {
			return nil, fmt.Errorf("looking for network device %s: %w", s.veth.Name, err)
		}
	}
	if s.nat != nil {
		names, err := listNAT(ctx, s.nat.Tool)
		if err != nil {
			return nil, err
		}
		if names[s.nat.Name] != nil {
			left = append(left, "masquerade rule "+s.nat.Name)
		}
		if s.nat.Filter {
			names, err := listForward(ctx)
			if err != nil {
				return nil, err
			}
			for _, spec := range names[s.nat.Name] {
				left = append(left, "forward rule "+strings.Join(spec, " "))
			}
		}
	}
	for _, dir := range s.groups {
		if _, err := os.Lstat(dir); err == nil {
			left = append(left, "cgroup "+dir)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return left, nil
}

// leftProcesses finds the sandbox's own processes and its containers by cgroup, and commands that entered it by what they
// see at /var/lib/docker.
func (s *Sandbox) leftProcesses() ([]string, error) {
	pids, err := allPIDs()
	if err != nil {
		return nil, err
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil, fmt.Errorf("finding the mount namespace: %w", err)
	}
	var left []string
	for _, pid := range pids {
		// A process that goes while it is looked at is not left over, so errors are the answer "no". Neither is one that has
		// ended and that its parent has yet to wait for, as a command's first process.
		if _, err := startTime(pid); err != nil {
			continue
		}
		var why []string
		if len(s.groups) > 0 {
			name := filepath.Base(s.groups[0])
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil && strings.Contains(string(b), "/"+name) {
				why = append(why, "its cgroups")
			}
		}
		if mnt, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid)); err == nil && mnt != own && s.data != "" {
			if data, err := dataMount(pid); err == nil && data == s.data {
				why = append(why, "its mount namespace")
			}
		}
		if why != nil {
			left = append(left, fmt.Sprintf("process %d (%s) in %s", pid, command(pid), strings.Join(why, " and ")))
		}
	}
	return left, nil
}

// dataMount tells what a process sees mounted at /var/lib/docker, as device and path on it: the state folder of a sandbox is
// nobody else's.
func dataMount(pid int) (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return "", err
	}
	defer f.Close()
	mounts, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return "", err
	}
	for _, m := range mounts {
		if m.Mountpoint == dataTarget {
			return fmt.Sprintf("%d:%d %s", m.Major, m.Minor, m.Root), nil
		}
	}
	return "", nil
}

func allPIDs() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// command returns a process's name, for messages.
func command(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "gone"
	}
	return strings.TrimSpace(string(b))
}
