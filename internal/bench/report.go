package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// Report is what was measured, and where. Its JSON is build/bench.json.
type Report struct {
	Machine     Machine  `json:"machine"`
	Benchmarks  []Result `json:"benchmarks"`
	TookSeconds float64  `json:"took_s"`
}

// Result is one benchmark.
type Result struct {
	Name     string          `json:"name"`
	Says     string          `json:"says"`
	Base     string          `json:"base"`
	Figures  []string        `json:"figures"` // their names, in the order of the runs
	Variants []VariantResult `json:"variants"`
	Ratios   []Ratio         `json:"ratios"` // to the base
	Budgets  []BudgetResult  `json:"budgets"`
}

// VariantResult is one variant.
type VariantResult struct {
	Name    string             `json:"name"`
	Missing string             `json:"missing,omitempty"`
	Figures map[string]Summary `json:"figures"`
	Errors  []string           `json:"errors,omitempty"`
}

// BudgetResult is a budget with what was measured.
type BudgetResult struct {
	Variant string  `json:"variant"`
	Figure  string  `json:"figure"`
	Against string  `json:"against,omitempty"`
	AtMost  float64 `json:"at_most"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit,omitempty"` // empty for a ratio
	Met     bool    `json:"met"`
}

// WriteJSON writes the report to a file, which is replaced as a whole.
func (r *Report) WriteJSON(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// WriteTable writes the report for a person.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, r.Machine)
	for _, b := range r.Benchmarks {
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(w, "\n%s: %s\n", b.Name, b.Says)
		fmt.Fprintf(t, "variant\tfigure\tmin\tq1\tmedian\tq3\trounds\tto %s\t95 %%\tless in\tp\t\n", b.Base)
		for _, v := range b.Variants {
			for _, name := range b.Figures {
				if s, ok := v.Figures[name]; ok {
					fmt.Fprintf(t, "%s\t%s, %s\t%s\t%s\t%s\t%s\t%d\t%s\t\n", v.Name, name, s.Unit,
						number(s.Min), number(s.Q1), number(s.Median), number(s.Q3), len(s.All), b.ratioCells(v.Name, name))
				}
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		b.writeRest(w)
	}
	_, err := fmt.Fprintf(w, "\n%s%.0f s in all\n", r.summary(), r.TookSeconds)
	return err
}

// summary counts the budgets, and names those that are not met and what was not measured, so that nobody has to look for them.
func (r *Report) summary() string {
	var b strings.Builder
	met, all := 0, 0
	for _, result := range r.Benchmarks {
		for _, v := range result.Variants {
			if len(v.Figures) == 0 {
				fmt.Fprintf(&b, "  not measured: %s/%s\n", result.Name, v.Name)
			}
		}
		for _, budget := range result.Budgets {
			if all++; budget.Met {
				met++
			} else {
				fmt.Fprintf(&b, "  NOT MET: %s: %s\n", result.Name, budget)
			}
		}
	}
	return fmt.Sprintf("%d of %d budgets are met\n%s", met, all, b.String())
}

// String is the budget in words.
func (b BudgetResult) String() string {
	of := " " + b.Unit
	if b.Against != "" {
		of = " of " + b.Against
	}
	return fmt.Sprintf("%s of %s at most %s%s: it is %s", b.Figure, b.Variant, number(b.AtMost), of, number(b.Value))
}

func (b *Result) writeRest(w io.Writer) {
	for _, v := range b.Variants {
		if v.Missing != "" {
			fmt.Fprintf(w, "  not run: %s: %s\n", v.Name, v.Missing)
		}
		if n := len(v.Errors); n > 0 {
			fmt.Fprintf(w, "  failed: %s, %d times; the last: %s\n", v.Name, n, strings.ReplaceAll(v.Errors[n-1], "\n", "\n    "))
		}
	}
	for _, budget := range b.Budgets {
		verdict := "met"
		if !budget.Met {
			verdict = "NOT MET"
		}
		fmt.Fprintf(w, "  %s: %s\n", verdict, budget)
	}
}

func (b *Result) ratioCells(variant, figure string) string {
	for _, r := range b.Ratios {
		if r.Variant == variant && r.Figure == figure {
			return fmt.Sprintf("%.3f\t%.3f to %.3f\t%d of %d\t%.2g", r.Median, r.Low, r.High, r.Less, r.Rounds, r.P)
		}
	}
	return "\t\t\t"
}

// number shows three digits or more.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
