// Package guards holds figures of the launcher that do not depend on the machine, and may not grow unnoticed: bytes of the
// program, system calls and processes up to the daemon, allocations of the planner. The limits are in limits.txt, which a
// person changes together with what makes them larger, or smaller.
package guards

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed limits.txt
var limitsText string

// Limits reads limits.txt: a name and a number in each line, and behind # what it is about.
func Limits() (map[string]int64, error) { return parse(limitsText) }

func parse(text string) (map[string]int64, error) {
	limits := map[string]int64{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("limits.txt, line %d: not a name and a number", number)
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("limits.txt, line %d: %q is no number", number, fields[1])
		}
		if _, ok := limits[fields[0]]; ok {
			return nil, fmt.Errorf("limits.txt, line %d: %s is there twice", number, fields[0])
		}
		limits[fields[0]] = n
	}
	return limits, nil
}

// Judge compares a figure with its limit: complaint is not empty where it is over it, hint where the limit has become loose.
func Judge(limits map[string]int64, name string, value int64) (complaint, hint string) {
	limit, ok := limits[name]
	switch {
	case !ok:
		return fmt.Sprintf("%s is %d and has no limit: write one into internal/guards/limits.txt", name, value), ""
	case value > limit:
		return fmt.Sprintf("%s is %d, and its limit is %d. Where the growth is meant, and worth it, write the new number into "+
			"internal/guards/limits.txt", name, value, limit), ""
	case value < limit-limit/5:
		return "", fmt.Sprintf("%s is %d, far below its limit of %d: lower it in internal/guards/limits.txt, lest it creeps up again", name, value, limit)
	}
	return "", ""
}
