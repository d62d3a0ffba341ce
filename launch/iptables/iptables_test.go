package iptables

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
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
	safe := func(f Facts) Facts {
		f.LegacySafe = true
		return f
	}
	linked := func(f Facts) Facts {
		f.Linked = true
		return f
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
		"nothing speaks for either":  {facts: with(nftGoal), variant: Nft, open: true, says: "nothing"},
		"legacy is safe":             {facts: safe(with(nftGoal)), variant: Legacy, open: true, says: "either"},
		"safe, but asked for nft":    {facts: safe(with(nftGoal)), set: true, variant: Nft, says: "empty"},
		"safe, but not there":        {facts: safe(Facts{Goal: nftGoal}), variant: Nft, says: "nothing"},
		"safe, and somebody's own":   {facts: safe(with("/opt/iptables")), variant: Nft, says: "nothing"},
		"links to what stands":       {facts: linked(with(nftGoal)), set: true, variant: Nft, links: true, says: "empty"},
		"links, and legacy stands":   {facts: linked(with(legacyGoal)), variant: Legacy, links: true, says: "linked"},
		"open, without its own name": {facts: Facts{Goal: nftGoal, Legacy: Program{"/usr/sbin/iptables-legacy", legacyGoal}}, variant: Nft, open: true, says: "nothing"},
		"nor is there the other":     {facts: Facts{Goal: nftGoal}, variant: Nft, says: "nothing"},
		"the default is legacy":      {facts: with(legacyGoal), variant: Legacy, says: "linked"},
		"an old multi":               {facts: Facts{Goal: "/sbin/xtables-multi"}, variant: Legacy, says: "linked"},
		"somebody's own iptables":    {facts: with("/opt/iptables"), variant: Nft, says: "nothing"},
		"tables":                     {facts: with(nftGoal, tables), variant: Legacy, links: true, says: "nat in /proc/net/ip_tables_names"},
		"tables, and legacy stands":  {facts: with(legacyGoal, tables), variant: Legacy, says: "nat"},
		"asked for legacy":           {facts: with(nftGoal), value: "1", set: true, variant: Legacy, links: true, says: "DOCKER_IPTABLES_LEGACY=1"},
		"asked for it with 0":        {facts: with(nftGoal), value: "0", set: true, variant: Legacy, links: true, says: "=0"},
		"asked for nft":              {facts: with(legacyGoal, tables), set: true, variant: Nft, links: true, says: "empty"},
		"asked for what stands":      {facts: with(nftGoal, tables), set: true, variant: Nft, says: "empty"},
		"asked for what is missing":  {facts: Facts{Goal: nftGoal}, value: "1", set: true, variant: Legacy, says: "no iptables-legacy"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Choose(c.facts, c.value, c.set)
			if got.Variant != c.variant || got.Links != c.links || got.Open != c.open || !strings.Contains(got.Why+got.Missing, c.says) {
				t.Errorf("%+v", got)
			}
			// What the daemon is going to run decides about kernel modules.
			if ran := VariantOf(got.Program(c.facts)); ran != got.Variant && c.facts.Goal != "/opt/iptables" && got.Missing == "" {
				t.Errorf("it will run %s, not %s", ran, got.Variant)
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
	if f.Linked {
		t.Error("links are told where there are none")
	}
	// Those of an earlier start are known, but are no answer to the question what the system has.
	write(t, root+Dir+"/iptables", "")
	if f, err := Observe(root, Dir+":"+root+"/bin"); err != nil || !f.Linked || filepath.Base(f.Goal) != "xtables-nft-multi" {
		t.Errorf("with links of an earlier start: %+v, %v", f, err)
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

func TestAsk(t *testing.T) {
	notTold := errors.New("not told")
	type answer struct {
		has bool
		err error
	}
	for name, c := range map[string]struct {
		prefer, nftLoaded bool
		config            string // whether it tells of tables: "y", "n"; "?" is one that does not tell
		nft, tables, own  answer // whether there are nf_tables, tables of it, and tables of ip_tables
		links, kept       bool
		says, fails       string
	}{
		"nf_tables":                          {nft: answer{has: true}, kept: true, says: "nft: nothing"},
		"no nf_tables":                       {links: true, fails: "iptables-legacy is used"},
		"nobody knows":                       {nft: answer{err: notTold}, fails: "not told"},
		"legacy preferred":                   {prefer: true, nft: answer{has: true}, own: answer{has: true}, links: true, says: "legacy: nothing"},
		"and nf_tables empty":                {prefer: true, nftLoaded: true, nft: answer{has: true}, own: answer{has: true}, links: true, says: "legacy: nothing"},
		"but nf_tables is in use":            {prefer: true, nftLoaded: true, nft: answer{has: true}, tables: answer{has: true}, own: answer{has: true}, kept: true, says: "nft: this network namespace has tables"},
		"but would have to be loaded":        {prefer: true, nft: answer{has: true}, tables: answer{has: true}, own: answer{has: true}, links: true, says: "legacy: nothing"},
		"but a table is missing":             {prefer: true, nft: answer{has: true}, kept: true, says: "nft: this kernel has not all"},
		"whose configuration tells":          {prefer: true, config: "y", nft: answer{has: true}, links: true, says: "legacy: nothing"},
		"whose configuration tells of none":  {prefer: true, config: "n", nft: answer{has: true}, own: answer{has: true}, kept: true, says: "nft: this kernel has not all"},
		"whose configuration is not to read": {prefer: true, config: "?", nft: answer{has: true}, own: answer{has: true}, links: true, says: "legacy: nothing"},
		"and nf_tables too":                  {prefer: true, links: true, fails: "iptables-legacy is used"},
		"whether it is in use, none knows":   {prefer: true, nftLoaded: true, tables: answer{err: notTold}, own: answer{has: true}, fails: "not told"},
		"nor whether it is there":            {prefer: true, own: answer{err: notTold}, fails: "not told"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "iptables")
			a := &Ask{
				Links: Links{Dir: dir, Variant: Legacy, Program: "/usr/sbin/iptables-legacy"}, Prefer: c.prefer, NftLoaded: c.nftLoaded, Tables: Tables(),
				kernel: kernel{
					hasNft:    func() (bool, error) { return c.nft.has, c.nft.err },
					nftTables: func() (bool, error) { return c.tables.has, c.tables.err },
					legacyTables: func(tables []string) (bool, error) {
						if len(tables) != 4 {
							t.Errorf("asked for %q", tables)
						}
						return c.own.has, c.own.err
					},
				},
			}
			if c.config != "" {
				a.Config = func() (has, tells bool) { return c.config == "y", c.config != "?" }
			}
			kept, err := a.Apply(t.Context())
			if kept != c.kept || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("kept %v, %v", kept, err)
			}
			if !strings.HasPrefix(a.Found(), c.says) || c.says == "" && a.Found() != "" {
				t.Errorf("found %q", a.Found())
			}
			if _, err := os.Lstat(dir + "/iptables"); (err == nil) != c.links {
				t.Errorf("links: %v", err)
			}
			// Another kernel, without restart of the machine's /run: as in a container that moved.
			a.Prefer, a.kernel.hasNft = false, func() (bool, error) { return true, nil }
			if _, err := a.Apply(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(dir + "/iptables"); err == nil {
				t.Error("the links of an earlier start are still there")
			}
		})
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
		"no more of it":   {answer: message(unix.NLMSG_DONE, 0, 0, 0, 0)},
	} {
		if has, err := readAnswer(c.answer, unix.NFT_MSG_NEWGEN); has != c.has || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", name, has, err)
		}
	}
}

// FuzzReadAnswer holds the reading of whatever comes to an end without a panic.
func FuzzReadAnswer(f *testing.F) {
	f.Add(refusal(unix.EINVAL))
	f.Add(message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if has, err := readAnswer(answer, unix.NFT_MSG_NEWGEN); has && err != nil {
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

// The programs themselves tell whether the answers about the kernel's tables are right.
func TestKernelTables(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	run := func(program string, args ...string) error {
		path, err := exec.LookPath(program)
		if err != nil {
			testenv.Missing(t, program+" is not here")
		}
		out, err := exec.Command(path, args...).CombinedOutput()
		t.Logf("%s %q: %v %s", program, args, err, out)
		return err
	}
	if standing, err := kernelHasNftTables(); standing || err != nil {
		t.Fatalf("tables of nf_tables in a new network namespace: %v, %v", standing, err)
	}
	for _, tables := range [][]string{{"filter", "nat"}, Tables(), {"filter", "nosuchtable"}} {
		var refused error
		for _, table := range tables {
			refused = errors.Join(refused, run("iptables-legacy", "-t", table, "-S"), run("ip6tables-legacy", "-t", table, "-S"))
		}
		if has, err := hasLegacyTables(tables); err != nil || has != (refused == nil) {
			t.Errorf("%q: %v, %v; iptables-legacy: %v", tables, has, err, refused)
		}
	}
	made := run("iptables-nft", "-t", "nat", "-A", "OUTPUT", "-j", "ACCEPT")
	if standing, err := kernelHasNftTables(); standing != (made == nil) || err != nil {
		t.Errorf("tables of nf_tables: %v, %v", standing, err)
	}
}
