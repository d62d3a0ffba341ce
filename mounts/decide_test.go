package mounts

import (
	"errors"
	"path"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// want finds a mount of the table by its target.
func want(t testing.TB, target string) Mount {
	t.Helper()
	for _, m := range append(Base(), Rest()...) {
		if m.Target == target {
			return m
		}
	}
	t.Fatalf("the table has no %s", target)
	return Mount{}
}

// folder, mounted and gone are states as Observe would give them.
func folder(below ...string) State {
	return State{Kind: KindFolder, FSType: "ext4", Writable: true, Below: below}
}

func mounted(fstype string) State {
	return State{Kind: KindFolder, MountPoint: true, FSType: fstype, Root: "/", Writable: true}
}

func gone() State { return State{Kind: KindMissing, FSType: "ext4", Writable: true} }

func (s State) with(change func(*State)) State {
	change(&s)
	return s
}

func readOnly(s *State)   { s.ReadOnly, s.Writable = true, false }
func unwritable(s *State) { s.Writable = false }
func noDev(s *State)      { s.NoDev = true }
func otherPIDs(s *State)  { s.OtherPIDs = true }
func partial(s *State)    { s.Root = "/part" }
func unnamed(s *State)    { s.Root = "" }

func TestDecide(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		state        State
		outcome      Outcome
		kind         error
		reason       string // part of it
	}{
		{"bare /proc", "/proc", folder(), OutcomeMount, nil, "nothing is mounted"},
		{"right /proc", "/proc", mounted("proc"), OutcomeKeep, nil, "proc is mounted"},
		{"right /proc before a table is known", "/proc", mounted("proc").with(unnamed), OutcomeKeep, nil, ""},
		{"no /proc folder", "/proc", gone(), OutcomeMount, nil, "missing"},
		{"no /proc folder, read-only root", "/proc", gone().with(readOnly), OutcomeRefuse, ErrReadOnlyRoot, "ext4"},
		{"ext4 at /proc", "/proc", mounted("ext4"), OutcomeRefuse, ErrForeign, "ext4"},
		{"/proc/sys bound at /proc", "/proc", mounted("proc").with(partial), OutcomeRefuse, ErrForeign, "/part"},
		{"/proc of another PID namespace", "/proc", mounted("proc").with(otherPIDs), OutcomeRefuse, ErrForeign, "PID namespace"},
		{"read-only /proc", "/proc", mounted("proc").with(readOnly), OutcomeRefuse, ErrReadOnly, ""},
		{"bare /proc with mounts in it", "/proc", folder("/proc/sys"), OutcomeRefuse, ErrForeign, "/proc/sys"},
		{"file at /proc", "/proc", State{Kind: KindOther}, OutcomeRefuse, ErrNoTarget, "file"},
		{"dangling /proc", "/proc", State{Kind: KindDangling, Link: true}, OutcomeRefuse, ErrNoTarget, "leads nowhere"},

		{"tmpfs at /sys", "/sys", mounted("tmpfs"), OutcomeRefuse, ErrForeign, "tmpfs"},
		{"unprivileged container", "/sys", mounted("sysfs").with(readOnly), OutcomeRefuse, ErrReadOnlySys, ""},
		{"privileged container", "/sys", mounted("sysfs"), OutcomeKeep, nil, ""},

		{"devtmpfs", "/dev", mounted("devtmpfs"), OutcomeKeep, nil, "devtmpfs is mounted"},
		{"runtime's tmpfs at /dev", "/dev", mounted("tmpfs"), OutcomeKeep, nil, "does as well"},
		{"runtime's tmpfs from a folder", "/dev", mounted("tmpfs").with(partial), OutcomeKeep, nil, ""},
		{"ext4 at /dev", "/dev", mounted("ext4"), OutcomeRefuse, ErrForeign, "ext4"},
		{"nodev /dev", "/dev", mounted("tmpfs").with(noDev), OutcomeRefuse, ErrForeign, "nodev"},
		{"plain /dev", "/dev", folder(), OutcomeMount, nil, ""},
		{"plain /dev with mounts in it", "/dev", folder("/dev/null", "/dev/pts"), OutcomeKeep, nil, "/dev/null and 1 more"},
		{"read-only /dev", "/dev", mounted("tmpfs").with(readOnly), OutcomeKeep, nil, ""},

		{"plain /run", "/run", folder(), OutcomeMount, nil, ""},
		{"tmpfs at /run", "/run", mounted("tmpfs"), OutcomeKeep, nil, ""},
		{"volume at /run", "/run", mounted("xfs").with(partial), OutcomeKeep, nil, "xfs"},
		{"folder of a tmpfs at /run", "/run", mounted("tmpfs").with(partial), OutcomeKeep, nil, ""},
		{"nodev /run is how it is wanted", "/run", mounted("tmpfs").with(noDev), OutcomeKeep, nil, ""},
		{"read-only volume at /run", "/run", mounted("xfs").with(readOnly), OutcomeRefuse, ErrReadOnly, "xfs"},
		{"secret below /run", "/run", folder("/run/secrets"), OutcomeKeep, nil, "/run/secrets"},
		{
			"secret below /run, read-only root", "/run", folder("/run/secrets").with(readOnly), OutcomeRefuse, ErrReadOnly,
			"/run/secrets",
		},
		{"no /run, read-only root", "/run", gone().with(readOnly), OutcomeRefuse, ErrReadOnlyRoot, ""},
		{"plain /run, read-only root", "/run", folder().with(readOnly), OutcomeMount, nil, ""},

		{"devpts", "/dev/pts", mounted("devpts"), OutcomeKeep, nil, ""},
		{"tmpfs at /dev/pts", "/dev/pts", mounted("tmpfs"), OutcomeRefuse, ErrForeign, "tmpfs"},
		{"nodev devpts", "/dev/pts", mounted("devpts").with(noDev), OutcomeRefuse, ErrForeign, "nodev"},
		{"runtime's /dev/shm", "/dev/shm", mounted("tmpfs"), OutcomeKeep, nil, ""},
		{"volume at /dev/shm", "/dev/shm", mounted("ext4"), OutcomeKeep, nil, ""},
		{"no /dev/mqueue", "/dev/mqueue", gone(), OutcomeMount, nil, ""},
		{"mqueue with nodev", "/dev/mqueue", mounted("mqueue").with(noDev), OutcomeKeep, nil, ""},

		{"writable /tmp", "/tmp", folder(), OutcomeKeep, nil, "writable"},
		{"writable /tmp with mounts in it", "/tmp", folder("/tmp/x"), OutcomeKeep, nil, "writable"},
		{"unwritable /tmp", "/tmp", folder().with(readOnly), OutcomeMount, nil, "not writable"},
		{"unwritable /tmp with mounts in it", "/tmp", folder("/tmp/x").with(readOnly), OutcomeRefuse, ErrReadOnly, "/tmp/x"},
		{"/tmp that is a volume", "/tmp", mounted("ext4"), OutcomeKeep, nil, ""},
		{"/tmp that is a read-only volume", "/tmp", mounted("ext4").with(readOnly), OutcomeMount, nil, "ext4"},
		{"/tmp that is closed to us", "/tmp", mounted("ext4").with(unwritable), OutcomeMount, nil, ""},
		{"no /tmp", "/tmp", gone(), OutcomeMake, nil, ""},
		{"no /tmp, read-only root", "/tmp", gone().with(readOnly), OutcomeRefuse, ErrReadOnlyRoot, ""},

		{"securityfs", "/sys/kernel/security", mounted("securityfs"), OutcomeKeep, nil, ""},
		{"no securityfs yet", "/sys/kernel/security", folder(), OutcomeMount, nil, ""},
		{"kernel without securityfs", "/sys/kernel/security", gone(), OutcomeSkip, nil, "does not exist"},
		{"the same with read-only /sys", "/sys/kernel/security", gone().with(readOnly), OutcomeSkip, nil, ""},
		{"tmpfs that masks it", "/sys/kernel/security", mounted("tmpfs"), OutcomeRefuse, ErrForeign, "tmpfs"},
		{"kernel without SELinux", "/sys/fs/selinux", gone(), OutcomeSkip, nil, ""},
		{"bpf", "/sys/fs/bpf", folder(), OutcomeMount, nil, ""},
	} {
		d := want(t, tc.target).Decide(tc.state)
		if d.Outcome != tc.outcome || !strings.Contains(d.Reason, tc.reason) || d.Reason == "" {
			t.Errorf("%s: %s, because %q; want %s, because %q", tc.name, d.Outcome, d.Reason, tc.outcome, tc.reason)
		}
		if (d.Err != nil) != (tc.outcome == OutcomeRefuse) || d.Err != nil && !errors.Is(d.Err, tc.kind) {
			t.Errorf("%s: error %v, want %v", tc.name, d.Err, tc.kind)
		}
		if d.Err != nil {
			text := d.Err.Error()
			for _, part := range []string{"mount", tc.target, d.Err.Lost, d.Err.Advice} {
				if part == "" || !strings.Contains(text, part) {
					t.Errorf("%s: %q does not say %q", tc.name, text, part)
				}
			}
			if strings.Contains(text, "\n") || strings.Contains(text, ": :") {
				t.Errorf("%s: message %q", tc.name, text)
			}
		}
	}
}

// A fallback counts as right once it is mounted, also when it is not among Accept.
func TestDecideFallback(t *testing.T) {
	m := Mount{Target: "/x", FSType: "devtmpfs", Fallback: "ramfs"}
	if d := m.Decide(mounted("ramfs")); d.Outcome != OutcomeKeep {
		t.Errorf("%+v", d)
	}
	if d := m.Decide(mounted("")); d.Outcome != OutcomeRefuse {
		t.Errorf("a filesystem without a name: %+v", d)
	}
}

func TestReadOnlySysIsToldApart(t *testing.T) {
	sys := want(t, "/sys").Decide(mounted("sysfs").with(readOnly)).Err
	run := want(t, "/run").Decide(mounted("xfs").with(readOnly)).Err
	if !errors.Is(sys, ErrReadOnly) || !errors.Is(sys, ErrReadOnlySys) || errors.Is(run, ErrReadOnlySys) {
		t.Errorf("/sys: %v; /run: %v", sys, run)
	}
	if !strings.Contains(sys.Error(), "--privileged") {
		t.Errorf("the message does not tell what to do: %v", sys)
	}
}

// The table is checked against the flags of reference tables in other projects; a change here wants a reason beside the flag.
func TestTable(t *testing.T) {
	targets := map[string]string{
		"/proc": "nosuid,nodev,noexec", "/sys": "nosuid,nodev,noexec", "/dev": "nosuid", "/run": "nosuid,nodev,noexec",
		"/dev/pts": "nosuid,noexec", "/dev/shm": "nosuid,nodev,noexec", "/dev/mqueue": "nosuid,nodev,noexec",
		"/tmp": "nosuid,nodev", "/sys/kernel/security": "nosuid,nodev,noexec", "/sys/fs/selinux": "nosuid,noexec",
		"/sys/fs/bpf": "nosuid,nodev,noexec",
	}
	seen := map[string]bool{}
	for _, m := range append(Base(), Rest()...) {
		if flags, ok := targets[m.Target]; !ok || m.Flags.String() != flags {
			t.Errorf("%s has the flags %q, want %q", m.Target, m.Flags, flags)
		}
		if parent := path.Dir(m.Target); parent != "/" && !seen[parent] && targets[parent] != "" {
			t.Errorf("%s comes before %s", m.Target, parent)
		}
		if seen[m.Target] || m.Purpose == "" || m.Lost == "" || m.Source == "" {
			t.Errorf("%s: twice, or without purpose, loss or source", m.Target)
		}
		if text := m.String(); strings.Contains(text, "\n") || !strings.Contains(text, m.Target) || !strings.Contains(text, m.Purpose) {
			t.Errorf("String: %q", text)
		}
		seen[m.Target] = true
		delete(targets, m.Target)
	}
	if len(targets) > 0 {
		t.Errorf("missing in the table: %v", targets)
	}
	for _, m := range Base() {
		if !strings.HasPrefix(m.Target, "/") || strings.Count(m.Target, "/") > 1 {
			t.Errorf("%s is no base", m.Target)
		}
	}
	Base()[0].Target = "changed"
	if Base()[0].Target == "changed" {
		t.Error("the table is shared between callers")
	}
}

func TestString(t *testing.T) {
	for _, tc := range []struct {
		action interface{ String() string }
		text   string
	}{
		{Mount{Target: "/a b", FSType: "tmpfs"}, `mount tmpfs at "/a b"`},
		{Mount{Target: "/a", FSType: "tmpfs", Data: "size=1m", When: WhenExists}, "mount tmpfs at /a (size=1m) where the folder exists"},
		{
			Mount{Target: "/a", FSType: "tmpfs", Flags: unix.MS_NODEV, Data: "size=1m", When: WhenUnwritable, Purpose: "why"},
			"mount tmpfs at /a (nodev,size=1m) where it is not writable: why",
		},
		{Propagation{"/"}, "make / and all mounts below it shared (rec,shared)"},
		{NewVarRun(), "link /var/run to /run: both names of the folder are in use"},
		{Link{Path: "/dev/fd", Goal: "/proc/self/fd"}, "link /dev/fd to /proc/self/fd"},
		{Links("/dev")[4], "link /dev/ptmx to pts/ptmx: opens new pseudo-terminals"},
		{Device{Path: "/dev/x", Major: 1, Minor: 2, Mode: 0o600}, "make /dev/x a character device 1:2 with mode 0600"},
		{Devices("/d")[2], "make /d/null a character device 1:3 with mode 0666: takes everything and gives nothing"},
	} {
		if got := tc.action.String(); got != tc.text {
			t.Errorf("String: %q, want %q", got, tc.text)
		}
	}
}
