package modules

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

func TestParseFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want flags
		err  string
	}{
		{"-q -- x", flags{quiet: true, args: []string{"x"}}, ""},
		{"-va a b", flags{verbose: true, all: true, args: []string{"a", "b"}}, ""},
		{"a -n b=1", flags{dryRun: true, args: []string{"a", "b=1"}}, ""},
		{"-d/x -S 1 -D y", flags{dir: "/x", release: "1", showDepends: true, args: []string{"y"}}, ""},
		{"-bS1 y", flags{blacklist: true, release: "1", args: []string{"y"}}, ""},
		{"--dirname=/x --set-version 2 --show-dep z", flags{dir: "/x", release: "2", showDepends: true, args: []string{"z"}}, ""},
		{"--remove-h -w5 z", flags{holders: true, wait: 5, args: []string{"z"}}, ""},
		{"-C a -C b -Rirsv - z", flags{config: []string{"a", "b"}, resolve: true, ignoreCommands: true, remove: true, verbose: true, args: []string{"-", "z"}}, ""},
		{"-f x", flags{force: 3, forceRemove: true, args: []string{"x"}}, ""},
		{"--force-v --force-m x", flags{force: 3, args: []string{"x"}}, ""},
		{"--force x", flags{force: 3, forceRemove: true, args: []string{"x"}}, ""},
		{"--force- x", flags{}, "ambiguous"},
		{"-Z", flags{}, "invalid option -- 'Z'"},
		{"--frob", flags{}, "unrecognized option '--frob'"},
		{"--re x", flags{}, "ambiguous"},
		{"--all=1", flags{}, "doesn't allow an argument"},
		{"-S", flags{}, "requires an argument"},
		{"--config", flags{}, "requires an argument"},
		{"-w x", flags{}, "wait"},
	} {
		got, err := parseFlags(strings.Fields(c.args))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.args, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
		} else if diff := cmp.Diff(c.want, *got, cmp.AllowUnexported(flags{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", c.args, diff)
		}
	}
}

func FuzzParseFlags(f *testing.F) {
	f.Add("-q\n--\nx")
	f.Add("-d/x\n--show-dep\ny=1")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		got, err := parseFlags(args)
		if err == nil && len(got.args) > len(args) {
			t.Errorf("%q became %q", args, got.args)
		}
	})
}

// Exit status and standard output are kmod's, and so is the first line of its errors.
func TestModprobeLikeKmod(t *testing.T) {
	k := vm.KernelNamed(t, "6.12-full")
	root := strings.TrimSuffix(strings.TrimSuffix(k.Modules, "/lib/modules/"+k.Release), "/usr")
	config := t.TempDir()
	conf := writeFile(t, config+"/a.conf", `alias my-alias overlay
options overlay metacopy=on
options my_alias index=on
install loop /bin/echo loop $CMDLINE_OPTS
install only_a_command /bin/echo hello
blacklist e1000
softdep bridge pre: veth post: dummy
alias to-nowhere no-such-module
alias to-off off
alias to-alias my-alias
alias to-command nothing-but-a-command
install nothing-but-a-command /bin/echo $CMDLINE_OPTS
install nf_conntrack /bin/true
`)
	writeFile(t, config+"/b.conf", "frobnicate the module\nalias\n")
	file := filepath.Join(config, "nf-nat.ko.xz")
	data, err := os.ReadFile(filepath.Join(k.Modules, "kernel/net/netfilter/nf_nat.ko.xz"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, string(data))
	if err := os.Symlink("nowhere", config+"/dangling.conf"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".", config+"/folder.conf"); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"-D overlay", "-D my-alias", "-D my_alias", "-D overlay redirect_dir=on", "-D overlay a=b c", "-D loop max_loop=3", "-i -D loop",
		"-D bridge", "-D -a bridge loop overlay", "-D nothing", "-q -D nothing", "-a -D nothing overlay", "-R my-alias", "-R nothing",
		"-R fs-ext4", "-R pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00", "-D pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00",
		"-b -D e1000", "-D e1000", "-D only_a_command", "-D ext4", "-D btrfs", "--show-depends xfs", "-n nothing", "-n -v vxlan", "-r nothing",
		"-n -r dummy", "-r --first-time dummy", "-Z", "--frob", "", "-S", "-D", "-D crc32c", "-D crypto-crc32c", "-D symbol:nf_nat_setup_info",
		"-D 'overlay'", "-D -- overlay", "-D overlay --", "-D kernel/fs/overlayfs/overlay.ko.xz",
		"-D option_that_has=equals", "-D net-pf-10", "-D binfmt-misc", "-D fuse", "-n -v -a veth dummy",
		"-n to-nowhere", "-D to-nowhere", "-nv to-off", "-D to-off", "-n to-alias", "-D to-alias", "-R to-alias", "-R to-off", "-r to-off",
		"-r --first-time to-nowhere", "-a -D to-off overlay", "-n --first-time to-off", "-D to-command a=b", "-i -D to-command", "-D nf_nat",
		"-nv nf_nat", "-a -r -n nothing", "-f -nv dummy", "--force-vermagic -nv dummy", "-D " + file, "-nv " + file + " a=b",
		"-R " + file, "-a -D dummy " + file, "-r -n " + file, "-D /nowhere.ko", "-n -v x/y", "-q -D /nowhere.ko", "-q -Z",
		"-C " + config + " -D e1000",
	} {
		flags := append([]string{"-d", root, "-S", k.Release, "-C", conf}, strings.Fields(args)...)
		var out, errs, wantOut, wantErrs bytes.Buffer
		status := Modprobe(flags, "", &out, &errs)
		cmd := kmodCommand(t, flags...)
		cmd.Stdout, cmd.Stderr = &wantOut, &wantErrs
		want := 0
		if err := cmd.Run(); err != nil {
			if _, ok := err.(*exec.ExitError); !ok {
				t.Fatal(err)
			}
			want = cmd.ProcessState.ExitCode()
		}
		if status != want || sortedLines(out.String()) != sortedLines(wantOut.String()) {
			t.Errorf("modprobe %s: status %d, kmod's %d\n%s%s--- kmod\n%s%s", args, status, want, out.String(), errs.String(), wantOut.String(), wantErrs.String())
		}
		if (errs.Len() == 0) != (wantErrs.Len() == 0) {
			t.Errorf("modprobe %s says %q, kmod's %q", args, errs.String(), wantErrs.String())
		}
		for _, level := range []string{"FATAL: ", "WARNING: Module", "invalid option"} {
			if strings.Contains(errs.String(), level) != strings.Contains(wantErrs.String(), level) {
				t.Errorf("modprobe %s says %q, kmod's %q", args, errs.String(), wantErrs.String())
			}
		}
	}
}

// sortedLines makes texts comparable in which the order of what does not depend on each other differs.
func sortedLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return strings.Join(sortedSet(lines), "\n")
}

// MODPROBE_OPTIONS comes before the arguments, as with kmod's.
func TestModprobeOptions(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"/lib/modules/1", "/a conf"} {
		if err := os.MkdirAll(root+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, root+"/lib/modules/1/modules.dep", "m.ko:\n")
	writeFile(t, root+"/a conf/a.conf", "alias of-it m\n")
	program := filepath.Join(t.TempDir(), "modprobe")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/modprobe").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for options, ok := range map[string]bool{`-C "` + root + `/a conf" -D`: true, "-D": false, "-Z": false} {
		cmd := exec.Command(program, "-d", root, "-S", "1", "of-it")
		cmd.Env = append(os.Environ(), "MODPROBE_OPTIONS="+options)
		out, err := cmd.CombinedOutput()
		if (err == nil) != ok || ok && !strings.Contains(string(out), "m.ko") {
			t.Errorf("with %s: %v\n%s", options, err, out)
		}
	}
}

// An install command that does nothing is a way to keep a dependency out, and no mistake.
func TestModprobeDisabledDependency(t *testing.T) {
	x := tree(t, map[string]string{"modules.dep": "a.ko: b.ko c.ko\nb.ko:\nc.ko:\n",
		"etc/modprobe.d/x.conf": "install b /bin/true\ninstall c /bin/echo c\n"}, "")
	var errs bytes.Buffer
	m := modprobe{flags: &flags{}, index: x, stdout: bufio.NewWriter(io.Discard), stderr: &errs, kernel: Kernel{Proc: t.TempDir(), Sys: t.TempDir()}}
	if err := m.insertName("a", ""); !errors.Is(err, os.ErrNotExist) { // there is no such file
		t.Error(err)
	}
	if text := errs.String(); strings.Contains(text, "'b'") || !strings.Contains(text, "'c'") || !strings.Contains(text, "'a'") {
		t.Errorf("%s", text)
	}
}

// Without any folder of modules the one in a file is still found.
func TestModprobePathWithoutIndex(t *testing.T) {
	file := writeFile(t, t.TempDir()+"/my-own.ko", "")
	var out, errs bytes.Buffer
	if status := Modprobe([]string{"-S", "no-such-release", "-n", "-v", file, "a=b c"}, "", &out, &errs); status != 0 || out.String() != "insmod "+file+" a=\"b c\"\n" {
		t.Errorf("%d %q %q", status, out.String(), errs.String())
	}
}
