// Package bench measures programs against each other: the variants of a benchmark run in turn, A B A B …, so that whatever
// else the machine does meets all of them alike, and what counts is the ratio within each round.
//
//	report, err := bench.Run(ctx, []bench.Benchmark{{
//		Name: "resolve", Says: "resolve a set of modules",
//		Variants: []bench.Variant{{Name: "kmod", Run: a}, {Name: "ours", Run: b}},
//		Budgets:  []bench.Budget{{Variant: "ours", Figure: "wall", Against: "kmod", AtMost: 1}},
//	}}, bench.Options{})
//	err = report.WriteTable(os.Stdout)
//
// A budget that is not met is printed as such and fails nothing: times depend on the machine. Of the program that is
// measured, the package knows nothing.
package bench

import (
	"context"
	"time"
)

// Figure is one thing that a run measured. Less is better.
type Figure struct {
	Name  string  // "ready"
	Unit  string  // "ms", "MiB"
	Value float64 // in units
}

// Millis is a figure of time.
func Millis(name string, d time.Duration) Figure {
	return Figure{Name: name, Unit: "ms", Value: float64(d) / float64(time.Millisecond)}
}

// Variant is one way to do what a benchmark measures. Only Run is required.
type Variant struct {
	Name string
	// Prepare runs once, before the first round; an error leaves the variant out, and is reported.
	Prepare func(ctx context.Context) error
	// Run is one round, and gives the same figures each time. After an error the round counts for no variant.
	Run func(ctx context.Context) ([]Figure, error)
	// Cleanup runs once at the end, also after errors, with a context that has not ended.
	Cleanup func(ctx context.Context) error
	// Missing, where it is not empty, says why the variant cannot run here. It is reported.
	Missing string
}

// Budget is an upper bound for the median of a figure.
type Budget struct {
	Variant, Figure string
	// Against names the variant that AtMost is a multiple of; where it is empty, AtMost is in the figure's unit.
	Against string
	AtMost  float64
}

// Benchmark is a number of variants of the same work. The first is what the others are compared with, unless Base names
// another.
type Benchmark struct {
	Name     string
	Says     string // what is measured, in a line
	Base     string
	Variants []Variant
	Budgets  []Budget
	// Runs is how many rounds are measured where nobody says otherwise (15 when zero), after Warmup rounds (1 when zero).
	Runs, Warmup int
}
