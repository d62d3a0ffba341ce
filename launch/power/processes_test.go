package power

import (
	"os"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	for text, want := range map[string]struct {
		p      Process
		counts bool
	}{
		"12 (cat) R 1 12 12 0 -1 4194304 95 0":      {Process{12, "cat"}, true},
		"12 (a) b) (c) S 1 12 12 0 -1 4194304 95 0": {Process{12, "a) b) (c"}, true},
		"12 (a\nb) D 1 12 12 0 -1 4194304 95 0":     {Process{12, "a\nb"}, true},
		"12 () T 1 12 12 0 -1 4194304 95 0":         {Process{12, ""}, true},
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0":     {Process{2, "kthreadd"}, false},
		"9 (gone) Z 1 12 12 0 -1 4194316 95 0":      {Process{9, "gone"}, false},
	} {
		p, counts, err := parseStat(text)
		if p != want.p || counts != want.counts || err != nil {
			t.Errorf("%q: %+v, %v, %v", text, p, counts, err)
		}
	}
	for _, text := range []string{"", "12", "12 (x", "x (x) R 1 2 3 4 5 6", "0 (x) R 1 2 3 4 5 6", "1 )x( R 1 2 3 4 5 6", "1 (x) R 1 2 3 4 5", "1 (x) R 1 2 3 4 5 x"} {
		if p, _, err := parseStat(text); err == nil {
			t.Errorf("%q: %+v and no error", text, p)
		}
	}
	all, err := otherProcesses()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.PID == os.Getpid() || p.PID == 1 || p.Name == "kthreadd" {
			t.Errorf("%s is among them", p)
		}
	}
	if text := names(make([]Process, 10)); strings.Count(text, "(0)") != 8 || !strings.HasSuffix(text, "and 2 more") {
		t.Errorf("names: %s", text)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("12 (a) b) S 1 12 12 0 -1 4194304 95 0")
	f.Add("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		if p, _, err := parseStat(text); err == nil && (p.PID < 1 || !strings.Contains(text, "("+p.Name+")")) {
			t.Errorf("%q: %+v", text, p)
		}
	})
}
