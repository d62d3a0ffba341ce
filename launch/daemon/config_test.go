package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

const fullConfig = `{
  "debug": true,
  "hosts": ["unix:///x", "tcp://y"],
  "data-root": "/data",
  "mtu": 1400,
  "max-concurrent-downloads": 0,
  "pidfile": "",
  "iptables": false,
  "exec-opts": ["native.cgroupdriver=systemd"],
  "log-opts": {"max-size": "10m", "max-file": "3"},
  "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 2, "Soft": 1}, "core": null},
  "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}],
  "default-shm-size": "64M",
  "features": {"buildkit": true},
  "runtimes": {"x": {"path": "/bin/x"}},
  "proxies": {"http-proxy": "http://p"},
  "host-gateway-ip": "1.2.3.4",
  "icc": null
}`

func read(t *testing.T, text string) Config {
	t.Helper()
	c, err := ReadConfig(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestReadConfig(t *testing.T) {
	c := read(t, fullConfig)
	for option, want := range map[string]string{
		"debug": "true", "data-root": "/data", "mtu": "1400", "iptables": "false", "default-shm-size": "64M", "http-proxy": "http://p",
		"host-gateway-ip": "1.2.3.4",
	} {
		if got, ok := c.Value(option); !ok || got != want || !c.Has(option) {
			t.Errorf("%s is %q, %v; want %q", option, got, ok, want)
		}
	}
	for _, option := range []string{"max-concurrent-downloads", "pidfile", "icc"} {
		if got, ok := c.Value(option); ok || !c.Has(option) {
			t.Errorf("%s is %q, %v; want it there without a value", option, got, ok)
		}
	}
	for _, option := range []string{"hosts", "tls", "label", "config-file", "", "proxies"} {
		if c.Has(option) || c.Where(option) != "" || c.Values(option) != nil {
			t.Errorf("%q is said", option)
		}
	}
	for option, want := range map[string]string{
		"host": "unix:///x tcp://y", "exec-opt": "native.cgroupdriver=systemd", "log-opt": "max-file=3 max-size=10m",
		"default-ulimit": "nofile=1:2", "default-address-pool": "base=10.0.0.0/8,size=24", "feature": "buildkit=true",
		"add-runtime": `x={"path":"/bin/x"}`, "mtu": "1400", "host-gateway-ip": "1.2.3.4", "debug": "true",
	} {
		if got := c.Values(option); !slices.Equal(got, words(want)) {
			t.Errorf("%s: %q, want %q", option, got, want)
		}
	}
	if value, ok := c.Bool("iptables"); value || !ok {
		t.Error("iptables is not false")
	}
	if _, ok := c.Bool("mtu"); ok {
		t.Error("mtu is a bool")
	}
	if got, want := c.Where("host"), `"hosts" in daemon.json, line 3`; got != want {
		t.Errorf("hosts are in %q, want %q", got, want)
	}
	if p := c.Problems(Version{}); len(p) > 0 {
		t.Errorf("problems: %v", p)
	}
	if got := len(c.Entries()); got != 17 {
		t.Errorf("%d entries", got)
	}
}

func TestZeroStopTimeout(t *testing.T) {
	// dockerd takes this one 0 as said, and others as not said.
	c := read(t, `{"default-stop-timeout": 0, "shutdown-timeout": 0}`)
	if value, ok := c.Value("default-stop-timeout"); !ok || value != "0" {
		t.Errorf("default-stop-timeout is %q, %v", value, ok)
	}
	if value, ok := c.Value("shutdown-timeout"); ok {
		t.Errorf("shutdown-timeout is %q", value)
	}
}

func utf16Text(text string, high, low int) string {
	var b strings.Builder
	for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
		pair := [2]byte{}
		pair[high], pair[low] = byte(u>>8), byte(u)
		b.Write(pair[:])
	}
	return b.String()
}

func TestReadConfigEmptyAndEncoded(t *testing.T) {
	for _, text := range []string{"", " \n\t\r\n", "\ufeff", "{}", " {\n} ", "null", utf16Text("", 0, 1), `{"proxies": {}}`} {
		if c := read(t, text); len(c.Entries()) > 0 || !c.Found {
			t.Errorf("%q: %+v", text, c)
		}
	}
	text := "{\"labels\": [\"a=\u00e9\U0001F433\"]}"
	for _, encoded := range []string{text, "\ufeff" + text, utf16Text(text, 0, 1), utf16Text(text, 1, 0)} {
		if got := read(t, encoded).Values("label"); !slices.Equal(got, []string{"a=\u00e9\U0001F433"}) {
			t.Errorf("%q: labels %q", encoded, got)
		}
	}
}

func TestReadConfigErrors(t *testing.T) {
	for _, test := range []struct {
		text         string
		line, column int
		says         string
	}{
		{"{", 1, 2, "unexpected end"},
		{"{\"debug\": true,\n}", 2, 1, "invalid character '}'"},
		{"{\n  \"debug\": true\n  \"mtu\": 1\n}\n", 3, 3, "invalid character '\"'"},
		{"{\"a\": \"é\" x}", 1, 11, "invalid character 'x'"},
		{"{} {}", 1, 4, "after top-level value"},
		{"\n [1]", 2, 2, "is array, but must be an object"},
		{"true", 1, 1, "is bool"},
		{"\"x\"", 1, 1, "is string"},
		{"{\"debug\": tru", 1, 14, `invalid character '\n' in literal true`},
		{"{\"debug\"\n\n  ", 1, 9, "unexpected end"},
		{"\x00\x00\x00", 1, 1, `invalid character '\x00'`},
		{"{\"a\":\n \"\xff\"}", 2, 3, "invalid UTF-8"},
		{"\xff\xfe{", 1, 1, "invalid UTF-8"},
		{"# comment\n{}", 1, 1, "invalid character '#'"},
	} {
		_, err := ReadConfig(strings.NewReader(test.text))
		var e *ConfigError
		if !errors.As(err, &e) || e.Line != test.line || e.Column != test.column || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v, want line %d, column %d, %q", test.text, err, test.line, test.column, test.says)
		}
	}
	big := bytes.Repeat([]byte(" "), MaxConfigSize+1)
	if _, err := ReadConfig(bytes.NewReader(big)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := ReadConfig(bytes.NewReader(big[1:])); err != nil {
		t.Errorf("just not too large: %v", err)
	}
	broken := errors.New("broken")
	if _, err := ReadConfig(io.MultiReader(strings.NewReader("{"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// TestReadConfigIsLinear: with the time of each key growing with the file, these took a minute.
func TestReadConfigIsLinear(t *testing.T) {
	for _, between := range []string{",", ",\n"} {
		var b strings.Builder
		b.WriteString("{\"x\": 0")
		for i := 0; b.Len() < MaxConfigSize-20; i++ {
			fmt.Fprintf(&b, "%s\"%x\":1", between, i)
		}
		b.WriteString("}")
		start := time.Now()
		c := read(t, b.String())
		if n := len(c.Problems(Version{})); n != len(c.Entries()) {
			t.Errorf("%d problems of %d unknown keys", n, len(c.Entries()))
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("%d keys took %s", len(c.Entries()), took)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "daemon.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	if c, err := Load(path, false); err != nil || c.Found || c.Path != path {
		t.Errorf("a default file that is missing: %+v, %v", c, err)
	}
	var e *ConfigError
	if _, err := Load(path, true); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &e) || e.Path != path || !strings.Contains(err.Error(), "--config-file") {
		t.Errorf("a named file that is missing: %v", err)
	}
	if c, err := Load("", true); err != nil || c.Found {
		t.Errorf("no file: %+v, %v", c, err)
	}
	write("")
	if c, err := Load(path, true); err != nil || !c.Found {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
	write(strings.Repeat("\x00", 40))
	if c, err := Load(path, false); err != nil || !c.Found || c.Path != path {
		t.Errorf("a file that a power cut left full of zeros: %+v, %v", c, err)
	}
	if _, err := Load(path, true); err == nil {
		t.Error("one that --config-file names is not set aside, and dockerd does not start with it")
	}
	write("{\"debug\": true,}")
	if _, err := Load(path, false); err == nil || err.Error() != "reading "+path+", line 1, column 16: invalid JSON: invalid character '}' looking for beginning of object key string" {
		t.Errorf("a broken file: %v", err)
	}
	write("{\n\"debug\": true}")
	if c, err := Load(path, false); err != nil || c.Where("debug") != `"debug" in `+path+", line 2" {
		t.Errorf("a good file: %+v, %v", c, err)
	}
	if _, err := Load(dir, false); !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), "a directory") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Load(filepath.Join(path, "x"), false); err == nil {
		t.Error("a path through a file is no error")
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(pipe, true); !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), "a pipe") {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := Load("/dev/zero", true); !errors.Is(err, ErrNotRegular) {
		t.Errorf("a device: %v", err)
	}
	if c, err := Load("/dev/null", true); err != nil || !c.Found {
		t.Errorf("/dev/null: %+v, %v", c, err)
	}
}

// TestKeyThatIsAValueAndAnObject: the later of the two counts, as for every duplicate.
func TestKeyThatIsAValueAndAnObject(t *testing.T) {
	for text, want := range map[string]string{
		`{"proxies": 1, "proxies": {"http-proxy": "x"}}`: "http-proxy",
		`{"proxies": {"http-proxy": "x"}, "proxies": 1}`: "proxies",
		`{"": 0, "": {}}`: "",
	} {
		c, err := ReadConfig(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var keys []string
		for _, e := range c.Entries() {
			keys = append(keys, e.Key)
		}
		if got := strings.Join(keys, ","); got != want {
			t.Errorf("%s: keys are %q, want %q", text, got, want)
		}
		if len(c.duplicates) != 1 {
			t.Errorf("%s: %d duplicates", text, len(c.duplicates))
		}
	}
}

func FuzzReadConfig(f *testing.F) {
	for _, s := range []string{fullConfig, "", "null", "{\"a\": 1, \"a\": {\"a\": 2}}", "[", "\ufeff{}", "{\"proxies\":{\"no-proxy\":\"x\"}}", "{\"\\u0061\": {\"b\": [1, {}]}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ReadConfig(bytes.NewReader(data))
		var e *ConfigError
		if err != nil && (!errors.As(err, &e) || e.Line < 1 || e.Column < 1) {
			t.Fatalf("%q: %v", data, err)
		}
		for _, o := range options { // none of these may panic, and they must agree
			if _, ok := c.Value(o.Name); ok && !c.Has(o.Name) {
				t.Fatalf("%q: %s has a value and is not there", data, o.Name)
			}
			if c.Values(o.Name) != nil && !c.Has(o.Name) {
				t.Fatalf("%q: %s has values and is not there", data, o.Name)
			}
		}
		c.Problems(Version{})
		if !utf8.Valid(data) || bytes.HasPrefix(data, []byte("\ufeff")) || len(bytes.TrimSpace(data)) == 0 {
			return
		}
		var object map[string]any
		want := json.Unmarshal(data, &object)
		if (want == nil) != (err == nil) {
			t.Fatalf("%q: %v, and encoding/json says %v", data, err, want)
		}
		lines := bytes.Split(data, []byte("\n"))
		for _, entry := range c.Entries() {
			line := []rune(string(lines[entry.Line-1]))
			if line[entry.Column-1] != '"' || !json.Valid(entry.Raw) {
				t.Fatalf("%q: %+v is not where it is said to be", data, entry)
			}
		}
		keys := 0
		for key, value := range object {
			if inner, ok := value.(map[string]any); ok && !slices.Contains(flatKeys, key) {
				keys += len(inner)
			} else {
				keys++
			}
		}
		if n := len(c.Entries()); n > keys && len(c.duplicates) == 0 {
			t.Fatalf("%q: %d entries of %d keys", data, n, keys)
		}
	})
}
