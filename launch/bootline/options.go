package bootline

import (
	"slices"
	"strings"
)

// Prefix is what the launcher's own options begin with on the kernel command line.
const Prefix = "dockerlaunch."

// CommandLine is the Where of options from the kernel command line.
const CommandLine = "kernel command line"

// Option is one setting of the launcher. The same keys count on the kernel command line, in files and as flags.
type Option struct {
	// Key is the name with "-" for "_" and without the prefix, as flags are written.
	Key string `json:"key"`
	// Value is "true" where only the key was given.
	Value string `json:"value"`
	// Where tells where it was written: CommandLine or FILE:LINE.
	Where string `json:"where"`
}

// String tells where a setting comes from, for messages.
func (o Option) String() string { return o.Key + "=" + o.Value + " (" + o.Where + ")" }

// Options returns the launcher's own options, dockerlaunch.KEY=VALUE, in order. A key alone is "true".
func (l Line) Options() []Option {
	var options []Option
	for _, w := range l.Words {
		key, ok := cutPrefix(w.Key)
		if !ok || key == "" {
			continue
		}
		value := w.Value
		if !w.HasValue {
			value = "true"
		}
		options = append(options, Option{key, value, CommandLine})
	}
	return options
}

// cutPrefix takes Prefix off and normalises the rest.
func cutPrefix(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, Prefix)
	return normalise(rest), ok
}

func normalise(key string) string { return strings.ReplaceAll(key, "_", "-") }

// Nearest returns the known key that an unknown one was probably meant to be, or "" where none is near: so that a
// misspelt option is named together with the right one. Keys are compared as Option.Key has them.
func Nearest(key string, known []string) string {
	key = normalise(key)
	if len(key) > 64 {
		return "" // nobody's slip of the finger
	}
	best, nearest := max(1, len(key)/3)+1, ""
	for _, k := range known {
		n := normalise(k)
		if n == key {
			return k
		}
		// One that goes on, or breaks off, is nearer than its length says.
		d := distance(key, n)
		if len(key) >= 3 && (strings.HasPrefix(n, key) || strings.HasPrefix(key, n) && len(n) >= 3) {
			d = 1
		}
		if d < best {
			best, nearest = d, k
		}
	}
	return nearest
}

// distance counts the letters that have to be inserted, left out, changed or swapped with their neighbour.
func distance(a, b string) int {
	if len(b) > 64 {
		return len(b)
	}
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = slices.Min([]int{last[j] + 1, row[j-1] + 1, last[j-1] + change})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before = last
	}
	return row[len(b)]
}
