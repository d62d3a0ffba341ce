package rootfs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// These tests enter the tree that make rootfs built, with a layer over it that takes what they write.

const allNamespaces = unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// builtTree is the tree to test; DOCKERLAUNCH_TEST_ROOTFS names another one.
func builtTree(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("DOCKERLAUNCH_TEST_ROOTFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "build", "rootfs")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "usr/bin/dockerd")); err != nil {
		testenv.Missing(t, fmt.Sprintf("there is no root tree (make rootfs): %v", err))
	}
	return dir
}

// entered is a tree with what a launcher would mount and make in it.
type entered struct{ root string }

func enter(t *testing.T) entered {
	t.Helper()
	lower := builtTree(t)
	work := t.TempDir()
	mount := func(source, target, fstype string, flags uintptr, data string) {
		t.Helper()
		if err := unix.Mount(source, target, fstype, flags, data); err != nil {
			t.Fatalf("mount %s at %s: %v", fstype, target, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", target, err)
			}
		})
	}
	mount("tmpfs", work, "tmpfs", 0, "")
	root := filepath.Join(work, "root")
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount("overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, work, work))
	mount("proc", filepath.Join(root, "proc"), "proc", 0, "")
	mount("/dev", filepath.Join(root, "dev"), "", unix.MS_BIND, "")
	mount("tmpfs", filepath.Join(root, "run"), "tmpfs", 0, "")
	for name, content := range map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/nsswitch.conf": "hosts: files dns\n", "etc/hosts": "127.0.0.1 localhost\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return entered{root}
}

// command makes a command that runs in the tree, and sees nothing of the machine's environment.
func (e entered) command(args ...string) *exec.Cmd {
	cmd := exec.Command(e.path(args[0]), args[1:]...)
	cmd.Args[0] = args[0]
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: e.root}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "HOME=/root"}
	return cmd
}

// path looks a program up in the tree's PATH.
func (e entered) path(name string) string {
	for _, dir := range []string{"/usr/sbin/", "/usr/bin/"} {
		if _, err := os.Lstat(e.root + dir + name); err == nil {
			return dir + name
		}
	}
	return "/usr/bin/" + name
}

func (e entered) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.command(args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// needGit ends a test on a tree that was built without git.
func (e entered) needGit(t *testing.T) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(e.root, "usr/bin/git")); err != nil {
		testenv.Missing(t, "the root tree was built without git (WITH_GIT=0)")
	}
}

func TestProgramsRun(t *testing.T) {
	builtTree(t)
	if !testenv.InNamespaces(t, allNamespaces) {
		return
	}
	e := enter(t)
	for _, c := range []struct{ command, says string }{
		{"dockerd --version", "Docker version"}, {"containerd --version", "containerd"}, {"containerd-shim-runc-v2 -v", "Version:"},
		{"runc --version", "runc version"}, {"docker-proxy --help", "container-ip"}, {"docker --version", "Docker version"},
		{"docker-init --version", "tini version"},
		{"iptables --version", "nf_tables"}, {"iptables-nft --version", "nf_tables"}, {"iptables-legacy --version", "legacy"},
		{"ip6tables --version", "nf_tables"}, {"ip6tables-nft --version", "nf_tables"}, {"ip6tables-legacy --version", "legacy"},
		{"iptables-save --version", "nf_tables"}, {"iptables-restore --version", "nf_tables"},
		{"ip6tables-legacy-save --version", "legacy"}, {"iptables-legacy-restore --version", "legacy"},
		{"ps -ef", "PID"}, {"xz --version", "XZ Utils"},
	} {
		out, err := e.command(strings.Fields(c.command)...).CombinedOutput()
		if c.command == "docker-proxy --help" {
			err = nil // some versions exit with 2 when asked for help
		}
		if err != nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v; want %q in:\n%s", c.command, err, c.says, out)
		}
	}
	// docker-init runs in containers, where the tree's libraries are not.
	if b, err := readBinary(filepath.Join(e.root, "usr/bin/docker-init")); err != nil || b.interpreter != "" || len(b.needed) > 0 {
		t.Errorf("docker-init is not linked statically: %+v, %v", b, err)
	}
}

// The loader in the tree finds what every program and plug-in in it needs.
func TestLibrariesFound(t *testing.T) {
	builtTree(t)
	if !testenv.InNamespaces(t, allNamespaces) {
		return
	}
	e := enter(t)
	checked := 0
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib"} {
		err := filepath.WalkDir(filepath.Join(e.root, dir), func(name string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := readBinary(name)
			if err != nil || len(b.needed) == 0 {
				return err
			}
			inTree := strings.TrimPrefix(name, e.root)
			loader := b.interpreter
			if loader == "" {
				loader = "/lib64/ld-linux-x86-64.so.2"
				if _, err := os.Stat(e.root + loader); err != nil {
					return nil // a plug-in of another machine: its loader is only known from a program
				}
			}
			cmd := e.command("ld.so", "--list", inTree)
			cmd.Path = loader
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "not found") {
				t.Errorf("%s: %v\n%s", inTree, err, out)
			}
			checked++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if checked < 50 {
		t.Errorf("only %d files were looked at", checked)
	}
}

func loopbackUp(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatalf("setting the loopback up: %v", err)
	}
}

// The rules that Docker makes (moby, daemon/libnetwork/drivers/bridge and daemon/libnetwork/iptables) are taken by the
// kernel through both variants.
func TestFirewallRules(t *testing.T) {
	builtTree(t)
	if !testenv.InNamespaces(t, allNamespaces) {
		return
	}
	e := enter(t)
	loopbackUp(t)
	rules := []string{
		"-t nat -N DOCKER",
		"-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
		"-t nat -A OUTPUT -m addrtype --dst-type LOCAL ! --dst NET -j DOCKER",
		"-t nat -A POSTROUTING -s ADDR ! -o docker0 -j MASQUERADE",
		"-t nat -A POSTROUTING -m addrtype --src-type LOCAL -o docker0 -j MASQUERADE",
		"-t nat -A POSTROUTING -s ADDR -d ADDR -j SNAT --to-source ADDR",
		"-t nat -A DOCKER -i docker0 -j RETURN",
		"-t nat -A DOCKER ! -i docker0 -p tcp -d ADDR --dport 80 -j DNAT --to-destination DEST",
		"-t nat -A DOCKER -p sctp --dport 81 -j DNAT --to-destination DEST",
		"-t nat -A DOCKER -p udp --dport 53 -j REDIRECT --to-ports 5353",
		"-t filter -N DOCKER-USER",
		"-t filter -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		"-t filter -A DOCKER-USER -m comment --comment mine -j RETURN",
		"-t filter -A FORWARD -i docker0 -p tcp -m multiport --dports 80,443 -j REJECT",
		"-t filter -A FORWARD -m mark --mark 0x5 -j DROP",
		"-t mangle -A OUTPUT -p tcp --dport 80 -j MARK --set-mark 5",
		"-t raw -A PREROUTING -d ADDR ! -i docker0 -j DROP",
	}
	// These need an ipset, IPVS or IPsec behind them; that the plug-in loads shows in its help.
	matches := []string{"set", "ipvs", "policy", "bpf", "u32", "physdev", "limit"}
	v4 := strings.NewReplacer("ADDR", "172.17.0.2", "DEST", "172.17.0.2:80", "NET", "127.0.0.0/8")
	v6 := strings.NewReplacer("ADDR", "fd00::2", "DEST", "[fd00::2]:80", "NET", "::1/128")
	for _, variant := range []string{"nft", "legacy"} {
		for family, replacer := range map[string]*strings.Replacer{"iptables-": v4, "ip6tables-": v6} {
			program := family + variant
			for _, rule := range rules {
				args := strings.Fields(replacer.Replace(rule))
				e.run(t, append([]string{program, "--wait"}, args...)...)
				if args[2] == "-A" {
					args[2] = "-C"
					e.run(t, append([]string{program, "--wait"}, args...)...)
				}
			}
			for _, match := range matches {
				if out := e.run(t, program, "-m", match, "--help"); !strings.Contains(out, match+" match options") && !strings.Contains(out, match) {
					t.Errorf("%s -m %s --help says nothing of it:\n%s", program, match, out)
				}
			}
			saved := e.run(t, program+"-save")
			cmd := e.command(program + "-restore")
			cmd.Stdin = bytes.NewBufferString(saved)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s-restore: %v\n%s", program, err, out)
			}
			if again := e.run(t, program+"-save"); strings.Count(again, "\n-A ") != strings.Count(saved, "\n-A ") || strings.Count(saved, "\n-A ") < 10 {
				t.Errorf("%s: saved\n%s\nand restored\n%s", program, saved, again)
			}
		}
	}
}

// The tree holds what its manifest says, and of /etc only what the launcher does not make.
func TestTreeAsManifest(t *testing.T) {
	tree := builtTree(t)
	m, err := ReadManifest(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range m.Nodes {
		name := filepath.Join(tree, n.Path)
		info, err := os.Lstat(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if n.Kind == KindFile {
			if sum, err := hashFile(name); err != nil || sum != n.SHA256 || info.Size() != n.Size {
				t.Errorf("%s is not as built (%v)", n.Path, err)
			}
		}
		for _, word := range []string{"share/doc/", "share/man/", "locale", "systemd/system", "dpkg", "etc/passwd", "perl", "gconv"} {
			if strings.Contains(n.Path, word) {
				t.Errorf("%s has no place in the tree", n.Path)
			}
		}
	}
}
