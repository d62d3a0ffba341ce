package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	s := summarize("ms", []float64{4, 1, 3, 2})
	if s.Min != 1 || s.Q1 != 1.75 || s.Median != 2.5 || s.Q3 != 3.25 || s.Max != 4 || !slices.Equal(s.All, []float64{4, 1, 3, 2}) {
		t.Errorf("%+v", s)
	}
	if s := summarize("ms", []float64{7}); s.Min != 7 || s.Median != 7 || s.Max != 7 {
		t.Errorf("one value: %+v", s)
	}
}

func TestSignTest(t *testing.T) {
	for _, c := range []struct {
		a, b int
		want float64
	}{{0, 0, 1}, {5, 5, 1}, {0, 5, 0.0625}, {1, 9, 0.021484375}, {9, 1, 0.021484375}, {0, 100, 1.5777218e-30}} {
		if got := signTest(c.a, c.b); math.Abs(got-c.want) > 1e-6*c.want+1e-40 {
			t.Errorf("%d to %d: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	// Rounds of which some are slow for both, as when something else runs: the ratios stay.
	var a, b []float64
	for i := range 20 {
		slow := 1 + float64(i%5)
		a, b = append(a, 5*slow*(1+float64(i%3)/100)), append(b, 10*slow)
	}
	r := compare(a, b)
	if r.Median < 0.5 || r.Median > 0.52 || r.Low > r.Median || r.High < r.Median || r.High > 0.52 || r.Less != 20 || r.Rounds != 20 || r.P > 1e-5 {
		t.Errorf("%+v", r)
	}
	if again := compare(a, b); again != r {
		t.Errorf("the same figures give %+v and %+v", r, again)
	}
	if same := compare(a, a); same.Median != 1 || same.P != 1 || same.Less != 0 {
		t.Errorf("alike: %+v", same)
	}
	if none := compare([]float64{1}, []float64{0}); none.Rounds != 0 {
		t.Errorf("by zero: %+v", none)
	}
}

// fixed is a variant that gives values in turn and writes down its calls.
func fixed(calls *[]string, name string, values ...float64) Variant {
	i := 0
	note := func(what string) func(context.Context) error {
		return func(context.Context) error { *calls = append(*calls, what+name); return nil }
	}
	return Variant{
		Name: name, Prepare: note("+"), Cleanup: note("-"),
		Run: func(context.Context) ([]Figure, error) {
			*calls = append(*calls, name)
			v := values[i%len(values)]
			i++
			if v < 0 {
				return nil, errors.New("it broke")
			}
			return []Figure{{Name: "wall", Unit: "ms", Value: v}}, nil
		},
	}
}

func TestRun(t *testing.T) {
	var calls []string
	b := Benchmark{
		Name: "work", Says: "some work", Runs: 4,
		Variants: []Variant{
			fixed(&calls, "a", 100, 10, 20, 30, 40), fixed(&calls, "b", 100, 5, -1, 15, 20), {Name: "c", Missing: "no such program"},
			{Name: "d", Prepare: func(context.Context) error { return errors.New("no room") }, Run: fixed(&calls, "d", 1).Run},
		},
		Budgets: []Budget{
			{Variant: "b", Figure: "wall", Against: "a", AtMost: 0.5}, {Variant: "b", Figure: "wall", AtMost: 14},
			{Variant: "c", Figure: "wall", AtMost: 1}, {Variant: "b", Figure: "other", AtMost: 1},
		},
	}
	var log bytes.Buffer
	report, err := Run(t.Context(), []Benchmark{b}, Options{Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(calls, " "); got != "+a +b a b a b a b a b a b -a -b" {
		t.Errorf("calls: %s", got)
	}
	r := report.Benchmarks[0]
	if a := r.Variants[0].Figures["wall"]; !slices.Equal(a.All, []float64{10, 20, 30, 40}) {
		t.Errorf("a, without the warm-up: %+v", a)
	}
	if v := r.Variants[1]; len(v.Figures["wall"].All) != 3 || len(v.Errors) != 1 {
		t.Errorf("b: %+v", v)
	}
	if v := r.Variants[3]; len(v.Figures) != 0 || len(v.Errors) != 1 || !strings.Contains(v.Errors[0], "no room") {
		t.Errorf("d: %+v", v)
	}
	// Of the second round only a's figure is there: it makes no pair.
	if ratio := r.Ratios[0]; len(r.Ratios) != 1 || ratio.Variant != "b" || ratio.Median != 0.5 || ratio.Rounds != 3 || ratio.Less != 3 {
		t.Errorf("ratios: %+v", r.Ratios)
	}
	if len(r.Budgets) != 2 || !r.Budgets[0].Met || r.Budgets[0].Value != 0.5 || r.Budgets[1].Met || r.Budgets[1].Value != 15 {
		t.Errorf("budgets: %+v", r.Budgets)
	}

	var table bytes.Buffer
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"work: some work", "not run: c: no such program", "failed: b, 1 times; the last: it broke", "0.500 to 0.500", "3 of 3",
		"met: wall of b at most 0.500 of a: it is 0.500", "NOT MET: wall of b at most 14.0 ms: it is 15.0",
		"\n1 of 2 budgets are met\n  not measured: work/c\n  not measured: work/d\n  NOT MET: work: wall of b at most 14.0 ms: it is 15.0\n",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
	path := filepath.Join(t.TempDir(), "new", "bench.json")
	if err := report.WriteJSON(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil || fmt.Sprint(again) != fmt.Sprint(*report) {
		t.Errorf("the JSON gives another report (%v):\n%v\n%v", err, again, *report)
	}
}

// A variant that always fails is given up, and the others go on.
func TestRunGivesUp(t *testing.T) {
	var calls []string
	report, err := Run(t.Context(), []Benchmark{{Name: "x", Variants: []Variant{fixed(&calls, "a", 1), fixed(&calls, "b", -1)}}}, Options{Runs: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(strings.Join(calls, " "), "b"); got != maxFailures+2 {
		t.Errorf("b ran %d times: %q", got, calls)
	}
	if v := report.Benchmarks[0].Variants; len(v[0].Figures["wall"].All) != 10 || len(v[1].Errors) != maxFailures {
		t.Errorf("%+v", v)
	}
}

func TestOnly(t *testing.T) {
	for _, c := range []struct{ only, variants, want string }{
		{"", "", "x: a b c, y: a b"}, {"^x$", "", "x: a b c"}, {"x|y", "b", "x: a b, y: a b"}, {"", "c", "x: a c"}, {"none", "", ""},
	} {
		o := Options{}
		if c.only != "" {
			o.Only = regexp.MustCompile(c.only)
		}
		if c.variants != "" {
			o.Variants = regexp.MustCompile(c.variants)
		}
		var calls []string
		report, err := Run(t.Context(), []Benchmark{
			{Name: "x", Runs: 1, Variants: []Variant{fixed(&calls, "a", 1), fixed(&calls, "b", 1), fixed(&calls, "c", 1)}},
			{Name: "y", Runs: 1, Variants: []Variant{fixed(&calls, "a", 1), fixed(&calls, "b", 1)}},
		}, o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range report.Benchmarks {
			words := []string{b.Name + ":"}
			for _, v := range b.Variants {
				words = append(words, v.Name)
			}
			got = append(got, strings.Join(words, " "))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%q/%q: %q, want %q", c.only, c.variants, got, c.want)
		}
	}
}

// An interrupt ends the rounds, and Cleanup still runs, with a context that has not ended.
func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cleaned := false
	report, err := Run(ctx, []Benchmark{{Name: "x", Variants: []Variant{{
		Name: "a",
		Run: func(context.Context) ([]Figure, error) {
			cancel(why)
			return []Figure{{Name: "wall", Value: 1}}, nil
		},
		Cleanup: func(ctx context.Context) error { cleaned = ctx.Err() == nil; return nil },
	}}}, {Name: "y", Variants: []Variant{{Name: "a"}}}}, Options{Runs: 1000})
	if !errors.Is(err, why) || !cleaned || len(report.Benchmarks) != 1 {
		t.Errorf("%v, cleaned %v, %d benchmarks", err, cleaned, len(report.Benchmarks))
	}
}

func TestDescribeMachine(t *testing.T) {
	m := DescribeMachine()
	if m.Cores < 1 || m.Kernel == "" || m.MemoryMiB < 16 {
		t.Errorf("%+v", m)
	}
	m.Versions = []Version{{"dockerd", "26.1"}}
	if text := m.String(); !strings.Contains(text, m.Kernel) || !strings.Contains(text, "\ndockerd: 26.1") {
		t.Errorf("%s", text)
	}
}
