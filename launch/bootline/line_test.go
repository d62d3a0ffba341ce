package bootline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func kv(key, value string) Word { return Word{key, value, true} }

func TestParse(t *testing.T) {
	for text, want := range map[string]Line{
		"":                        {},
		" \t\n":                   {},
		"quiet":                   {Words: []Word{{Key: "quiet"}}},
		"  a  b=c\td= \n":         {Words: []Word{{Key: "a"}, kv("b", "c"), kv("d", "")}},
		"a=b=c":                   {Words: []Word{kv("a", "b=c")}},
		`a="b c" d`:               {Words: []Word{kv("a", "b c"), {Key: "d"}}},
		`"a=b c" d`:               {Words: []Word{kv("a", "b c"), {Key: "d"}}},
		`"a b"`:                   {Words: []Word{{Key: "a b"}}},
		`a=b" c"d`:                {Words: []Word{kv("a", `b" c"d`)}},
		`a="b"c`:                  {Words: []Word{kv("a", `b"c`)}},
		`a="b c`:                  {Words: []Word{kv("a", "b c")}},
		`"a="b c"`:                {Words: []Word{kv("a", "b"), {Key: `c"`}}},
		`a=""`:                    {Words: []Word{kv("a", "")}},
		`a="`:                     {Words: []Word{kv("a", "")}},
		`"`:                       {Words: []Word{{Key: ""}}},
		`""`:                      {Words: []Word{{Key: ""}}},
		`a=\"b c\"`:               {Words: []Word{kv("a", `\"b c\"`)}},
		"=a":                      {Words: []Word{{Key: "=a"}}},
		"=a=b":                    {Words: []Word{kv("=a", "b")}},
		"a\xa0b":                  {Words: []Word{{Key: "a"}, {Key: "b"}}},
		"a -- b c=d":              {Words: []Word{{Key: "a"}}, InitArgs: []string{"b", "c=d"}},
		`-- "a b" c="d e" -- f`:   {InitArgs: []string{"a b", "c=d e", "--", "f"}},
		"--=x y":                  {Words: []Word{kv("--", "x"), {Key: "y"}}},
		`a "--" b`:                {Words: []Word{{Key: "a"}}, InitArgs: []string{"b"}},
		"a\x00b":                  {Words: []Word{{Key: "a"}}},
		"module.param=1 console=": {Words: []Word{kv("module.param", "1"), kv("console", "")}},
	} {
		if diff := cmp.Diff(want, Parse(text)); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", text, diff)
		}
	}
}

func TestKernelParameters(t *testing.T) {
	l := Parse("root=/dev/vda root=LABEL=x rootflags=subvol=a,noatime rootfstype=ext4,xfs ro rootwait=7 rootdelay=3 panic=-1 " +
		"console=tty0 console=ttyS0,115200n8 debug quiet init=/bin/x -- init=/bin/y one")
	if got := l.Root() + " " + l.RootFlags() + " " + l.RootFSType(); got != "LABEL=x subvol=a,noatime ext4,xfs" {
		t.Errorf("root is %s", got)
	}
	if !l.RootReadOnly() || Parse("ro rw=no rw").RootReadOnly() || !Parse("").RootReadOnly() {
		t.Error("ro and rw are confused")
	}
	if wait, limit, err := l.RootWait(); !wait || limit != 7*time.Second || err != nil {
		t.Errorf("rootwait: %v %v %v", wait, limit, err)
	}
	if wait, limit, err := Parse("rootwait").RootWait(); !wait || limit != 0 || err != nil {
		t.Errorf("rootwait alone: %v %v %v", wait, limit, err)
	}
	if _, _, err := Parse("rootwait=x").RootWait(); err == nil {
		t.Error("rootwait=x is no error")
	}
	if d, err := l.RootDelay(); d != 3*time.Second || err != nil {
		t.Errorf("rootdelay: %v %v", d, err)
	}
	if d, err := Parse("rootdelay=-3").RootDelay(); d != 0 || err == nil {
		t.Errorf("rootdelay=-3: %v %v", d, err)
	}
	want := []Console{{"tty0", ""}, {"ttyS0", "115200n8"}}
	if diff := cmp.Diff(want, l.Consoles()); diff != "" {
		t.Error(diff)
	}
	if !l.Quiet() || l.Debug() || !Parse("quiet debug").Debug() || Parse("").Quiet() {
		t.Error("the last of quiet and debug has to decide")
	}
	if diff := cmp.Diff([]string{"init=/bin/y", "one"}, l.InitArgs); diff != "" {
		t.Error(diff)
	}
	if v, _ := l.Get("init"); v != "/bin/x" {
		t.Errorf("init is %s: what stands behind -- is not the kernel's", v)
	}
	if !Parse("log-buf_len=1").Has("log_buf-len") {
		t.Error("- and _ differ")
	}
}

func TestPanic(t *testing.T) {
	for text, want := range map[string]struct {
		seconds int
		set, ok bool
	}{
		"":                  {0, false, true},
		"panic=10":          {10, true, true},
		"panic=10 panic=0":  {0, true, true},
		"panic=-1":          {-1, true, true},
		"panic=+5":          {5, true, true},
		"panic=0x10":        {16, true, true},
		"panic=010":         {8, true, true},
		"panic=08":          {0, false, false},
		"panic=1_0":         {0, false, false},
		"panic=":            {0, false, false},
		"panic":             {0, false, false},
		"panic=99999999999": {0, false, false},
	} {
		seconds, set, err := Parse(text).Panic()
		if seconds != want.seconds || set != want.set || (err == nil) != want.ok {
			t.Errorf("%q: %d, %v, %v", text, seconds, set, err)
		}
		if err != nil && !strings.Contains(err.Error(), "panic=") {
			t.Errorf("the error does not name the parameter: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`a="b c" "d e=f" -- g`, `"`, `=`, `a=""b" c`, "\xa0", `dockerlaunch.x="`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := Parse(text)
		total := 0
		for _, w := range l.Words {
			total += len(w.Key) + len(w.Value)
			if !w.HasValue && w.Value != "" || w.Key == "--" && !w.HasValue {
				t.Fatalf("%q gave the word %+v", text, w)
			}
		}
		for _, a := range l.InitArgs {
			total += len(a)
		}
		if total > len(text) {
			t.Fatalf("%q became longer: %+v", text, l)
		}
		for _, o := range l.Options() {
			if o.Key == "" || strings.Contains(o.Key, "_") {
				t.Fatalf("%q gave the option %+v", text, o)
			}
		}
		// What is read only by its number must not panic either.
		_, _, _ = l.Panic()
		_, _, _ = l.RootWait()
		_, _ = l.RootDelay()
	})
}
