package daemon

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestParseArgs(t *testing.T) {
	args := words("-H=unix:///a -Hunix:///b -H unix:///c --host tcp://d --host=fd:// -Dl debug --tls=false --label -D --label=a=b " +
		"--data-root /one --data-root /two -p _ --tomorrow value --later=x -Zx --userland-proxy --config-file F -- -H")
	s := ParseArgs(args)
	if got, want := s.Values("host"), words("unix:///a unix:///b unix:///c tcp://d fd://"); !slices.Equal(got, want) {
		t.Errorf("hosts %q, want %q", got, want)
	}
	if got, want := s.Values("label"), words("-D a=b"); !slices.Equal(got, want) {
		t.Errorf("labels %q, want %q", got, want)
	}
	for option, want := range map[string]string{
		"debug": "true", "log-level": "debug", "tls": "false", "data-root": "/two", "pidfile": "", "userland-proxy": "true", "config-file": "F",
	} {
		if got, ok := s.Value(option); !ok || got != want || !s.Has(option) {
			t.Errorf("%s is %q, %v; want %q", option, got, ok, want)
		}
	}
	for option, want := range map[string][2]bool{"debug": {true, true}, "tls": {false, true}, "userland-proxy": {true, true}, "iptables": {false, false}} {
		value, ok := s.Bool(option)
		if got := [2]bool{value, ok}; got != want {
			t.Errorf("%s is %v, want %v", option, got, want)
		}
	}
	for _, option := range []string{"iptables", "tomorrow", "later", "H", ""} {
		if s.Has(option) || s.Values(option) != nil || s.Where(option) != "" {
			t.Errorf("%q is said", option)
		}
	}
	var unknown []string
	for _, one := range s.Unknown() {
		unknown = append(unknown, one.Written+"|"+one.Value)
	}
	if want := []string{"--tomorrow|value", "--later=x|x", "-Zx|"}; !slices.Equal(unknown, want) {
		t.Errorf("unknown %q, want %q", unknown, want)
	}
	if got := s.Operands(); !slices.Equal(got, []string{"-H"}) {
		t.Errorf("operands %q", got)
	}
	if wrong := s.Wrong(); len(wrong) > 0 {
		t.Errorf("wrong: %+v", wrong)
	}
	for option, want := range map[string]string{"host": "--host", "debug": "-D", "log-level": "-l", "tls": "--tls", "pidfile": "-p"} {
		if got := s.Where(option); got != want+" on the command line" {
			t.Errorf("where %s: %q", option, got)
		}
	}
	if got := ParseArgs([]string{"-Hunix:///a"}).Where("host"); got != "-H on the command line" {
		t.Errorf("where -Hunix:///a: %q", got)
	}
	if got := ParseArgs([]string{"-H=unix:///a"}).Where("host"); got != "-H on the command line" {
		t.Errorf("where -H=unix:///a: %q", got)
	}
}

func TestParseArgsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"--debug=maybe": "neither true nor false", "--mtu many": "not a number", "--mtu": "missing", "-Ds": "missing", "-D=2": "neither",
		"--=x": "bad flag", "---debug": "bad flag", "--mtu=0x500": "", "--debug=T": "", "--icc=": "neither", "--debug": "", "--no-such=1": "",
	} {
		wrong := ParseArgs(words(line)).Wrong()
		if (want == "") != (len(wrong) == 0) || want != "" && !strings.Contains(wrong[0].Wrong, want) {
			t.Errorf("%q: %+v, want %q", line, wrong, want)
		}
	}
}

func TestConfigFile(t *testing.T) {
	for line, want := range map[string]string{"": DefaultConfigFile, "--config-file /x": "/x", "--config-file=": ""} {
		path, explicit := ParseArgs(words(line)).ConfigFile()
		if path != want || explicit != (line != "") {
			t.Errorf("%q: %q, %v", line, path, explicit)
		}
	}
}

// oracle is pflag with dockerd's options: what it reads is what dockerd reads.
func oracle(args []string) (options []string, operands []string, err error) {
	set := pflag.NewFlagSet("dockerd", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	for _, o := range Options() {
		if o.Bool() {
			set.BoolP(o.Name, o.Short, false, "")
		} else {
			set.StringP(o.Name, o.Short, "", "")
		}
	}
	err = set.ParseAll(args, func(flag *pflag.Flag, value string) error {
		options = append(options, flag.Name+"="+value)
		return nil
	})
	return options, set.Args(), err
}

func checkAgainstOracle(t *testing.T, args []string) {
	t.Helper()
	for _, arg := range args {
		if strings.HasPrefix(arg, "-test.") {
			return // pflag lets these through for go test's sake
		}
	}
	s := ParseArgs(args)
	want, operands, err := oracle(args)
	if err != nil {
		refused := len(s.Unknown()) > 0
		for _, one := range s.Wrong() {
			refused = refused || strings.Contains(one.Wrong, "missing") || strings.Contains(one.Wrong, "bad flag")
		}
		if !refused {
			t.Fatalf("%q: pflag says %v, and ParseArgs nothing", args, err)
		}
		return
	}
	var got []string
	for _, one := range s.All() {
		got = append(got, one.Option+"="+one.Value)
	}
	if !slices.Equal(got, want) || !slices.Equal(s.Operands(), operands) {
		t.Fatalf("%q is read as %q and %q; pflag: %q and %q", args, got, s.Operands(), want, operands)
	}
}

func FuzzParseArgs(f *testing.F) {
	for _, s := range []string{"-Dl debug --tls=false", "-H=unix:// -Hfd:// -H x y -- -z", "--label -D --host", "-vh", "-D=false -s=", "--foo bar -Zg /x", "--=x --- -"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		checkAgainstOracle(t, args)
		for _, d := range []dialect{todayDialect, dockerdDialect, clientDialect} {
			next := 0 // every word is in a token, in order
			for _, tok := range tokenize(args, d) {
				if tok.first > next || tok.first < next-1 || tok.last < tok.first || tok.last-tok.first > 1 {
					t.Fatalf("%q: token %+v behind word %d", args, tok, next)
				}
				next = max(next, tok.last+1)
			}
			if next != len(args) {
				t.Fatalf("%q: %d words read", args, next)
			}
		}
	})
}

func TestTooNew(t *testing.T) {
	s := ParseArgs(words("--firewall-backend=nftables --log-format json -D --oom-score-adjust=1 --no-such"))
	for v, want := range map[string][]string{
		"": nil, "29.0.0": nil, "29.0.0-rc.1": nil, "dev": nil, "25.0.0": {"firewall-backend"}, "20.10.24": {"firewall-backend", "log-format"},
	} {
		var got []string
		for _, one := range s.TooNew(version(t, v)) {
			got = append(got, one.Option)
		}
		if !slices.Equal(got, want) {
			t.Errorf("dockerd %q: %q, want %q", v, got, want)
		}
	}
}
