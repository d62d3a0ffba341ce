package line

import (
	"strings"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	want := Line{Init: 6 * time.Second, Ready: 11*time.Second + 5, Modules: 26}
	for _, c := range []struct {
		console string
		found   bool
		err     string
	}{
		{console: "[ 1.0] booting\r\n" + want.String() + "\r\n", found: true},
		{console: "half of another line" + want.String(), found: true},
		{console: ""}, {console: "bench-ready:"}, {console: strings.TrimSuffix(want.String(), ".")}, {console: want.String()[:40]},
		{console: "bench-failed: no BENCH_INIT\r\n", found: true, err: "no BENCH_INIT"},
		{console: "bench-failed: no BENCH_"},
		{console: Line{Init: 2, Ready: 1}.String(), found: true, err: "before the init"},
		{console: strings.Replace(want.String(), "ready_ns=", "ready_ns=9999999999", 1)},
		{console: strings.Replace(want.String(), "ready_ns=", "ready_ns=-", 1)},
	} {
		got, found, err := Find(c.console)
		if found != c.found || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: found %v, %v", c.console, found, err)
		}
		if found && err == nil && got != want {
			t.Errorf("%q: %+v, want %+v", c.console, got, want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add(Line{Init: 1, Ready: 2, Modules: 3}.String())
	f.Add("bench-failed: x\n")
	f.Add("bench-ready: init_ns=999999999999999999 ready_ns=1 modules=0.")
	f.Fuzz(func(t *testing.T, console string) {
		l, found, err := Find(console)
		if found && err == nil && (l.Ready < l.Init || !strings.Contains(console, "bench-ready:")) {
			t.Errorf("%q: %+v", console, l)
		}
	})
}
