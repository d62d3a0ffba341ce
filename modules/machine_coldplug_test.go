package modules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every device of the machine gets its driver. The environment says what is to appear.
func inMachineColdplug(t *testing.T) {
	quiet := time.Second
	if strings.Contains(os.Getenv("COLDPLUG_WANTS"), "usb-storage") {
		quiet = 3 * time.Second // which waits a second, and emulation is slow
	}
	c := Coldplug{Loader: open(t), Quiet: quiet}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	begin := time.Now()
	result, err := c.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d modaliases, %d modules, %v", result.Aliases, len(result.Steps), time.Since(begin))
	for _, s := range result.Steps {
		if s.Took > time.Second {
			t.Logf("%s took %v", s.Name, s.Took)
		}
		if s.Outcome == Failed && !errors.Is(s.Err, unix.ENODEV) {
			t.Logf("failed: %v", s.Err)
		}
	}
	for pattern := range strings.FieldsSeq(os.Getenv("COLDPLUG_WANTS")) {
		if found, err := filepath.Glob(pattern); len(found) == 0 {
			t.Errorf("%s is not there (%v)", pattern, err)
		}
	}
	inserted := map[string]int{}
	for _, step := range result.Steps {
		if step.Outcome == Inserted {
			if inserted[step.Name]++; inserted[step.Name] == 2 {
				t.Errorf("%s was loaded twice", step.Name)
			}
		}
	}
	c.Quiet = 100 * time.Millisecond
	again, err := c.Run(ctx)
	if err != nil || slices.ContainsFunc(again.Steps, func(s StepResult) bool { return s.Outcome == Inserted }) {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}
