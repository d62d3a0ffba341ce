package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"golang.org/x/sys/unix"
)

// TestFatalSameWords: what a launcher looks at in every start is fatal where the check calls it so, in the same words.
func TestFatalSameWords(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request, *Facts)
		want   []string
	}{
		"all is well":           {func(*Request, *Facts) {}, nil},
		"an old crash":          {func(_ *Request, f *Facts) { f.Running = "3.5.0-54-generic" }, []string{"kernel.release", "kernel.cgroup2", "kernel.bug.moby-407", "cgroup.devices"}},
		"2.6.32":                {func(_ *Request, f *Facts) { f.Running = "2.6.32"; v1(f) }, []string{"kernel.release", "kernel.bug.moby-407"}},
		"no network namespaces": {func(_ *Request, f *Facts) { f.Namespaces["net"] = unix.EINVAL }, []string{"kernel.namespace.net"}},
		"no user namespaces":    {func(_ *Request, f *Facts) { f.Namespaces["user"] = unix.EINVAL }, nil},
		"no user namespaces, and remapped": {func(r *Request, f *Facts) {
			f.Namespaces["user"] = unix.EINVAL
			r.Daemon.Args = daemon.ParseArgs([]string{"--userns-remap=default"})
		}, []string{"kernel.namespace.user"}},
		"no devices on v1": {func(_ *Request, f *Facts) {
			v1(f)
			f.Cgroup.Controllers = slices.DeleteFunc(f.Cgroup.Controllers, func(c cgroups.Controller) bool { return c.Name == "devices" })
		}, []string{"cgroup.devices"}},
		"no memory on v2": {func(_ *Request, f *Facts) { f.Cgroup.Unified.Controllers = []string{"cpu", "pids"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := healthy()
			c.change(r, f)
			if strings.HasPrefix(f.Running, "3.") {
				f.Cgroup.CompleteV2 = false
			}
			f.Host.Kernel = f.Running
			f.observeBoot()
			var want []finding.Finding
			for _, x := range fatalOf(Judge(r, f).Findings) {
				// Which variant of iptables is served follows from the configuration, which FatalKernel reads.
				if !strings.HasPrefix(x.ID, "kernel.CONFIG_") && x.Area != finding.Program {
					want = append(want, x)
				}
			}
			got := fatalAmong(r, &Known{Host: f.Host, Cgroups: f.Cgroup.Facts}, f.Namespaces)
			if !slices.Equal(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			var ids []string
			for _, x := range got {
				ids = append(ids, x.ID)
			}
			if !slices.Equal(ids, c.want) {
				t.Errorf("%q is fatal, want %q", ids, c.want)
			}
		})
	}
}

// A namespace that the kernel has is there to be seen.
func TestLookForNamespaces(t *testing.T) {
	answers := lookForNamespaces()
	for name, errno := range answers {
		if errno != 0 {
			t.Errorf("%s: %v, and this kernel runs the tests of namespaces", name, errno)
		}
	}
	if len(answers) != len(namespaces) {
		t.Errorf("answers %v", answers)
	}
}

// TestFatalStorage: the driver that stops a launch is the one that the check calls fatal, and a trial is made only where it decides.
func TestFatalStorage(t *testing.T) {
	for name, c := range map[string]struct {
		args    []string
		version string
		storage StorageFacts
		says    string // of what is fatal
		trial   bool   // without one nothing is
	}{
		"ext4":                             {version: "26.1.5", storage: StorageFacts{FSType: "ext4"}},
		"unknown filesystem":               {version: "29.0.0", storage: StorageFacts{}},
		"data of two drivers":              {version: "26.1.5", storage: StorageFacts{FSType: "ext4", Prior: []string{"overlay2", "btrfs"}}, says: "holds data of overlay2 and btrfs"},
		"of two, one of which is gone":     {version: "26.1.5", storage: StorageFacts{FSType: "ext4", Prior: []string{"overlay2", "aufs"}}},
		"of two, with an unknown Docker":   {storage: StorageFacts{FSType: "ext4", Prior: []string{"overlay2", "aufs"}}},
		"of two, and one is named":         {args: []string{"-s", "overlay2"}, version: "26.1.5", storage: StorageFacts{FSType: "ext4", Prior: []string{"overlay2", "btrfs"}}},
		"aufs":                             {args: []string{"--storage-driver=aufs"}, version: "26.1.5", storage: StorageFacts{FSType: "ext4"}, says: "does not have it"},
		"aufs of an old Docker":            {args: []string{"--storage-driver=aufs"}, version: "20.10.24", storage: StorageFacts{FSType: "ext4"}},
		"aufs of an unknown Docker":        {args: []string{"--storage-driver=aufs"}, storage: StorageFacts{FSType: "ext4"}},
		"btrfs on ext4":                    {args: []string{"-s", "btrfs"}, version: "26.1.5", storage: StorageFacts{FSType: "ext4"}, says: "dockerd takes btrfs"},
		"btrfs on ext4, an unknown Docker": {args: []string{"-s", "btrfs"}, storage: StorageFacts{FSType: "ext4"}, says: "dockerd takes btrfs"},
		"btrfs on btrfs":                   {args: []string{"-s", "btrfs"}, version: "26.1.5", storage: StorageFacts{FSType: "btrfs"}},
		"overlay on overlay falls back":    {version: "26.1.5", storage: StorageFacts{FSType: "overlay"}},
		"overlay2 asked for on overlay":    {args: []string{"-s", "overlay2"}, version: "26.1.5", storage: StorageFacts{FSType: "overlay"}, trial: true},
		"containerd's on overlay":          {version: "29.0.0", storage: StorageFacts{FSType: "overlay"}, trial: true},
		"containerd's, tried": {version: "29.0.0", says: "overlayfs", storage: StorageFacts{
			FSType: "overlay", Trial: &storage.Trial{FSType: "overlay", Reason: "overlay does not work on overlay"},
		}},
		"containerd's, tried well": {version: "29.0.0", storage: StorageFacts{FSType: "overlay", Trial: &storage.Trial{FSType: "overlay", Overlay: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := healthy()
			r.Daemon.Args = daemon.ParseArgs(c.args)
			if c.version != "" {
				r.Daemon.Version, _ = daemon.ParseVersion(c.version)
			}
			c.storage.DataRoot, c.storage.Looked, c.storage.Writable, c.storage.Exists = "/var/lib/docker", true, true, true
			fatal, trial := FatalStorage(r, &c.storage)
			if trial != c.trial {
				t.Errorf("a trial: %v", trial)
			}
			if (len(fatal) > 0) != (c.says != "") || len(fatal) > 0 && !strings.Contains(fatal[0].Note, c.says) {
				t.Errorf("fatal: %+v, want %q", fatal, c.says)
			}
			if c.version == "" {
				return // then the check says more than a launcher, which does not know which Docker it starts
			}
			f.User.Docker, f.Storage = r.Daemon.Version, c.storage
			if want := fatalOf(Judge(r, f).Findings); !slices.Equal(fatal, want) {
				t.Errorf("got  %+v\nwant %+v", fatal, want)
			}
		})
	}
}
