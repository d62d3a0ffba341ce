package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"
)

// Options say what is run and how often.
type Options struct {
	// Only chooses benchmarks, and Variants among theirs; nil takes all. The base of a benchmark runs whenever another of its
	// variants does.
	Only, Variants *regexp.Regexp
	// Runs replaces the benchmarks' own numbers of rounds where it is not zero.
	Runs int
	// Log gets a line for each benchmark and each failure as they come; nil drops them.
	Log io.Writer
}

// Run runs the benchmarks one after the other. Failures of variants are in the report; the error is that of ctx, and the
// report then holds what was measured before.
func Run(ctx context.Context, benchmarks []Benchmark, o Options) (*Report, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	report := &Report{Machine: DescribeMachine(), Benchmarks: []Result{}}
	begin := time.Now()
	for _, b := range benchmarks {
		if variants := o.choose(b); len(variants) > 0 && ctx.Err() == nil {
			b.Variants = variants
			report.Benchmarks = append(report.Benchmarks, runOne(ctx, b, o))
		}
	}
	report.TookSeconds = time.Since(begin).Seconds()
	if ctx.Err() != nil {
		return report, fmt.Errorf("the benchmarks were ended: %w", context.Cause(ctx))
	}
	return report, nil
}

func (b *Benchmark) base() string {
	if b.Base != "" || len(b.Variants) == 0 {
		return b.Base
	}
	return b.Variants[0].Name
}

func (o *Options) choose(b Benchmark) []Variant {
	if o.Only != nil && !o.Only.MatchString(b.Name) {
		return nil
	}
	if o.Variants == nil {
		return b.Variants
	}
	if !slices.ContainsFunc(b.Variants, func(v Variant) bool { return o.Variants.MatchString(v.Name) }) {
		return nil
	}
	var chosen []Variant
	for _, v := range b.Variants {
		if v.Name == b.base() || o.Variants.MatchString(v.Name) {
			chosen = append(chosen, v)
		}
	}
	return chosen
}

// maxFailures is after how many failed rounds a variant is given up.
const maxFailures = 3

// lane is a variant at work.
type lane struct {
	Variant
	result VariantResult
	rounds [][]Figure // nil for a round that failed
	out    bool
}

func runOne(ctx context.Context, b Benchmark, o Options) Result {
	runs, warmup := b.Runs, b.Warmup
	if runs == 0 {
		runs = 15
	}
	if o.Runs > 0 {
		runs = o.Runs
	}
	if warmup == 0 {
		warmup = 1
	}
	fmt.Fprintf(o.Log, "%s: %s; %d rounds of %d variants\n", b.Name, b.Says, runs, len(b.Variants))
	lanes := make([]*lane, len(b.Variants))
	for i, v := range b.Variants {
		lanes[i] = &lane{Variant: v, result: VariantResult{Name: v.Name, Missing: v.Missing, Figures: map[string]Summary{}}, out: v.Missing != ""}
	}
	defer func() {
		for _, l := range lanes {
			if l.Cleanup != nil && l.Missing == "" {
				if err := l.Cleanup(context.WithoutCancel(ctx)); err != nil {
					fmt.Fprintf(o.Log, "%s/%s: cleaning up: %v\n", b.Name, l.Name, err)
				}
			}
		}
	}()
	for _, l := range lanes {
		if !l.out && l.Prepare != nil {
			if err := l.Prepare(ctx); err != nil {
				l.out = true
				l.fail(o.Log, b.Name, fmt.Errorf("preparing: %w", err))
			}
		}
	}
	for round := range warmup + runs {
		for _, l := range lanes {
			l.round(ctx, o.Log, b.Name, round < warmup)
		}
		if ctx.Err() != nil || !slices.ContainsFunc(lanes, func(l *lane) bool { return !l.out }) {
			break
		}
	}
	return conclude(b, lanes)
}

func (l *lane) round(ctx context.Context, log io.Writer, name string, warmup bool) {
	var figures []Figure
	if !l.out && ctx.Err() == nil {
		var err error
		figures, err = l.Run(ctx)
		if err == nil && len(figures) == 0 {
			err = errors.New("the run measured nothing")
		}
		if err != nil && ctx.Err() == nil {
			figures = nil
			l.fail(log, name, err)
			l.out = len(l.result.Errors) >= maxFailures
		}
	}
	if !warmup {
		l.rounds = append(l.rounds, figures)
	}
}

func (l *lane) fail(log io.Writer, name string, err error) {
	l.result.Errors = append(l.result.Errors, err.Error())
	fmt.Fprintf(log, "%s/%s: %v\n", name, l.Name, err)
}

// conclude makes the result of what was measured.
func conclude(b Benchmark, lanes []*lane) Result {
	result := Result{Name: b.Name, Says: b.Says, Base: b.base(), Variants: []VariantResult{}, Ratios: []Ratio{}, Budgets: []BudgetResult{}}
	var names []string
	for _, l := range lanes {
		values := map[string][]float64{}
		units := map[string]string{}
		for _, figures := range l.rounds {
			for _, f := range figures {
				values[f.Name] = append(values[f.Name], f.Value)
				units[f.Name] = f.Unit
				if !slices.Contains(names, f.Name) {
					names = append(names, f.Name)
				}
			}
		}
		for name := range values {
			l.result.Figures[name] = summarize(units[name], values[name])
		}
		result.Variants = append(result.Variants, l.result)
	}
	result.Figures = names
	base := slices.IndexFunc(lanes, func(l *lane) bool { return l.Name == result.Base })
	for _, l := range lanes {
		if base < 0 || l.Name == result.Base {
			continue
		}
		for _, name := range names {
			if r, ok := ratio(l, lanes[base], name); ok {
				result.Ratios = append(result.Ratios, r)
			}
		}
	}
	for _, budget := range b.Budgets {
		if r, ok := judge(budget, lanes); ok {
			result.Budgets = append(result.Budgets, r)
		}
	}
	return result
}

// ratio compares the rounds in which both variants gave a figure.
func ratio(a, b *lane, figure string) (Ratio, bool) {
	value := func(figures []Figure) (float64, bool) {
		i := slices.IndexFunc(figures, func(f Figure) bool { return f.Name == figure })
		if i < 0 {
			return 0, false
		}
		return figures[i].Value, true
	}
	var left, right []float64
	for i := range min(len(a.rounds), len(b.rounds)) {
		x, okX := value(a.rounds[i])
		y, okY := value(b.rounds[i])
		if okX && okY {
			left, right = append(left, x), append(right, y)
		}
	}
	r := compare(left, right)
	r.Figure, r.Variant, r.Against = figure, a.Name, b.Name
	return r, r.Rounds > 0
}

// judge compares a figure with its budget; false where it was not measured.
func judge(budget Budget, lanes []*lane) (BudgetResult, bool) {
	r := BudgetResult{Variant: budget.Variant, Figure: budget.Figure, Against: budget.Against, AtMost: budget.AtMost}
	find := func(name string) *lane {
		if i := slices.IndexFunc(lanes, func(l *lane) bool { return l.Name == name }); i >= 0 {
			return lanes[i]
		}
		return nil
	}
	l := find(budget.Variant)
	if l == nil {
		return r, false
	}
	s, ok := l.result.Figures[budget.Figure]
	if !ok {
		return r, false
	}
	r.Value, r.Unit = s.Median, s.Unit
	if budget.Against != "" {
		other := find(budget.Against)
		if other == nil {
			return r, false
		}
		compared, ok := ratio(l, other, budget.Figure)
		if !ok {
			return r, false
		}
		r.Value, r.Unit = compared.Median, ""
	}
	r.Met = r.Value <= budget.AtMost
	return r, true
}
