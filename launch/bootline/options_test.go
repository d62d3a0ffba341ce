package bootline

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptions(t *testing.T) {
	got := Parse(`dockerlaunch.data=LABEL=x dockerlaunch.host_name="a b" "dockerlaunch.log-level=de bug" dockerlaunch.exec dockerlaunch.empty= ` +
		`dockerlaunch. docker.x=1 dockerlaunch.data=y -- dockerlaunch.not=ours`).Options()
	want := []Option{
		{"data", "LABEL=x", CommandLine}, {"host-name", "a b", CommandLine}, {"log-level", "de bug", CommandLine}, {"exec", "true", CommandLine},
		{"empty", "", CommandLine}, {"data", "y", CommandLine},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"data", "format", "cgroup", "without", "debug", "preload", "mtu", "bip"}
	for key, want := range map[string]string{
		"dta": "data", "dat": "data", "format_": "format", "fromat": "format", "cgroups": "cgroup", "with-out": "without",
		"debgu": "debug", "mut": "mtu", "form": "format", "mtus": "mtu",
		"nonsense": "", "x": "", "": "", "prefetch": "", strings.Repeat("data", 1000): "",
	} {
		if got := Nearest(key, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", key, got, want)
		}
	}
	if got := Nearest("log_level", []string{"log-levels", "log-level"}); got != "log-level" {
		t.Errorf("- and _ differ: %q", got)
	}
	if got := Nearest("data", nil); got != "" {
		t.Errorf("nothing is known, and the nearest is %q", got)
	}
}

func TestParseFile(t *testing.T) {
	text := `# the machine's own settings
data = LABEL=docker-data   # the disk
dockerlaunch.cgroup=v1
debug

host_name="a # b"  # comment
motto='it "is"'
empty=
url=http://x/#frag
`
	got, err := ParseFile("f", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Option{
		{"data", "LABEL=docker-data", "f:2"}, {"cgroup", "v1", "f:3"}, {"debug", "true", "f:4"}, {"host-name", "a # b", "f:6"},
		{"motto", `it "is"`, "f:7"}, {"empty", "", "f:8"}, {"url", "http://x/#frag", "f:9"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseFileErrors(t *testing.T) {
	for text, want := range map[string]error{
		"=x":                             ErrNoKey,
		"two words":                      ErrNoKey,
		"two words=x":                    ErrNoKey,
		"dockerlaunch.=x":                ErrNoKey,
		`"key"=x`:                        ErrNoKey,
		`a="b`:                           ErrQuote,
		`a='b"`:                          ErrQuote,
		`a="b" c`:                        ErrBehind,
		"a=\x00":                         ErrCharacter,
		"a=\x1b[2J":                      ErrCharacter,
		strings.Repeat("#", maxFile+1):   ErrTooLarge,
		strings.Repeat("a=b\n", maxFile): ErrTooLarge,
	} {
		options, err := ParseFile("/etc/x", strings.NewReader("good=1\n"+text+"\nalso=2\n"))
		var fe *FileError
		if !errors.Is(err, want) || !errors.As(err, &fe) || !strings.Contains(err.Error(), "/etc/x") {
			t.Errorf("%.20q: %v, want %v", text, err, want)
			continue
		}
		if fe.Line != 0 && (fe.Line != 2 || len(options) != 2) {
			t.Errorf("%.20q: line %d, and %d good lines of two", text, fe.Line, len(options))
		}
	}
	if _, err := ParseFile("f", failing{}); !errors.Is(err, errRead) {
		t.Errorf("a failing reader gave %v", err)
	}
}

var errRead = errors.New("read error")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errRead }

func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{"a=b\n#c\n", `a="b" # c`, "a='", "=\n\n", "dockerlaunch.a_b\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		options, err := ParseFile("f", strings.NewReader(text))
		if len(options) == 0 && err == nil && strings.Trim(text, " \t\r\n#") != "" && !strings.Contains(text, "#") &&
			strings.TrimSpace(text) != "" {
			t.Fatalf("%q is neither an option nor an error", text)
		}
		for _, o := range options {
			if o.Key == "" || strings.ContainsAny(o.Key, " _\t\n\"'#=") || strings.Contains(o.Value, "\n") {
				t.Fatalf("%q gave %+v", text, o)
			}
		}
	})
}
