package main

import (
	"strings"
	"testing"
)

// The applet takes options from the environment, as kmod's modprobe.
func TestModprobeOptions(t *testing.T) {
	t.Setenv("MODPROBE_OPTIONS", "-q --version")
	var out, errs strings.Builder
	if status := run([]string{"modprobe"}, &out, &errs); status != 0 || !strings.Contains(out.String(), "modprobe") || errs.Len() > 0 {
		t.Errorf("%d %q %q", status, out.String(), errs.String())
	}
}
