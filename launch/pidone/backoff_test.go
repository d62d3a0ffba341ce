package pidone

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for name, test := range map[string]struct {
		backoff *Backoff
		ran     []time.Duration
		want    []time.Duration
	}{
		"doubles up to the longest": {
			DefaultBackoff(), make([]time.Duration, 9),
			[]time.Duration{500 * ms, 1 * s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s},
		},
		"starts anew after a good run": {
			DefaultBackoff(), []time.Duration{0, 59 * s, 60 * s, 0, time.Hour, time.Hour},
			[]time.Duration{500 * ms, 1 * s, 500 * ms, 1 * s, 500 * ms, 500 * ms},
		},
		"one length": {
			&Backoff{Min: s, Max: s, Reset: s}, make([]time.Duration, 3), []time.Duration{s, s, s},
		},
		"a maximum below the minimum": {
			&Backoff{Min: 2 * s, Max: s, Reset: s}, make([]time.Duration, 3), []time.Duration{s, s, s},
		},
		"no overflow": {
			&Backoff{Min: math.MaxInt64/2 + 1, Max: math.MaxInt64, Reset: s}, make([]time.Duration, 3),
			[]time.Duration{math.MaxInt64/2 + 1, math.MaxInt64, math.MaxInt64},
		},
	} {
		var got []time.Duration
		for _, ran := range test.ran {
			got = append(got, test.backoff.Next(ran))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v instead of %v", name, got, test.want)
		}
	}
}
