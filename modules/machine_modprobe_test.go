package modules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The applet, as programs call it.
func inMachineModprobe(t *testing.T) {
	data, err := os.ReadFile("/packed/dummy.ko")
	if err != nil {
		t.Fatal(err)
	}
	// As if it were built for another kernel.
	other := writeFile(t, filepath.Join(t.TempDir(), "dummy.ko"), strings.Replace(string(data), " SMP ", " UMP ", 1))
	for _, c := range []struct {
		args   string
		status int
		loaded []string
		absent []string
	}{
		{"-va loop dummy", 0, []string{"loop", "dummy"}, nil},
		{"--first-time loop", 1, []string{"loop"}, nil},
		{"loop", 0, []string{"loop"}, nil},
		{"-r loop dummy", 0, nil, []string{"loop", "dummy"}},
		{"-r --first-time loop", 1, nil, nil},
		{"-n -v dummy", 0, nil, []string{"dummy"}},
		{"-q -- rtnl-link-dummy", 0, []string{"dummy"}, nil},
		{"-q no_such_module", 1, nil, nil},
		{"-r dummy", 0, nil, []string{"dummy"}},
		{"dummy numdummies=2", 0, []string{"dummy"}, nil},
		{"-r xt_conntrack", 1, []string{"xt_conntrack"}, nil}, // iptables uses it
		{"dummy no_such_parameter=1", 0, nil, nil},            // it is loaded already
		{"-r dummy", 0, nil, []string{"dummy"}},
		{other, 1, nil, []string{"dummy"}},
		{"--force-modversion " + other, 1, nil, []string{"dummy"}},
		{"--force-vermagic " + other, 0, []string{"dummy"}, nil},
		{"-f -r dummy", 0, nil, []string{"dummy"}},
		{"-f " + other, 0, []string{"dummy"}, nil},
		{"-r dummy", 0, nil, []string{"dummy"}},
		{"/packed/dummy.ko numdummies=2", 0, []string{"dummy"}, nil},
	} {
		var out strings.Builder
		status := Modprobe(strings.Fields(c.args), "", &out, &out)
		if status != c.status {
			t.Errorf("modprobe %s: status %d\n%s", c.args, status, out.String())
		}
		for name, want := range states(c.loaded, c.absent) {
			if has, err := (Kernel{}).Has(name); has != want || err != nil {
				t.Errorf("after modprobe %s, %s is %v, %v\n%s", c.args, name, has, err, out.String())
			}
		}
	}
	if devices, err := filepath.Glob("/sys/class/net/dummy*"); len(devices) != 2 {
		t.Errorf("numdummies=2: %q, %v", devices, err)
	}
}

func states(loaded, absent []string) map[string]Presence {
	m := map[string]Presence{}
	for _, name := range loaded {
		m[name] = Loaded
	}
	for _, name := range absent {
		m[name] = Absent
	}
	return m
}

// The kernel, asked, runs /sbin/modprobe, which is this package again.
func inMachineRequest(t *testing.T) {
	if err := Request("vxlan"); err != nil {
		t.Fatal(err)
	}
	if has, err := (Kernel{}).Has("vxlan"); has != Loaded || err != nil {
		t.Errorf("vxlan is %v, %v", has, err)
	}
	results := (&Loader{}).Want(context.Background(), []Want{{Names: []string{"macvlan"}}, {Names: []string{"a_name_that_is_too_long"}}})
	if results[0].Way != WayRequested || results[1].Way != Missing || !errors.Is(results[1].Err, ErrLongName) {
		t.Errorf("without an index: %+v", results)
	}
	// Without a folder of modules, the program asks the kernel, which runs the program: that must end.
	release, err := Release()
	if err != nil {
		t.Fatal(err)
	}
	dir := "/lib/modules/" + release
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	defer os.Rename(dir+".gone", dir)
	var out strings.Builder
	if status := Modprobe([]string{"ipvlan"}, "", &out, &out); status != 1 || !strings.Contains(out.String(), "no modules for this kernel") {
		t.Errorf("without modules: status %d, %s", status, out.String())
	}
	if status := Modprobe([]string{"vxlan"}, "", &out, &out); status != 0 {
		t.Errorf("a loaded module without modules: status %d, %s", status, out.String())
	}
}
