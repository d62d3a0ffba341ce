package machine

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestParseHostname(t *testing.T) {
	for text, want := range map[string]string{
		"host": "host|", "a.b.c": "a|b.c", "a.b.": "a|b", "HOST-1": "HOST-1|", "3com": "3com|", "with_underscore": "with_underscore|",
		strings.Repeat("a", 63): strings.Repeat("a", 63) + "|",
		"":                      "", ".": "", "-a": "", "a-": "", "a..b": "", "a b": "", "ä": "", "a/b": "", "a\x00b": "", "a\n": "",
		strings.Repeat("a", 64):           "",
		strings.Repeat("a.", 130):         "",
		strings.Repeat("a.", 126) + "abc": "",
	} {
		name, err := ParseHostname(text)
		if got := name.Host + "|" + name.Domain; err == nil && got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %+v, %v; want %q", text, name, err, want)
		}
	}
}

func FuzzParseHostname(f *testing.F) {
	f.Add("host.example.org.")
	f.Add("# a comment\n\nhost\n")
	f.Fuzz(func(t *testing.T, text string) {
		name, err := ParseHostname(text)
		if err == nil && (name.Host == "" || len(name.Host) > maxLabel || strings.ContainsAny(name.FQDN(), " \n\x00/") || name.FQDN() != strings.TrimSuffix(text, ".")) {
			t.Errorf("%q: %+v", text, name)
		}
		if line := EtcHostname(text); strings.ContainsAny(line, "\n") || line != strings.TrimSpace(line) {
			t.Errorf("%q: %q", text, line)
		}
	})
}

func TestChooseName(t *testing.T) {
	for _, c := range []struct {
		names    Names
		want     string
		problems int
	}{
		{Names{}, "dockerlaunch from the launcher", 0},
		{Names{Kernel: "(none)"}, "dockerlaunch from the launcher", 0},
		{Names{Kernel: "k"}, "k from the kernel", 0},
		{Names{DHCP: "d.example.org", Kernel: "k"}, "d.example.org from the DHCP server", 0},
		{Names{Etc: "e", DHCP: "d"}, "e from /etc/hostname", 0},
		{Names{Etc: "localhost", DHCP: "d"}, "d from the DHCP server", 0},
		{Names{Option: "o", Etc: "e"}, "o from the option hostname", 0},
		{Names{Option: "-o", Etc: "e e", DHCP: "d"}, "d from the DHCP server", 2},
	} {
		name, problems := c.names.Choose()
		if got := name.FQDN() + " from " + name.Source; got != c.want || len(problems) != c.problems {
			t.Errorf("%+v: %q, %q; want %q", c.names, got, problems, c.want)
		}
	}
	if got := EtcHostname("# comment\n\n  host \nother\n"); got != "host" {
		t.Errorf("/etc/hostname: %q", got)
	}
}

func TestSetHostname(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWUTS) {
		return
	}
	action := SetHostname{Name: Name{Host: "harbour", Domain: "example.org"}}
	for i, want := range []bool{false, true} {
		if kept, err := action.Apply(context.Background()); kept != want || err != nil {
			t.Errorf("Apply %d: kept %v, %v", i, kept, err)
		}
	}
	if name, err := nodeName(); name != "harbour" || err != nil {
		t.Errorf("the name is %q, %v", name, err)
	}
}
