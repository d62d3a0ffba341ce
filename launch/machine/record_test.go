package machine

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestRecords(t *testing.T) {
	for name, c := range map[string]struct {
		level Level
		text  string
		want  []string
	}{
		"a line":             {Info, "hello", []string{"<6>dockerlaunch: hello\n"}},
		"the end of a line":  {Warning, "hello\r\n", []string{"<4>dockerlaunch: hello\n"}},
		"two lines":          {Error, "a\nb", []string{"<3>dockerlaunch: a\n", "<3>dockerlaunch: b\n"}},
		"empty":              {Debug, "", []string{"<7>dockerlaunch: \n"}},
		"a terminal's codes": {Info, "\x1b[2Jü\t\x7f", []string{`<6>dockerlaunch: \x1b[2Jü` + "\t" + `\x7f` + "\n"}},
		"a level too high":   {Level(99), "x", []string{"<7>dockerlaunch: x\n"}},
		"a level too low":    {Level(-1), "x", []string{"<0>dockerlaunch: x\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Records(c.level, c.text)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRecordsAreCutBetweenCharacters(t *testing.T) {
	for shift := range 4 {
		text := strings.Repeat("x", shift) + strings.Repeat("\U0001F40B", 700)
		var joined string
		records := Records(Info, text)
		for i, r := range records {
			if len(r) > RecordLimit || !utf8.ValidString(r) {
				t.Fatalf("record %d of %d bytes: %q", i, len(r), r)
			}
			if i < len(records)-1 && len(r) <= RecordLimit-utf8.UTFMax {
				t.Errorf("record %d is cut too early, at %d", i, len(r))
			}
			joined += strings.TrimSuffix(strings.TrimPrefix(r, "<6>"+Prefix), "\n")
		}
		if joined != text {
			t.Errorf("shift %d: the text changed", shift)
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add("hello\nworld", 6)
	f.Add(strings.Repeat("ä", 1000), 3)
	f.Add(strings.Repeat("\n", 200), 3)
	f.Add(strings.Repeat("\xff", 100_000), 3)
	f.Fuzz(func(t *testing.T, text string, level int) {
		records := Records(Level(level), text)
		if len(records) == 0 || len(records) > maxRecords {
			t.Fatalf("%d records", len(records))
		}
		for _, r := range records {
			if len(r) > RecordLimit || strings.ContainsAny(r, "\r\x00\x1b") || strings.Index(r, "\n") != len(r)-1 || utf8.ValidString(text) && !utf8.ValidString(r) {
				t.Fatalf("record %q", r)
			}
		}
		for _, line := range Lines(text) {
			if len(line) > RecordLimit || strings.Index(line, "\n") != len(line)-1 {
				t.Fatalf("line %q", line)
			}
		}
	})
}

func TestVerbosity(t *testing.T) {
	words := strings.Fields
	for line, want := range map[string]Verbosity{
		"":                         {Info, Info, 7},
		"console=ttyS0 quiet":      {Warning, Info, 7},
		"quiet debug":              {Debug, Debug, 7},
		"debug quiet":              {Warning, Info, 7},
		"loglevel=5":               {Warning, Info, 7},
		"loglevel=0":               {Error, Info, 7},
		"loglevel=8":               {Debug, Debug, 7},
		"loglevel=0x7":             {Info, Info, 7},
		"loglevel=":                {Info, Info, 7},
		"loglevel=999999999999999": {Info, Info, 7},
		"ignore_loglevel":          {Debug, Debug, 7},
		"-- debug":                 {Info, Info, 7},
	} {
		if got := ParseVerbosity(words(line), 7); got != want {
			t.Errorf("%q: %+v, want %+v", line, got, want)
		}
	}
}

// Every message that is to be seen is seen once, by the kernel's printing or the launcher's.
func TestRoute(t *testing.T) {
	for _, line := range []string{"", "quiet", "debug", "loglevel=3"} {
		for kernel := range 9 {
			v := ParseVerbosity(strings.Fields(line), kernel)
			for level := Emergency; level <= Debug; level++ {
				for _, kmsg := range []bool{false, true} {
					toKmsg, toConsole := v.Route(level, kmsg)
					printed := toKmsg && int(level) < kernel
					if toKmsg && !kmsg || printed && toConsole || level <= v.Console && !printed && !toConsole {
						t.Errorf("%q, kernel %d, level %d, kmsg %v: to kmsg %v, to console %v", line, kernel, level, kmsg, toKmsg, toConsole)
					}
				}
			}
		}
	}
}

func FuzzCommandLineWords(f *testing.F) {
	f.Add("quiet loglevel=3 sysctl.vm.max_map_count=1 sysctl/net/ipv4/ip_forward=1")
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		if v := ParseVerbosity(words, 7); v.Console < Error || v.Console > Debug {
			t.Errorf("%q: %+v", line, v)
		}
		for _, s := range CommandLineSysctls(words) {
			if name, err := SysctlName(s.Name); err != nil || name != s.Name && strings.Contains(name, "/") {
				t.Errorf("%q: %q, %v", line, s.Name, err)
			}
		}
	})
}
