package testenv

import (
	"strconv"
	"strings"
	"testing"
)

// SignalMask reads one of the masks (SigIgn, SigBlk, SigCgt) of a /proc/PID/status, bit n-1 standing for signal n. It leaves
// out 32 and 33, which the C library keeps for itself (nptl(7)): no program can set them back through it, so that what a
// test's own ancestors did with them reaches everybody.
func SignalMask(t testing.TB, status, name string) uint64 {
	t.Helper()
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			if err != nil {
				t.Fatalf("%s: %v", strings.TrimSpace(line), err)
			}
			return mask &^ (1<<31 | 1<<32)
		}
	}
	t.Fatalf("there is no %s in the status:\n%s", name, status)
	return 0
}
