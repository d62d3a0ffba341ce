// Package line is what the probe in a measured machine says on its console, and how that is read.
package line

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Failed begins the line of a probe that cannot tell; the reason follows.
const Failed = "bench-failed:"

// Line is what a probe tells.
type Line struct {
	// Init and Ready are when the init was executed and when Docker answered, after the kernel's start.
	Init, Ready time.Duration
	// Modules is how many kernel modules were loaded by then.
	Modules int
}

// String is the line as it stands on the console.
func (l Line) String() string {
	return fmt.Sprintf("bench-ready: init_ns=%d ready_ns=%d modules=%d.", l.Init.Nanoseconds(), l.Ready.Nanoseconds(), l.Modules)
}

// Eighteen digits of nanoseconds are thirty years, and fit into a Duration.
var (
	ready  = regexp.MustCompile(`bench-ready: init_ns=([0-9]{1,18}) ready_ns=([0-9]{1,18}) modules=([0-9]{1,6})\.`)
	failed = regexp.MustCompile(Failed + ` ([^\r\n]*)[\r\n]`)
)

// Find looks for the line in a console's text, which may still be on its way. found says that there is nothing to wait for;
// the error is a failed probe's.
func Find(console string) (l Line, found bool, err error) {
	if m := failed.FindStringSubmatch(console); m != nil {
		return Line{}, true, fmt.Errorf("in the machine: %s", m[1])
	}
	m := ready.FindStringSubmatch(console)
	if m == nil {
		return Line{}, false, nil
	}
	var numbers [3]int64
	for i := range numbers {
		if numbers[i], err = strconv.ParseInt(m[i+1], 10, 64); err != nil {
			return Line{}, true, err
		}
	}
	l = Line{Init: time.Duration(numbers[0]), Ready: time.Duration(numbers[1]), Modules: int(numbers[2])}
	if l.Ready < l.Init {
		return Line{}, true, fmt.Errorf("the probe says that Docker was ready before the init: %s", l)
	}
	return l, true, nil
}
