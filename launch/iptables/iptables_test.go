package iptables

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestChoose(t *testing.T) {
	const nftGoal, legacyGoal = "/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi"
	with := func(goal string, tables ...string) Facts {
		return Facts{
			Goal: goal, Tables: tables,
			Nft: Program{"/usr/sbin/iptables-nft", nftGoal}, Legacy: Program{"/usr/sbin/iptables-legacy", legacyGoal},
		}
	}
	const tables = "nat in /proc/net/ip_tables_names"
	for name, c := range map[string]struct {
		facts   Facts
		value   string
		set     bool
		variant Variant
		links   bool
		open    bool
		says    string
	}{
		"nothing speaks for either": {facts: with(nftGoal), variant: Nft, open: true, says: "nothing"},
		"nor is there the other":    {facts: Facts{Goal: nftGoal}, variant: Nft, says: "nothing"},
		"the default is legacy":     {facts: with(legacyGoal), variant: Legacy, says: "linked"},
		"an old multi":              {facts: Facts{Goal: "/sbin/xtables-multi"}, variant: Legacy, says: "linked"},
		"somebody's own iptables":   {facts: with("/opt/iptables"), variant: Nft, says: "nothing"},
		"tables":                    {facts: with(nftGoal, tables), variant: Legacy, links: true, says: "nat in /proc/net/ip_tables_names"},
		"tables, and legacy stands": {facts: with(legacyGoal, tables), variant: Legacy, says: "nat"},
		"asked for legacy":          {facts: with(nftGoal), value: "1", set: true, variant: Legacy, links: true, says: "DOCKER_IPTABLES_LEGACY=1"},
		"asked for it with 0":       {facts: with(nftGoal), value: "0", set: true, variant: Legacy, links: true, says: "=0"},
		"asked for nft":             {facts: with(legacyGoal, tables), set: true, variant: Nft, links: true, says: "empty"},
		"asked for what stands":     {facts: with(nftGoal, tables), set: true, variant: Nft, says: "empty"},
		"asked for what is missing": {facts: Facts{Goal: nftGoal}, value: "1", set: true, variant: Legacy, says: "no iptables-legacy"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Choose(c.facts, c.value, c.set)
			if got.Variant != c.variant || got.Links != c.links || got.Open != c.open || !strings.Contains(got.Why+got.Missing, c.says) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestObserve(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/proc/net/ip_tables_names", "nat\nfilter\n")
	write(t, root+"/proc/net/ip6_tables_names", "")
	write(t, root+"/bin/xtables-nft-multi", "")
	for _, name := range []string{"iptables", "iptables-nft"} {
		if err := os.Symlink("xtables-nft-multi", root+"/bin/"+name); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Observe(root, root+"/bin")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tables) != 2 || f.Tables[1] != "filter in /proc/net/ip_tables_names" {
		t.Errorf("tables %q", f.Tables)
	}
	if filepath.Base(f.Goal) != "xtables-nft-multi" || f.Nft != (Program{root + "/bin/iptables-nft", f.Goal}) || f.Legacy != (Program{}) {
		t.Errorf("%+v", f)
	}
	if f, err := Observe(t.TempDir(), root+"/nowhere"); err != nil || len(f.Tables) != 0 || f.Goal != "" {
		t.Errorf("of nothing: %+v, %v", f, err)
	}
}

func TestLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "iptables")
	l := Links{Dir: dir, Variant: Legacy, Program: "/usr/sbin/iptables-legacy"}
	for _, want := range []bool{false, true} {
		if kept, err := l.Apply(t.Context()); kept != want || err != nil {
			t.Fatalf("kept %v, %v", kept, err)
		}
	}
	for name, want := range map[string]string{
		"iptables": "/usr/sbin/iptables-legacy", "iptables-save": "/usr/sbin/iptables-legacy-save", "ip6tables-restore": "/usr/sbin/ip6tables-legacy-restore",
	} {
		if got, err := os.Readlink(filepath.Join(dir, name)); got != want || err != nil {
			t.Errorf("%s leads to %s, %v", name, got, err)
		}
	}
	l.Variant, l.Program = Nft, "/usr/sbin/iptables-nft"
	if kept, err := l.Apply(t.Context()); kept || err != nil {
		t.Fatalf("the other variant: kept %v, %v", kept, err)
	}
	if got, err := os.Readlink(filepath.Join(dir, "ip6tables")); got != "/usr/sbin/ip6tables-nft" || err != nil {
		t.Errorf("it leads to %s, %v", got, err)
	}
	if err := errors.Join(os.Remove(dir+"/iptables"), os.WriteFile(dir+"/iptables", nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a file in the place of a link: %v", err)
	}
}

func TestFallback(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "iptables")
	answer, answerErr := false, error(nil)
	f := Fallback{
		Links: Links{Dir: dir, Variant: Legacy, Program: "/usr/sbin/iptables-legacy"},
		probe: func() (bool, error) { return answer, answerErr },
	}
	if _, err := f.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "iptables-legacy is used") {
		t.Errorf("without nf_tables: %v", err)
	}
	if _, err := os.Lstat(dir + "/iptables"); err != nil {
		t.Error(err)
	}
	answerErr = errors.New("not told")
	if _, err := f.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "not told") {
		t.Errorf("where nobody knows: %v", err)
	}
	answer, answerErr = true, nil
	if kept, err := f.Apply(t.Context()); !kept || err != nil {
		t.Errorf("with nf_tables: %v, %v", kept, err)
	}
	if _, err := os.Lstat(dir + "/iptables"); err == nil {
		t.Error("the links of an earlier start are still there")
	}
}

func message(kind uint16, more ...byte) []byte {
	m := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(more))
	binary.NativeEndian.PutUint16(m[4:], kind)
	return append(m, more...)
}

func refusal(errno unix.Errno) []byte {
	return message(unix.NLMSG_ERROR, binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))...)
}

func TestReadAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		has    bool
		fails  bool
	}{
		"a generation":    {answer: message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN, 0, 0, 0, 0), has: true},
		"no subsystem":    {answer: refusal(unix.EINVAL)},
		"not permitted":   {answer: refusal(unix.EPERM), fails: true},
		"something else":  {answer: message(77, 0, 0, 0, 0), fails: true},
		"less than that":  {answer: message(unix.NLMSG_ERROR), fails: true},
		"nothing":         {fails: true},
		"acknowledgement": {answer: refusal(0), has: true},
	} {
		if has, err := readAnswer(c.answer); has != c.has || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", name, has, err)
		}
	}
}

// FuzzReadAnswer holds the reading of whatever comes to an end without a panic.
func FuzzReadAnswer(f *testing.F) {
	f.Add(refusal(unix.EINVAL))
	f.Add(message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if has, err := readAnswer(answer); has && err != nil {
			t.Error("it is there, and an error")
		}
	})
}

// The real kernel is asked in a network namespace of its own: it answers, and what is asked leaves no table behind.
func TestKernelHasNft(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	for range 2 {
		has, err := kernelHasNft()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("nf_tables: %v", has)
	}
	f, err := Observe("", "/nowhere")
	if err != nil || len(f.Tables) > 0 {
		t.Errorf("tables %q, %v", f.Tables, err)
	}
}
