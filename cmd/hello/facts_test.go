package main

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const routes = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT                                                       
eth0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0                                                                               
eth0	00000000	010011AC	0003	0	0	0	00000000	0	0	0                                                                               
`

func TestParseGateway(t *testing.T) {
	for name, c := range map[string]struct {
		in, gw, device string
		fails          bool
	}{
		"docker":          {in: routes, gw: "172.17.0.1", device: "eth0"},
		"no default":      {in: strings.Join(strings.SplitAfter(routes, "\n")[:2], ""), fails: true},
		"empty":           {fails: true},
		"not hexadecimal": {in: "h\neth0 00000000 XX0011AC 0003 0 0 0 00000000\n", fails: true},
		"too short":       {in: "h\neth0 00000000 0011AC 0003 0 0 0 00000000\n", fails: true},
		// A route to 0.0.0.0/1, as VPNs set it, is not the default one.
		"half":      {in: "eth9 00000000 010011AC 0003 0 0 0 00000080\n" + routes, gw: "172.17.0.1", device: "eth0"},
		"no router": {in: "ppp0 00000000 00000000 0001 0 0 0 00000000\n", fails: true},
	} {
		gw, device, err := parseGateway(strings.NewReader(c.in))
		if c.fails {
			if err == nil {
				t.Errorf("%s: got %v on %s", name, gw, device)
			}
			continue
		}
		if err != nil || gw.String() != c.gw || device != c.device {
			t.Errorf("%s: %v on %q, %v", name, gw, device, err)
		}
	}
}

func TestParseMemory(t *testing.T) {
	for in, want := range map[string]string{
		"67108864\n":            "64 MiB (67108864 bytes)",
		"max\n":                 "none",
		"9223372036854771712\n": "none", // 4 KiB pages
		"9223372036854710272\n": "none", // 64 KiB pages
		"1610612736":            "1.5 GiB (1610612736 bytes)",
		"512":                   "512 bytes",
		"1099511627776":         "1 TiB (1099511627776 bytes)",
		"0":                     "0 bytes",
	} {
		if got, err := parseMemory(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "64M", "max 1"} {
		if got, err := parseMemory(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(routes)
	f.Add("67108864\n")
	f.Add("max")
	f.Fuzz(func(t *testing.T, in string) {
		if gw, device, err := parseGateway(strings.NewReader(in)); err == nil && (!gw.Is4() || gw.IsUnspecified() || device == "") {
			t.Errorf("gateway %v on %q", gw, device)
		}
		if s, err := parseMemory(in); err == nil && s != "none" && !strings.HasSuffix(strings.TrimSuffix(s, ")"), " bytes") {
			t.Errorf("memory %q", s)
		}
	})
}

// tree lays out files below a root of its own.
func tree(t *testing.T, files map[string]string) system {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return system{
		root:     root,
		hostname: func() (string, error) { return "4f2a", nil },
		addrs: func() ([]netip.Prefix, error) {
			return []netip.Prefix{netip.MustParsePrefix("172.17.0.2/16"), netip.MustParsePrefix("fd00::2/64")}, nil
		},
		pid: func() int { return 1 },
	}
}

func TestLook(t *testing.T) {
	kernel := map[string]string{"proc/net/route": routes, "proc/sys/kernel/osrelease": "6.1.0-test\n"}
	for version, file := range map[string]string{"v1": memoryFiles[1], "v2": memoryFiles[0]} {
		kernel[file] = "67108864\n"
		got := look(tree(t, kernel))
		delete(kernel, file)
		want := facts{"4f2a", "172.17.0.2/16, fd00::2/64", "172.17.0.1 on eth0", "64 MiB (67108864 bytes)", "1", "6.1.0-test"}
		if got != want {
			t.Errorf("%s: %+v", version, got)
		}
	}
}

func TestWhatIsUnknownSaysWhy(t *testing.T) {
	s := tree(t, nil)
	s.addrs = func() ([]netip.Prefix, error) { return nil, errors.New("no netlink") }
	got := look(s)
	if got.Addresses != "unknown (no netlink)" || !strings.Contains(got.Memory, "unknown (no memory cgroup") ||
		!strings.HasPrefix(got.Kernel, "unknown (open ") || !strings.HasPrefix(got.Gateway, "unknown (open ") || got.Hostname != "4f2a" {
		t.Errorf("%+v", got)
	}
	s.addrs = func() ([]netip.Prefix, error) { return nil, nil }
	if got := look(s).Addresses; got != "none but loopback" {
		t.Errorf("addresses %q", got)
	}
}

func TestAddressesOfThisMachine(t *testing.T) {
	list, err := addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Addr().IsLoopback() {
			t.Errorf("loopback address %v", a)
		}
	}
}

func TestWrite(t *testing.T) {
	var out strings.Builder
	if err := write(&out, facts{"h-1", "a-2", "g-3", "m-4", "p-5", "k-6"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"client", "daemon", "dockerlaunch", "h-1", "a-2", "g-3", "m-4", "p-5", "k-6"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if write(full, facts{}) == nil {
		t.Error("writing to a full device went well")
	}
}
