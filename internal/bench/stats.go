package bench

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Summary describes a sample.
type Summary struct {
	Unit   string    `json:"unit"`
	Min    float64   `json:"min"`
	Q1     float64   `json:"q1"`
	Median float64   `json:"median"`
	Q3     float64   `json:"q3"`
	Max    float64   `json:"max"`
	All    []float64 `json:"all"` // in the order of the rounds
}

func summarize(unit string, all []float64) Summary {
	sorted := slices.Sorted(slices.Values(all))
	return Summary{
		Unit: unit, All: all, Min: quantile(sorted, 0), Q1: quantile(sorted, 0.25), Median: quantile(sorted, 0.5),
		Q3: quantile(sorted, 0.75), Max: quantile(sorted, 1),
	}
}

// quantile interpolates between the two nearest values of a sorted sample (Hyndman and Fan's definition 7, as R and NumPy).
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// Ratio compares two variants by the ratios within their rounds.
type Ratio struct {
	Figure  string  `json:"figure"`
	Variant string  `json:"variant"`
	Against string  `json:"against"`
	Median  float64 `json:"median"`
	// Low and High hold the median of such ratios with 95 % confidence, by bootstrap.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Less is in how many of Rounds the variant was below the other, P the probability of a count that far from even where
	// both are alike (two-sided sign test, rounds that are equal left out).
	Less   int     `json:"less"`
	Rounds int     `json:"rounds"`
	P      float64 `json:"p"`
}

// bootstraps is how many samples are drawn: enough that the second digit of an interval stands.
const bootstraps = 4000

func compare(a, b []float64) Ratio {
	var r Ratio
	var ratios []float64
	more := 0
	for i := range min(len(a), len(b)) {
		if b[i] == 0 {
			continue
		}
		ratios = append(ratios, a[i]/b[i])
		if a[i] < b[i] {
			r.Less++
		} else if a[i] > b[i] {
			more++
		}
	}
	r.Rounds = len(ratios)
	r.P = signTest(r.Less, more)
	slices.Sort(ratios)
	r.Median = quantile(ratios, 0.5)
	if len(ratios) == 0 {
		return r
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same figures give the same report
	medians := make([]float64, bootstraps)
	drawn := make([]float64, len(ratios))
	for i := range medians {
		for j := range drawn {
			drawn[j] = ratios[random.IntN(len(ratios))]
		}
		slices.Sort(drawn)
		medians[i] = quantile(drawn, 0.5)
	}
	slices.Sort(medians)
	r.Low, r.High = quantile(medians, 0.025), quantile(medians, 0.975)
	return r
}

// signTest is the two-sided probability of counts at least as uneven, where each side is as likely.
func signTest(a, b int) float64 {
	n, k := a+b, min(a, b)
	if n == 0 {
		return 1
	}
	sum := 0.0
	for i := 0; i <= k; i++ {
		logN, _ := math.Lgamma(float64(n + 1))
		logI, _ := math.Lgamma(float64(i + 1))
		logRest, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(logN - logI - logRest - float64(n)*math.Ln2)
	}
	return min(1, 2*sum)
}
