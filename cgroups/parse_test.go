package cgroups

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	oci "github.com/opencontainers/cgroups"
)

func TestParseControllers(t *testing.T) {
	const head = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
	for _, tc := range []struct {
		name, text string
		want       []Controller
		err        string
	}{
		{"empty", "", nil, ""},
		{"header only", head, nil, ""},
		{"rows", head + "cpu\t3\t90\t1\nmemory\t0\t1\t0\n", []Controller{{"cpu", 3, 90, true}, {"memory", 0, 1, false}}, ""},
		{"no line break at the end", "pids\t0\t1\t1", []Controller{{"pids", 0, 1, true}}, ""},
		{"a column more", "pids 0 1 1 7\n", []Controller{{"pids", 0, 1, true}}, ""},
		{"too few columns", head + "cpu\t3\t90\n", nil, "line 2: 3 fields instead of 4"},
		{"not a number", "cpu\tx\t90\t1\n", nil, `line 1: strconv.Atoi: parsing "x"`},
		{"negative", "cpu\t-1\t90\t1\n", nil, "line 1: \"-1\" is not a number as the kernel writes it"},
		{"twice", "cpu 1 1 1\ncpu 1 1 1\n", nil, `line 2: a second row for "cpu"`},
		{"endless", "cpu " + strings.Repeat("x", 1<<17), nil, "line 1: bufio.Scanner: token too long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseControllers(strings.NewReader(tc.text))
			checkError(t, err, tc.err)
			if err == nil && cmp.Diff(tc.want, got) != "" {
				t.Error(cmp.Diff(tc.want, got))
			}
		})
	}
}

func TestParseMembership(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []Membership
		err        string
	}{
		{"empty", "", nil, ""},
		{"v2", "0::/\n", []Membership{{Path: "/"}}, ""},
		{"v2 with colons, spaces and a bracket", "0::/a:b c/(deleted)\n", []Membership{{Path: "/a:b c/(deleted)"}}, ""},
		{"v2 deleted", "0::/a b (deleted)\n", []Membership{{Path: "/a b", Deleted: true}}, ""},
		{"v1 does not tell", "4:pids:/a (deleted)\n", []Membership{{4, []string{"pids"}, "/a (deleted)", false}}, ""},
		{"outside of the namespace", "0::/../..\n", []Membership{{Path: "/../.."}}, ""},
		{"shared and named", "3:cpu,cpuacct:/x\n1:name=systemd:/\n", []Membership{{3, []string{"cpu", "cpuacct"}, "/x", false}, {1, []string{"name=systemd"}, "/", false}}, ""},
		{"a controller in a named one", "7:debug,name=mine:/\n", []Membership{{7, []string{"debug", "name=mine"}, "/", false}}, ""},
		{"one colon", "0:/\n", nil, "line 1: 2 fields instead of 3"},
		{"no number", "x:cpu:/\n", nil, "line 1: strconv.Atoi"},
		{"leading zero", "00::/\n", nil, `line 1: "00" is not a number as the kernel writes it`},
		{"relative", "0::\n", nil, `line 1: the path "" is not absolute`},
		{"v1 without controllers", "5::/\n", nil, `line 1: hierarchy 5 with the controllers ""`},
		{"v2 with controllers", "0:cpu:/\n", nil, `line 1: hierarchy 0 with the controllers "cpu"`},
		{"a gap in the list", "3:cpu,:/\n", nil, `line 1: an empty name among the controllers "cpu,"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseMembership(strings.NewReader(tc.text))
			checkError(t, err, tc.err)
			if err == nil && cmp.Diff(tc.want, got) != "" {
				t.Error(cmp.Diff(tc.want, got))
			}
		})
	}
}

// TestParseMembershipAgreesWithRuntimes compares with what the OCI runtimes read out of the same files.
func TestParseMembershipAgreesWithRuntimes(t *testing.T) {
	for _, name := range systems(t) {
		text, ok := archive(t, name)["proc/self/cgroup"]
		if !ok {
			continue
		}
		path := filepath.Join(t.TempDir(), "cgroup")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		want, err := oci.ParseCgroupFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list, err := ParseMembership(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := map[string]string{}
		for _, m := range list {
			if m.Hierarchy == 0 {
				got[""] = m.Path
			}
			for _, c := range m.Controllers {
				got[c] = m.Path
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func FuzzParseControllers(f *testing.F) {
	seed(f, "proc/cgroups")
	f.Add("cpu 1 1 1\ncpu 1 1 1\n")
	f.Add("cpu\t01\t+1\t-0\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := ParseControllers(strings.NewReader(text))
		if err != nil {
			if !strings.Contains(err.Error(), "/proc/cgroups, line ") {
				t.Errorf("the error does not name the line: %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, r := range rows {
			if r.Name == "" || strings.HasPrefix(r.Name, "#") || seen[r.Name] || r.Hierarchy < 0 || r.Cgroups < 0 {
				t.Errorf("impossible row %+v", r)
			}
			seen[r.Name] = true
		}
		if n := strings.Count(text, "\n") + 1; len(rows) > n {
			t.Errorf("%d rows out of %d lines", len(rows), n)
		}
	})
}

func FuzzParseMembership(f *testing.F) {
	seed(f, "proc/self/cgroup")
	f.Add("0::/a:b (deleted)\n")
	f.Add("0::/ (deleted) (deleted)\n3:a,b,name=c:/../..\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseMembership(strings.NewReader(text))
		if err != nil {
			if !strings.Contains(err.Error(), "/proc/PID/cgroup, line ") {
				t.Errorf("the error does not name the line: %v", err)
			}
			return
		}
		// Nothing is lost: the lines can be made again.
		var lines []string
		for line := range strings.Lines(text) {
			// bufio.ScanLines takes one carriage return before a line break away.
			line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
			if line != "" {
				lines = append(lines, line)
			}
		}
		if len(lines) != len(list) {
			t.Fatalf("%d entries out of %d lines", len(list), len(lines))
		}
		for i, m := range list {
			if m.String() != lines[i] {
				t.Errorf("%q became %q", lines[i], m.String())
			}
			if m.Path == "" || m.Path[0] != '/' || (m.Hierarchy == 0) != (len(m.Controllers) == 0) {
				t.Errorf("impossible entry %+v", m)
			}
		}
	})
}

func seed(f *testing.F, file string) {
	for _, name := range systems(f) {
		if text, ok := archive(f, name)[file]; ok {
			f.Add(text)
		}
	}
}

// checkError wants an error that contains the text, or none for an empty text.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatalf("unexpected error: %v", err)
	case want != "" && err == nil:
		t.Fatalf("no error, and one with %q was expected", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Fatalf("the error %q does not contain %q", err, want)
	}
}
