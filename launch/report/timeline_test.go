package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func captured(t testing.TB, name string) *Run {
	t.Helper()
	r, err := Read(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"container", "machine", "failed"} {
		r := captured(t, name)
		var text, svg bytes.Buffer
		if err := errors.Join(r.WriteText(&text, Style{Width: 100}), r.WriteSVG(&svg)); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", text.Bytes())
		golden(t, name+".svg", svg.Bytes())
	}
	var text bytes.Buffer
	if err := captured(t, "machine").WriteText(&text, Style{Width: 60, ASCII: true, Color: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "machine-60-ascii-color.txt", text.Bytes())
}

// Every width gives lines that fit into it, and aligned columns.
func TestTextWidth(t *testing.T) {
	for _, name := range []string{"container", "machine", "failed"} {
		r := captured(t, name)
		for width := range 300 {
			var b bytes.Buffer
			if err := r.WriteText(&b, Style{Width: width}); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			drawn := lines[1 : 2+len(r.timeline().lines)]
			for _, l := range drawn {
				if n := utf8.RuneCountInString(l); n > max(width, minWidth) {
					t.Fatalf("%s, width %d: %d columns: %q", name, width, n, l)
				}
			}
		}
	}
}

func TestNoColorWithoutAsking(t *testing.T) {
	var b bytes.Buffer
	if err := captured(t, "machine").WriteText(&b, Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("escape sequences:\n%q", b.String())
	}
}

// wellFormed reads a whole document of XML.
func wellFormed(data []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// What a report of somebody else's holds is neither markup nor an escape sequence, and no number is too large.
func TestHostile(t *testing.T) {
	evil := "</text><script>alert(1)</script>&\x1b[31m\x00\xff\u2028\ufffe\"'"
	r := &Run{
		Version: evil, Kernel: evil, Habitat: evil, Boot: math.MaxInt64, Ready: math.MinInt64, Error: evil,
		Steps: []Step{
			{Name: evil, Lane: evil, Outcome: "failed", Reason: evil, Began: math.MaxInt64, Took: math.MaxInt64},
			{Name: "", Lane: "", Outcome: "warned", Began: math.MinInt64, Took: math.MinInt64},
		},
		Events: []Event{{Who: evil, What: evil, At: math.MaxInt64}, {At: math.MinInt64}, {Who: evil}},
	}
	var text, svg bytes.Buffer
	if err := errors.Join(r.WriteText(&text, Style{}), r.WriteSVG(&svg)); err != nil {
		t.Fatal(err)
	}
	if err := wellFormed(svg.Bytes()); err != nil {
		t.Errorf("%v:\n%s", err, svg.String())
	}
	if strings.Contains(svg.String(), "<script") || strings.ContainsAny(text.String(), "\x1b\x00") {
		t.Errorf("markup or control characters got through:\n%q\n%s", text.String(), svg.String())
	}
	for _, empty := range []*Run{{}, {Boot: time.Second}, {Ready: 1}} {
		if err := errors.Join(empty.WriteText(&text, Style{}), empty.WriteSVG(&svg)); err != nil {
			t.Error(err)
		}
	}
}

func TestTick(t *testing.T) {
	for whole, want := range map[time.Duration]time.Duration{
		0: time.Millisecond / 10, time.Millisecond: time.Millisecond / 10, 372 * time.Millisecond: 50 * time.Millisecond,
		3 * time.Second: 500 * time.Millisecond, 2 * timeLimit: 1e15,
	} {
		if got := tick(whole); got != want {
			t.Errorf("%v: %v, want %v", whole, got, want)
		}
	}
}

func FuzzTimeline(f *testing.F) {
	for _, name := range []string{"container", "machine", "failed"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 80)
	}
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		r, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		var text, svg bytes.Buffer
		if err := errors.Join(r.WriteText(&text, Style{Width: min(width, 1000)}), r.WriteSVG(&svg)); err != nil {
			t.Fatal(err)
		}
		if err := wellFormed(svg.Bytes()); err != nil {
			t.Fatalf("%v:\n%s", err, svg.String())
		}
		if want := 2 + len(r.timeline().lines) + len(r.timeline().notes); strings.Count(text.String(), "\n") != want {
			t.Fatalf("not %d lines:\n%s", want, text.String())
		}
	})
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{{"", 5, ""}, {"abcde", 5, "abcde"}, {"abcdef", 5, "abc.."}, {"äöüßéñ", 5, "äöü.."}, {"abcdefghij", 4, "ab.."}} {
		if got := cut(test.text, test.limit); got != test.want {
			t.Errorf("cut(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}
