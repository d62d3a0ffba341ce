package preflight

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// usual is how a daemon without any option of the user's stands to the table.
var usual = Conditions{IPTables: true, IP6Tables: true, UserlandProxy: true, LoadableModules: true, AppArmor: true}

func TestJudgeEachMissing(t *testing.T) {
	// The verdicts of the table that the first launcher of this kind published, and of what came later.
	want := map[string]Level{
		"ca-certificates": Refusal, "iptables": Refusal, "ps": Refusal,
		"containerd": Refusal, "containerd-shim-runc-v2": Refusal, "runc": Refusal,
		"modprobe": Warning, "ssh": Warning, "xz": Warning, "git": Warning,
		"git-clone": Warning, "git-submodule": Warning, "git-checkout": Warning,
		"ip6tables": Warning, "docker-proxy": Warning, "docker-init": Warning, "apparmor_parser": Warning,
		"nft": Needless,
	}
	table := Table()
	everything := Found{}
	for _, name := range Names(table) {
		everything[name] = "/there"
	}
	for _, r := range table {
		t.Run(r.Name, func(t *testing.T) {
			found := Found{}
			for name, where := range everything {
				if name != r.Name {
					found[name] = where
				}
			}
			findings, err := Judge(table, found, usual, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				level := Fine
				if f.Requirement.Name == r.Name {
					level = want[r.Name]
				}
				if f.Level != level {
					t.Errorf("%s: %s, want %s (%s)", f.Requirement.Name, f.Level, level, f.Text)
				}
				if level == Refusal || level == Warning {
					for _, part := range []string{r.Name + " is missing", r.Lost, "Install " + r.Package} {
						if !strings.Contains(f.Text, part) {
							t.Errorf("no %q in %q", part, f.Text)
						}
					}
				}
				if level == Refusal && !strings.Contains(f.Text, "--without "+r.Name) {
					t.Errorf("a refusal that does not tell the way past it: %q", f.Text)
				}
			}
		})
	}
	if len(want) != len(table) {
		t.Errorf("%d verdicts for a table of %d", len(want), len(table))
	}
}

func TestJudgeConditions(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*Conditions)
		requirement string
		want        Level
	}{
		"--iptables=false":              {func(c *Conditions) { c.IPTables = false }, "iptables", Needless},
		"--iptables=false, IPv6":        {func(c *Conditions) { c.IPTables = false }, "ip6tables", Needless},
		"--ip6tables=false":             {func(c *Conditions) { c.IP6Tables = false }, "ip6tables", Needless},
		"--ip6tables=false, IPv4":       {func(c *Conditions) { c.IP6Tables = false }, "iptables", Refusal},
		"nftables backend":              {func(c *Conditions) { c.FirewallBackend = "nftables" }, "iptables", Needless},
		"nftables backend, IPv6":        {func(c *Conditions) { c.FirewallBackend = "nftables" }, "ip6tables", Needless},
		"nftables backend, nft":         {func(c *Conditions) { c.FirewallBackend = "nftables" }, "nft", Warning},
		"iptables backend by name":      {func(c *Conditions) { c.FirewallBackend = "iptables" }, "iptables", Refusal},
		"--userland-proxy=false":        {func(c *Conditions) { c.UserlandProxy = false }, "docker-proxy", Needless},
		"own containerd":                {func(c *Conditions) { c.Containerd = "/run/c.sock" }, "containerd", Needless},
		"own containerd, its shim":      {func(c *Conditions) { c.Containerd = "/run/c.sock" }, "containerd-shim-runc-v2", Refusal},
		"containerd inside of dockerd":  {func(c *Conditions) { c.EmbeddedContainerd = true }, "containerd", Needless},
		"its shim":                      {func(c *Conditions) { c.EmbeddedContainerd = true }, "containerd-shim-runc-v2", Refusal},
		"a kernel without modules":      {func(c *Conditions) { c.LoadableModules = false }, "modprobe", Needless},
		"AppArmor is off":               {func(c *Conditions) { c.AppArmor = false }, "apparmor_parser", Needless},
		"modprobe, nothing else helped": {func(*Conditions) {}, "modprobe", Warning},
	} {
		t.Run(name, func(t *testing.T) {
			conditions := usual
			c.change(&conditions)
			findings, err := Judge(Table(), Found{}, conditions, nil)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(findings, func(f Finding) bool { return f.Requirement.Name == c.requirement })
			if findings[i].Level != c.want {
				t.Errorf("%s: %s, want %s (%s)", c.requirement, findings[i].Level, c.want, findings[i].Text)
			}
		})
	}
}

func TestWithout(t *testing.T) {
	findings, err := Judge(Table(), Found{}, usual, []string{"ps", "ca-certificates"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		waived := f.Requirement.Name == "ps" || f.Requirement.Name == "ca-certificates"
		if (f.Level == Waived) != waived {
			t.Errorf("%s: %s", f.Requirement.Name, f.Level)
		}
	}
	if _, err := Judge(Table(), Found{}, usual, []string{"iptable"}); err == nil || !strings.Contains(err.Error(), "iptables") {
		t.Errorf("a name that is not in the table must be an error that lists those that are: %v", err)
	}
}

// TestLook searches a real tree, as the root of its own mount namespace.
func TestLook(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	root := t.TempDir()
	program := func(path string, mode os.FileMode, text string) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	program("opt/bin/runc", 0o755, "x")
	program("usr/bin/ps", 0o644, "x")                             // cannot be executed
	program("usr/libexec/docker/docker-init", 0o755, "x")         // not in PATH
	program("usr/lib/git-core/git-clone", 0o755, "x")             // the other folder
	program("etc/ssl/certs/ca-certificates.crt", 0o644, "")       // empty: no bundle
	program("etc/pki/tls/certs/ca-bundle.crt", 0o644, "-----B--") // another distribution's
	if err := os.Mkdir(filepath.Join(root, "usr/bin/git"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chroot(root); err != nil {
		t.Fatal(err)
	}
	want := Found{
		"runc":            "/opt/bin/runc",
		"docker-init":     "/usr/libexec/docker/docker-init",
		"git-clone":       "/usr/lib/git-core/git-clone",
		"ca-certificates": "/etc/pki/tls/certs/ca-bundle.crt",
	}
	got := Look(Table(), "/opt/bin:/usr/bin")
	for _, name := range Names(Table()) {
		if got[name] != want[name] {
			t.Errorf("%s: found at %q, want %q", name, got[name], want[name])
		}
	}
}

func TestTableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Table() {
		if seen[r.Name] {
			t.Errorf("%s is in the table twice", r.Name)
		}
		seen[r.Name] = true
		if r.For == "" || r.Lost == "" || r.Package == "" {
			t.Errorf("%s: something is not filled in: %+v", r.Name, r)
		}
		if r.Ignorable && r.How == "" {
			t.Errorf("%s can be ignored, and nobody is told how", r.Name)
		}
	}
}
