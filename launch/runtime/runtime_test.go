package runtime

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestCalled(t *testing.T) {
	for name, want := range map[string]bool{
		"runc": true, "/run/dockerlaunch/bin/runc": true, "dockerlaunch-runc": true, "/usr/bin/dockerlaunch-runc": true,
		"dockerlaunch": false, "": false, "/": false, "crun": false, "runc/x": false,
	} {
		if got := Called(name); got != want {
			t.Errorf("Called(%q) = %v", name, got)
		}
	}
}

func TestNeeded(t *testing.T) {
	full := host.Full(40)
	if got := Needed(full, 40); got != nil {
		t.Errorf("with a full set it needs %q", got)
	}
	if diff := cmp.Diff([]string{"CAP_NET_RAW", "CAP_SYS_RESOURCE"}, Needed(full&^(1<<unix.CAP_SYS_RESOURCE|1<<unix.CAP_NET_RAW), 40)); diff != "" {
		t.Error(diff)
	}
	if got := Needed(host.Full(37), 37); got != nil {
		t.Errorf("what an older kernel does not know is no lack: %q", got)
	}
}

func TestParse(t *testing.T) {
	for line, want := range map[string]call{
		"": {}, "--version": {}, "features": {}, "--root /r state x": {}, "--root": {}, "--root /r": {},
		"create x":                                  {file: "config.json"},
		"create --bundle /b x":                      {file: "/b/config.json"},
		"create --bundle=/b x":                      {file: "/b/config.json"},
		"create -b /b x":                            {file: "/b/config.json"},
		"create -bundle /b x":                       {file: "/b/config.json"},
		"create x --bundle /b":                      {file: "/b/config.json"},
		"create --new --bundle /b x":                {file: "/b/config.json"},
		"run --bundle /b --keep x":                  {file: "/b/config.json"},
		"create --pid-file --bundle --bundle /b x":  {file: "/b/config.json"},
		"create --bundle":                           {file: "config.json"},
		"exec x ps":                                 {},
		"exec --process /p x":                       {file: "/p", whole: true},
		"exec --process=/p --detach --pid-file f x": {file: "/p", whole: true},
		"exec -d -p /p x":                           {file: "/p", whole: true},
		"exec x cp -p /p":                           {},
		"exec --new x cp -p /p":                     {},
		"exec -- x -p /p":                           {},
		"--unknown create --bundle /b x":            {},
		"--debug=true --systemd-cgroup --rootless auto --criu c create -b /b x":             {file: "/b/config.json"},
		"--root /run/docker/runtime-runc/moby --log /l --log-format json create -b /b -- x": {file: "/b/config.json", log: "/l", json: true},
		"--log=/l --log-format=text --systemd-cgroup exec --process /p x":                   {file: "/p", whole: true, log: "/l"},
		"--root create create -b /b x":                                                      {file: "/b/config.json"},
		"restore -b /b x":                                                                   {},
		"delete --force x":                                                                  {},
	} {
		if got := parse(strings.Fields(line)); got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("--root /r --log l create --bundle /b x")
	f.Add("exec --process\n=\n-\n--\n---p")
	f.Fuzz(func(t *testing.T, line string) { parse(strings.Split(line, " ")) })
}

var lackingTwo = []string{"CAP_SYS_RESOURCE", "CAP_BPF"}

func TestEdit(t *testing.T) {
	for name, test := range map[string]struct {
		whole    bool
		in, want string // want empty: nothing changes
	}{
		"a bundle": {in: `{ "ociVersion":"1.0", "process" : {"rlimits":[{"hard":18446744073709551615}],"capabilities":{"bounding":["CAP_CHOWN", "CAP_SYS_RESOURCE","CAP_BPF"],"effective":["CAP_CHOWN"], "ambient":["CAP_BPF"]}, "x":1.0e+400 } , "z":"<&>" }`,
			want: `{ "ociVersion":"1.0", "process" : {"rlimits":[{"hard":18446744073709551615}],"capabilities":{"bounding":["CAP_CHOWN"],"effective":["CAP_CHOWN"], "ambient":[]}, "x":1.0e+400 } , "z":"<&>" }`},
		"a process":             {whole: true, in: `{"args":["a"],"capabilities":{"permitted":["CAP_BPF"]}}`, want: `{"args":["a"],"capabilities":{"permitted":[]}}`},
		"nothing lacks":         {in: `{"process":{"capabilities":{"bounding":["CAP_CHOWN"]}}}`},
		"no capabilities":       {in: `{"process":{"args":["CAP_BPF"]}}`},
		"null":                  {in: `{"process":{"capabilities":null}}`},
		"a null set":            {in: `{"process":{"capabilities":{"bounding":null}}}`},
		"no process":            {in: `{"hooks":{"capabilities":{"bounding":["CAP_BPF"]}}}`},
		"a process elsewhere":   {in: `{"a":{"process":{"capabilities":{"bounding":["CAP_BPF"]}}}}`},
		"mixed types":           {in: `{"process":{"capabilities":{"bounding":["CAP_BPF",1]}}}`},
		"an array":              {in: `["process"]`},
		"a number":              {in: ` 1 `},
		"twice, in another way": {in: `{"process":{},"PROCESS":{"c\u0061pabilities":{"a":["CAP_BPF"],"a":["CAP_BPF","x\"]"]}}}`, want: `{"process":{},"PROCESS":{"c\u0061pabilities":{"a":[],"a":["x\"]"]}}}`},
		"empty members":         {in: `{"a":{},"b":[],"process":{"c":{},"capabilities":{"bounding":[],"effective":["CAP_BPF"]}}}`, want: `{"a":{},"b":[],"process":{"c":{},"capabilities":{"bounding":[],"effective":[]}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := edit([]byte(test.in), test.whole, lackingTwo)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, bad := range []string{"", "{", `{"process":`, `{"process":{"capabilities":{"a":["CAP_BPF"]}}} x`} {
		if got, err := edit([]byte(bad), false, lackingTwo); err == nil || got != nil {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

// FuzzEdit holds the edit to what a decoder sees: the same document, but for the capabilities.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(`{"process":{"capabilities":{"bounding":["CAP_BPF","CAP_CHOWN"]}}}`), false)
	f.Add([]byte(`{"capabilities":{"bounding":["CAP_BPF"],"x":[1,{"a":"\"}"}]}}`), true)
	f.Fuzz(func(t *testing.T, data []byte, whole bool) {
		got, err := edit(data, whole, lackingTwo)
		if err != nil || got == nil {
			return
		}
		var before, after any
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("the result is no JSON: %v\n%s", err, got)
		}
		if err := json.Unmarshal(data, &before); err != nil {
			t.Fatal(err)
		}
		object, _ := before.(map[string]any)
		take := func(process any) {
			m, _ := process.(map[string]any)
			for key, sets := range m {
				if s, ok := sets.(map[string]any); ok && strings.EqualFold(key, "capabilities") {
					for name, set := range s {
						s[name] = withoutAny(set)
					}
				}
			}
		}
		if whole {
			take(object)
		} else {
			for key, value := range object {
				if strings.EqualFold(key, "process") {
					take(value)
				}
			}
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s\nbecame\n%s", data, got)
		}
		if again, err := edit(got, whole, lackingTwo); err != nil || again != nil {
			t.Errorf("a second edit changes %s, %v", again, err)
		}
	})
}

func withoutAny(set any) any {
	list, ok := set.([]any)
	if !ok {
		return set
	}
	kept := []any{}
	for _, v := range list {
		if v == nil { // encoding/json makes "" of it, which is never among the lacking
			v = ""
		}
		text, ok := v.(string)
		if !ok {
			return set
		}
		if text != lackingTwo[0] && text != lackingTwo[1] {
			kept = append(kept, text)
		}
	}
	if len(kept) == len(list) {
		return set
	}
	return kept
}

func TestEditFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"process":{"capabilities":{"a":["CAP_BPF"]}}}`)
	for _, want := range []bool{true, false} {
		if changed, err := editFile(path, false, lackingTwo); changed != want || err != nil {
			t.Fatalf("changed %v, %v", changed, err)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	write(strings.Repeat(" ", maxFile+1))
	if _, err := editFile(path, false, lackingTwo); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("a file without end: %v", err)
	}
	if _, err := editFile(dir, false, lackingTwo); err == nil {
		t.Error("a folder was edited")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left over: %v, %v", list, err)
	}
}

func TestFindPassesByItself(t *testing.T) {
	dir := t.TempDir()
	place := func(path, text string) string {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	launcher := place("usr/bin/dockerlaunch", "launcher")
	place("copy/dockerlaunch", "launcher")
	for _, from := range []string{"wrap/runc", "wrapcopy/runc"} {
		target := launcher
		if strings.Contains(from, "copy") {
			target = filepath.Join(dir, "copy/dockerlaunch")
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, from)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(place("noexec/runc", ""), 0o644); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "exe")
	if err := os.Symlink(launcher, self); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + dir + "/wrap:" + dir + "/wrapcopy::" + dir + "/none:" + dir + "/noexec:" + dir + "/real"
	if got, err := find([]string{path}, self); err == nil {
		t.Errorf("found %s where there is none", got)
	}
	real := place("real/runc", "runc")
	if got, err := find([]string{"A=b", path}, self); got != real || err != nil {
		t.Errorf("found %s, %v", got, err)
	}
	// Itself, and no link, as where it is mounted there.
	direct, mounted := place("direct/runc", "launcher"), filepath.Join(dir, "mounted")
	if err := os.Symlink(direct, mounted); err != nil {
		t.Fatal(err)
	}
	if got, err := find([]string{"PATH=" + dir + "/direct:" + dir + "/real"}, mounted); got != real || err != nil {
		t.Errorf("found %s, %v", got, err)
	}
	if got, err := find([]string{path}, filepath.Join(dir, "missing")); err != nil {
		t.Errorf("without /proc: %s, %v", got, err)
	}
}

func TestLink(t *testing.T) {
	dir := t.TempDir()
	l := Link{Dir: filepath.Join(dir, "a", "bin"), Launcher: "/usr/bin/dockerlaunch"}
	for _, want := range []bool{false, true} {
		if kept, err := l.Apply(t.Context()); kept != want || err != nil {
			t.Fatalf("kept %v, %v", kept, err)
		}
	}
	l.Launcher = "/elsewhere/dockerlaunch"
	if kept, err := l.Apply(t.Context()); kept || err != nil {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if target, err := os.Readlink(l.Path()); target != l.Launcher || err != nil {
		t.Errorf("it leads to %s, %v", target, err)
	}
	if err := os.Remove(l.Path()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.Path(), []byte("somebody's runc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), l.Path()) {
		t.Errorf("over somebody's own program: %v", err)
	}
	if list, err := os.ReadDir(l.Dir); err != nil || len(list) != 1 {
		t.Errorf("left over: %v, %v", list, err)
	}
}

func TestFragment(t *testing.T) {
	flags, text := Fragment("/run/x/dockerlaunch-runc")
	if diff := cmp.Diff([]string{"--add-runtime", "dockerlaunch-runc=/run/x/dockerlaunch-runc", "--default-runtime", "dockerlaunch-runc"}, flags); diff != "" {
		t.Error(diff)
	}
	var config struct {
		Default  string `json:"default-runtime"`
		Runtimes map[string]struct{ Path string }
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil || config.Default != AltName || config.Runtimes[AltName].Path != "/run/x/dockerlaunch-runc" {
		t.Errorf("%s: %v", text, err)
	}
}

func TestWarn(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	call{log: log, json: true}.warn(`a "b"`)
	call{log: log}.warn(`a "b"`)
	call{}.warn("to nobody")
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := bytes.Cut(data, []byte("\n"))
	var line struct{ Level, Msg, Time string }
	if err := json.Unmarshal(first, &line); err != nil || line.Msg != `a "b"` || line.Level != "warning" || line.Time == "" {
		t.Errorf("%s: %v", first, err)
	}
	if !strings.Contains(string(second), `level=warning msg="a \"b\""`) {
		t.Errorf("%s", second)
	}
}

// TestBeyond: a second wrapper that looks for runc in PATH must not find the first again.
func TestBeyond(t *testing.T) {
	for path, want := range map[string]string{
		"/run/dl/bin:/usr/local/sbin:/usr/bin":         "/usr/local/sbin:/usr/bin",
		"/usr/local/sbin/:/usr/bin":                    "/usr/local/sbin/:/usr/bin",
		"/x:/run/dl/bin:/usr/local/sbin/../sbin:/tail": "/usr/local/sbin/../sbin:/tail",
		"/nothing:/of:/it":                             "/nothing:/of:/it",
	} {
		environ := []string{"A=b", "PATH=" + path}
		got := beyond(environ, "/usr/local/sbin/runc")
		if got[1] != "PATH="+want || got[0] != "A=b" || environ[1] != "PATH="+path {
			t.Errorf("%s: %q, want %s", path, got, want)
		}
	}
}

// BenchmarkEdit has a bundle of the size that dockerd's have.
func BenchmarkEdit(b *testing.B) {
	text := []byte(`{"linux":{"seccomp":{"syscalls":[` + strings.Repeat(`{"names":["accept","accept4","access"],"action":"SCMP_ACT_ALLOW"},`, 250) + `{}]}},
		"process":{"capabilities":{"bounding":["CAP_CHOWN","CAP_BPF"],"effective":["CAP_CHOWN","CAP_BPF"]}}}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if out, err := edit(text, false, lackingTwo); out == nil || err != nil {
			b.Fatal(err)
		}
	}
}
