package launch

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"golang.org/x/sys/unix"
)

// TestPlanSteps changes one fact at a time.
func TestPlanSteps(t *testing.T) {
	missing := mounts.State{Kind: mounts.KindMissing, Writable: true}
	for name, c := range map[string]struct {
		config  Config
		change  func(f *Facts)
		step    string
		verdict Verdict
		note    string
	}{
		"nothing at /proc": {
			change: func(f *Facts) { f.Mounts["/proc"] = missing }, step: "mount /proc", verdict: Do,
		},
		"ext4 at /proc": {
			change: func(f *Facts) {
				f.Mounts["/proc"] = mounts.State{Kind: mounts.KindFolder, MountPoint: true, FSType: "ext4", Root: "/"}
			}, step: "mount /proc", verdict: Refuse, note: "ext4",
		},
		"ext4 at /dev/mqueue costs a feature": {
			change: func(f *Facts) {
				f.Mounts["/dev/mqueue"] = mounts.State{Kind: mounts.KindFolder, MountPoint: true, FSType: "ext4", Root: "/"}
			}, step: "mount /dev/mqueue", verdict: Warn, note: "ext4",
		},
		"no /dev/mqueue on a person's host": {
			change: func(f *Facts) { f.Mounts["/dev/mqueue"], f.Host.Habitat = missing, host.Host }, step: "mount /dev/mqueue", verdict: Skip,
		},
		"no /sys/fs/selinux": {
			change: func(f *Facts) { f.Mounts["/sys/fs/selinux"] = missing }, step: "mount /sys/fs/selinux", verdict: Skip,
		},
		"no CAP_SYS_ADMIN": {
			change: func(f *Facts) { f.Host.Capabilities &^= 1 << unix.CAP_SYS_ADMIN },
			step:   "privileges", verdict: Refuse, note: "CAP_SYS_ADMIN",
		},
		"no CAP_NET_ADMIN": {
			change: func(f *Facts) { f.Host.Capabilities &^= 1 << unix.CAP_NET_ADMIN },
			step:   "privileges", verdict: Refuse, note: "CAP_NET_ADMIN",
		},
		"a bounding set with a hole": {
			change: func(f *Facts) { f.Host.Bounding &^= 1 << unix.CAP_SYS_RESOURCE },
			step:   "bounding set", verdict: Warn, note: "which get all the others with --privileged",
		},
		"a file that cannot be read": {
			change: func(f *Facts) { f.Host.Unread = []string{"open /proc/sys/fs/nr_open: input/output error"} },
			step:   "facts", verdict: Warn, note: "nr_open",
		},
		"/ is private in a container": {
			change: func(f *Facts) { f.RootShared = false }, step: "propagation of /", verdict: Do,
		},
		"/ is private on a person's host": {
			change: func(f *Facts) { f.RootShared, f.Host.Habitat = false, host.Host }, step: "propagation of /", verdict: Warn, note: "make-rshared",
		},
		"no /dev/null": {
			change: func(f *Facts) { f.Standing["/dev/null"] = false }, step: "device /dev/null", verdict: Do,
		},
		"a file at /dev/null": {
			change: func(f *Facts) {
				f.Standing["/dev/null"], f.Wrong = false, map[string]string{"/dev/null": "a regular file is there"}
			}, step: "device /dev/null", verdict: Refuse, note: "a regular file",
		},
		"a folder at /dev/stdin": {
			change: func(f *Facts) {
				f.Standing["/dev/stdin"], f.Wrong = false, map[string]string{"/dev/stdin": "a folder is there"}
			}, step: "link /dev/stdin", verdict: Warn, note: "a folder",
		},
		"a link from /var/run to elsewhere": {
			change: func(f *Facts) {
				f.Standing["/var/run"], f.Wrong = false, map[string]string{"/var/run": "a symbolic link is there"}
			}, step: "folder /var/run", verdict: Refuse, note: "a symbolic link",
		},
		"a read-only folder for /dev/pts below a /dev that is about to be mounted": {
			change: func(f *Facts) {
				f.Mounts["/dev"] = mounts.State{Kind: mounts.KindFolder}
				f.Mounts["/dev/pts"] = mounts.State{Kind: mounts.KindMissing, ReadOnly: true}
			}, step: "mount /dev/pts", verdict: Do, note: "once /dev is mounted",
		},
		"no /sys/fs/bpf below a /sys that is about to be mounted": {
			change: func(f *Facts) { f.Mounts["/sys"], f.Mounts["/sys/fs/bpf"] = missing, missing },
			step:   "mount /sys/fs/bpf", verdict: Do, note: "once /sys is mounted",
		},
		"a data-root that is a file": {
			change: func(f *Facts) { f.Daemon.DataRootFile, f.Daemon.DataRootWritable = true, false },
			step:   "data-root /var/lib/docker", verdict: Refuse, note: "a file stands there",
		},
		"an option that nobody knows": {
			config: Config{Daemon: []string{"dockerd", "--nosuchflag"}}, change: func(*Facts) {},
			step: "argument --nosuchflag", verdict: Warn, note: "--nosuchflag",
		},
		"no /dev/console on a machine": {
			change: func(f *Facts) { f.Standing["/dev/console"], f.Host.Habitat = false, host.Machine }, step: "device /dev/console", verdict: Do,
		},
		"no /etc/hosts": {
			change: func(f *Facts) { f.Files["/etc/hosts"] = files.Absent }, step: "file /etc/hosts", verdict: Do,
		},
		"no /etc/hosts, read-only": {
			change: func(f *Facts) { f.Files["/etc/hosts"] = files.Unwritable }, step: "file /etc/hosts", verdict: Warn, note: "nothing can be written",
		},
		"a dangling /etc/resolv.conf": {
			change: func(f *Facts) { f.Files["/etc/resolv.conf"] = files.Dangling }, step: "file /etc/resolv.conf", verdict: Warn, note: "leads nowhere",
		},
		"lo is down": {
			change: func(f *Facts) { f.Host.LoopbackUp = false }, step: "network lo", verdict: Do,
		},
		"forwarding is dockerd's": {
			change: func(f *Facts) { f.Host.IPForward = false }, step: "network forwarding", verdict: Skip, note: "FORWARD",
		},
		"forwarding, with nftables": {
			config: Config{Daemon: []string{"dockerd", "--firewall-backend=nftables"}},
			change: func(f *Facts) { f.Host.IPForward = false }, step: "network forwarding", verdict: Do,
		},
		"limits that may be raised": {
			change: func(f *Facts) { f.Host.Limits.NoFile.Hard = 4096 }, step: "limits", verdict: Do,
		},
		"limits that may not be raised": {
			change: func(f *Facts) {
				f.Host.Limits.NoFile.Hard, f.Host.Capabilities = 4096, f.Host.Capabilities&^(1<<unix.CAP_SYS_RESOURCE)
			}, step: "limits", verdict: Warn, note: "nofile stays at 4096",
		},
		"the OOM score": {
			change: func(f *Facts) { f.Host.OOMScoreAdj = 0 }, step: "oom score", verdict: Do,
		},
		"the OOM score, unprivileged": {
			change: func(f *Facts) {
				f.Host.OOMScoreAdj, f.Host.Capabilities = 0, f.Host.Capabilities&^(1<<unix.CAP_SYS_RESOURCE)
			}, step: "oom score", verdict: Warn, note: "CAP_SYS_RESOURCE",
		},
		"a data-root to be made": {
			change: func(f *Facts) { f.Daemon.DataRoot = files.Absent }, step: "data-root /var/lib/docker", verdict: Do,
		},
		"a read-only data-root": {
			change: func(f *Facts) { f.Daemon.DataRootWritable = false }, step: "data-root /var/lib/docker", verdict: Refuse, note: "volume",
		},
		"a data-root where only root may write": {
			change: func(f *Facts) { f.Daemon.DataRootWritable, f.Host.UID = false, 1000 }, step: "data-root /var/lib/docker", verdict: Skip,
		},
		"a data-root in /sys": {
			change: func(f *Facts) { f.Daemon.DataRootFS = "sysfs" }, step: "data-root /var/lib/docker", verdict: Refuse, note: "holds no files",
		},
		"a data-root on overlay": {
			change: func(f *Facts) { f.Daemon.DataRootFS = "overlay" }, step: "data-root /var/lib/docker", verdict: Warn, note: "volume",
		},
		"another data-root": {
			config: Config{Daemon: []string{"dockerd", "-g", "/mnt/x"}},
			change: func(f *Facts) { f.Daemon.DataRoot = files.Absent }, step: "data-root /mnt/x", verdict: Do,
		},
		"a stale PID file": {
			change: func(f *Facts) { f.Daemon.PIDFiles = []daemon.PIDFile{{Path: "/run/docker.pid", PID: 1}} },
			step:   "PID file /run/docker.pid", verdict: Do,
		},
		"the PID file of a daemon that runs": {
			change: func(f *Facts) {
				f.Daemon.PIDFiles = []daemon.PIDFile{{Path: "/run/docker.pid", PID: 9, Alive: true, Process: "dockerd"}}
			}, step: "PID file /run/docker.pid", verdict: Refuse, note: "process 9",
		},
		"the PID file of a containerd that runs": {
			change: func(f *Facts) {
				f.Daemon.PIDFiles = []daemon.PIDFile{{Path: "/run/c.pid", PID: 9, Alive: true, Process: "containerd"}}
			}, step: "PID file /run/c.pid", verdict: Keep,
		},
		"a module that is not loaded": {
			change: func(f *Facts) { f.Modules["overlay"] = false }, step: "module overlay", verdict: Do,
		},
		"a module under its old name": {
			change: func(f *Facts) { f.Modules["xt_MASQUERADE"], f.Modules["ipt_MASQUERADE"] = false, true },
			step:   "module xt_MASQUERADE", verdict: Keep, note: "ipt_MASQUERADE",
		},
		"a module of the other variant": {
			change: func(f *Facts) { f.IPTables.Goal = "/usr/sbin/xtables-legacy-multi" }, step: "module iptable_nat", verdict: Do,
		},
		"a module of an old distribution's only variant": {
			change: func(f *Facts) { f.IPTables.Goal = "/sbin/xtables-multi" }, step: "module iptable_nat", verdict: Do,
		},
		"modules that only the host can load": {
			change: func(f *Facts) { f.Modules["overlay"], f.Modules["veth"], f.ModuleIndex = false, false, false },
			step:   "modules of the host", verdict: Do,
		},
		"no docker-proxy, br_netfilter about to be loaded": {
			change: func(f *Facts) {
				delete(f.Programs, "docker-proxy")
				f.Host.BridgeNetfilter, f.Modules["br_netfilter"] = false, false
			}, step: "module br_netfilter", verdict: Do,
		},
		"no docker-proxy, and no br_netfilter to be had": {
			change: func(f *Facts) {
				delete(f.Programs, "docker-proxy")
				f.Host.BridgeNetfilter, f.Host.LoadableModules = false, false
			}, step: "flag --userland-proxy", verdict: Warn, note: "br_netfilter",
		},
		"forwarding, with nftables and against the user's word": {
			config: Config{Daemon: []string{"dockerd", "--firewall-backend=nftables", "--ip-forward=false"}},
			change: func(f *Facts) { f.Host.IPForward = false }, step: "network forwarding", verdict: Skip, note: "--ip-forward=false",
		},
		"an argument that a newer dockerd has": {
			config: Config{Daemon: []string{"dockerd", "--firewall-backend=nftables"}},
			change: func(f *Facts) { f.Daemon.Version = daemon.Version{Major: 28, Minor: 5} },
			step:   "argument --firewall-backend=nftables", verdict: Warn, note: "dockerd 28.5.0 does not know",
		},
		"limits in a user namespace": {
			change: func(f *Facts) { f.Host.Limits.NoFile.Hard, f.Host.InitialUserNamespace = 4096, false },
			step:   "limits", verdict: Warn, note: "user namespace",
		},
		"an empty CA bundle, and one in the spare place": {
			change: func(f *Facts) {
				delete(f.Programs, "ca-certificates")
				f.SpareCABundle, f.Files["/etc/ssl/certs/ca-certificates.crt"] = true, files.Present
			}, step: "program ca-certificates", verdict: Refuse,
		},
		"no containerd, and one that runs": {
			change: func(f *Facts) {
				delete(f.Programs, "containerd")
				f.ContainerdRuns = true
			}, step: "program containerd", verdict: Skip, note: "/run/containerd/containerd.sock",
		},
		"a data-root on overlay with another driver": {
			config: Config{Daemon: []string{"dockerd", "-s", "vfs"}},
			change: func(f *Facts) { f.Daemon.DataRootFS = "overlay" }, step: "data-root /var/lib/docker", verdict: Keep,
		},
		"a kernel without modules": {
			change: func(f *Facts) { f.Host.LoadableModules, f.Modules = false, nil }, step: "modules", verdict: Skip,
		},
		"data of two drivers": {
			change: func(f *Facts) { f.Daemon.PriorDrivers = []string{"overlay2", "btrfs"} },
			step:   "storage driver", verdict: Refuse, note: "To start all the same: dockerlaunch --without storage.driver",
		},
		"a driver for another filesystem": {
			config: Config{Daemon: []string{"dockerd", "--storage-driver=zfs"}},
			change: func(f *Facts) { f.Daemon.DataRootFS = "ext4" }, step: "storage driver", verdict: Refuse, note: "dockerd takes zfs",
		},
		"a driver that only a trial tells of": {
			config: Config{Daemon: []string{"dockerd", "--storage-driver=overlay2"}},
			change: func(f *Facts) { f.Daemon.DataRootFS = "ecryptfs" }, step: "storage driver", verdict: Do,
		},
		"no iptables": {
			change: func(f *Facts) { delete(f.Programs, "iptables") }, step: "program iptables", verdict: Refuse, note: "--iptables=false",
		},
		"no iptables, and none wanted": {
			config: Config{Daemon: []string{"dockerd", "--iptables=false"}},
			change: func(f *Facts) { delete(f.Programs, "iptables") }, step: "program iptables", verdict: Skip,
		},
		"no iptables, and the user knows": {
			config: Config{Without: []string{"iptables"}},
			change: func(f *Facts) { delete(f.Programs, "iptables") }, step: "program iptables", verdict: Warn,
		},
		"no git": {
			change: func(f *Facts) { delete(f.Programs, "git") }, step: "program git", verdict: Warn,
		},
		"a CA bundle in the spare place": {
			change: func(f *Facts) {
				delete(f.Programs, "ca-certificates")
				f.SpareCABundle, f.Files["/etc/ssl/certs/ca-certificates.crt"] = true, files.Absent
			}, step: "file /etc/ssl/certs/ca-certificates.crt", verdict: Do,
		},
		"a CA bundle in the spare place is as good": {
			change: func(f *Facts) {
				delete(f.Programs, "ca-certificates")
				f.SpareCABundle, f.Files["/etc/ssl/certs/ca-certificates.crt"] = true, files.Absent
			}, step: "program ca-certificates", verdict: Keep,
		},
		"daemon.json that cannot be read": {
			change: func(f *Facts) {
				f.Daemon.ConfigErr = &daemon.ConfigError{Path: "/etc/docker/daemon.json", Line: 3, Err: unix.EINVAL}
			},
			step: "daemon.json", verdict: Refuse, note: "/etc/docker/daemon.json",
		},
		"daemon.json against an argument": {
			config: Config{Daemon: []string{"dockerd", "--debug"}},
			change: func(f *Facts) { f.Daemon.Config = readConfig(t, `{"debug": true}`) },
			step:   "daemon.json", verdict: Refuse, note: "--debug",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			c.change(&f)
			p := planned(t, c.config, f)
			i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == c.step })
			if i < 0 {
				t.Fatalf("there is no step %q", c.step)
			}
			s := p.Steps[i]
			if s.Verdict != c.verdict || !strings.Contains(s.Note, c.note) {
				t.Errorf("%s: %s (%s), want %s (…%s…)", s.Name, s.Verdict, s.Note, c.verdict, c.note)
			}
			if (s.Verdict == Do) != (s.Action != nil) && s.Verdict != Warn {
				t.Errorf("%s: the verdict is %s, and its action %v", s.Name, s.Verdict, s.Action)
			}
			if refused := p.Err() != nil; refused != (c.verdict == Refuse) {
				t.Errorf("the plan's error is %v", p.Err())
			}
		})
	}
}

// TestSetAside: what keeps dockerd from starting where it is empty is renamed, but for a configuration that has to be there.
func TestSetAside(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"dockerd"}, []string{"/etc/docker/key.json", "/etc/docker/daemon.json"}},
		{[]string{"dockerd", "--config-file=/etc/docker/daemon.json"}, []string{"/etc/docker/key.json"}},
	} {
		p := planned(t, Config{Daemon: c.args}, prepared())
		i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == "files left empty" })
		if aside, ok := p.Steps[i].Action.(SetAside); !ok || !slices.Equal(aside.Files, c.want) {
			t.Errorf("%q: %+v, want %q", c.args, p.Steps[i].Action, c.want)
		}
	}
}
