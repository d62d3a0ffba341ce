package modules

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestConfig(t *testing.T) {
	c := &Config{}
	c.parse("f.conf", `# comment
alias net-pf-10 ipv6
alias a
alias a b c
blacklist pc-speaker
options snd-x index=1 \
  id=two
options x
install foo /bin/true
remove foo echo gone
softdep ext4 stray pre: crc-a crc_b post: late
softdep e
weakdep a b
frobnicate \
  \
`+strings.Repeat("x", 50)+"\nblacklist last\\")
	want := &Config{
		Aliases:   []Alias{{"net_pf_10", "ipv6"}, {"a", "b"}},
		Blacklist: []string{"pc_speaker", "last"},
		Options:   []Option{{"snd_x", "index=1    id=two"}},
		Install:   []Command{{"foo", "/bin/true"}},
		Remove:    []Command{{"foo", "echo gone"}},
		SoftDeps:  []SoftDep{{Name: "ext4", Pre: []string{"crc_a", "crc_b"}, Post: []string{"late"}}},
	}
	for _, where := range []string{`3: "alias"`, `8: "options"`, `12: "softdep"`, `16: "frobnicate"`} {
		number, word, _ := strings.Cut(where, " ")
		want.Problems = append(want.Problems, "skipped: f.conf:"+number+" not understood: the line that begins with "+word)
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestCommandLine(t *testing.T) {
	c := &Config{}
	c.CommandLine(`BOOT_IMAGE=/boot/vmlinuz-6.1 root=UUID=a.b quiet loop.max-loop=4 nf-x.name="a b" "dm_mod.create=x y" ` +
		`modprobe.blacklist=nouveau,snd-pcsp,, .x=1 x.=1 trailing. dummy.flag -- init.arg=1`)
	want := &Config{
		Blacklist: []string{"nouveau", "snd_pcsp"},
		Options: []Option{{"loop", "max-loop=4"}, {"nf_x", `name="a b"`}, {"dm_mod", `create="x y"`},
			{"dummy", "flag"}},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if got := c.options("loop", ""); got != "max-loop=4" {
		t.Errorf("options of loop: %q", got)
	}
}

func TestConfigFiles(t *testing.T) {
	etc, lib, single := filepath.Join(t.TempDir(), "etc"), filepath.Join(t.TempDir(), "lib"), filepath.Join(t.TempDir(), "one")
	for name, text := range map[string]string{
		etc + "/b.conf": "blacklist etc-b", lib + "/b.conf": "blacklist lib-b", lib + "/a.conf": "blacklist lib-a",
		lib + "/a.txt": "blacklist txt", lib + "/.h.conf": "blacklist hidden", single: "blacklist single",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := ReadConfig([]string{etc, "/no/such", lib, single})
	if want := []string{"lib_a", "etc_b", "single"}; !slices.Equal(c.Blacklist, want) {
		t.Errorf("blacklist %q, want %q", c.Blacklist, want)
	}
}

// What cannot be read is told and skipped, and costs neither the other files nor time nor memory.
func TestConfigSkips(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "conf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	good := writeFile(t, dir+"/z.conf", "blacklist good\n")
	for name, to := range map[string]string{"none": "/no/such", "folder": "..", "zero": "/dev/zero", "same": good, "round": "round.conf"} {
		if err := os.Symlink(to, filepath.Join(dir, name+".conf")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(unix.Mkfifo(dir+"/fifo.conf", 0o600), os.Mkdir(dir+"/inner.conf", 0o700)); err != nil {
		t.Fatal(err)
	}
	var c *Config
	inTime(t, func() { c = ReadConfig([]string{good + "/no-folder", dir, dir + "/fifo.conf"}) })
	if want := []string{"good", "good"}; !slices.Equal(c.Blacklist, want) {
		t.Errorf("blacklist %q", c.Blacklist)
	}
	var got []string
	for _, problem := range c.Problems {
		path, _, _ := strings.Cut(strings.TrimPrefix(problem, "skipped: "), ": ")
		got = append(got, filepath.Base(path))
	}
	if want := []string{"no-folder", "fifo.conf", "folder.conf", "inner.conf", "none.conf", "round.conf", "zero.conf"}; !slices.Equal(got, want) {
		t.Errorf("problems %q", c.Problems)
	}
	c = &Config{}
	c.parse("f", strings.Repeat("x\n", 5000))
	if len(c.Problems) != maxProblems {
		t.Errorf("%d problems", len(c.Problems))
	}
}

// inTime fails the test where a function does not return.
func inTime(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not come to its end")
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("alias a b\noptions x y=\"z\" \\\n w\nsoftdep a pre: b post: c\n", "a.b=\"c d\" modprobe.blacklist=x,y -- z")
	f.Fuzz(func(t *testing.T, text, line string) {
		c := &Config{}
		c.parse("f", text)
		c.CommandLine(line)
		for _, names := range [][]string{c.Blacklist} {
			for _, name := range names {
				if name == "" || name != Normalize(name) {
					t.Errorf("a blacklisted name is %q", name)
				}
			}
		}
		for _, o := range c.Options {
			if o.Name == "" || o.Params == "" || strings.ContainsAny(o.Name, " \t") {
				t.Errorf("option %+v", o)
			}
		}
		for _, s := range c.SoftDeps {
			if s.Name == "" || slices.Contains(s.Pre, "") || slices.Contains(s.Post, "") {
				t.Errorf("soft dependency %+v", s)
			}
		}
		for _, word := range splitCommandLine(line) {
			if word == "" {
				t.Errorf("an empty word in %q", line)
			}
		}
	})
}
