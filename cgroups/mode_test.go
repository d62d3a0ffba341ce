package cgroups

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestModeText(t *testing.T) {
	for _, m := range []Mode{None, V1, V2, Hybrid} {
		text, err := m.MarshalText()
		if err != nil || string(text) != m.String() {
			t.Errorf("%v: %q, %v", m, text, err)
		}
		var again Mode
		if err := again.UnmarshalText(text); err != nil || again != m {
			t.Errorf("%v became %v, %v", m, again, err)
		}
	}
	var m Mode
	checkError(t, m.UnmarshalText([]byte("v3")), `unknown cgroup mode "v3": it is none, v1, v2 or hybrid`)
	_, err := Mode(9).MarshalText()
	checkError(t, err, "unknown cgroup mode 9")
}

func TestWantText(t *testing.T) {
	for _, w := range []Want{WantAuto, WantV1, WantV2, WantHybrid} {
		text, err := w.MarshalText()
		if err != nil {
			t.Error(err)
		}
		var again Want
		if err := again.UnmarshalText(text); err != nil || again != w {
			t.Errorf("%v became %v, %v", w, again, err)
		}
	}
	_, err := ParseWant("2")
	checkError(t, err, `unknown cgroup version "2": it is auto, v1, v2 or hybrid`)
	_, err = Want(9).MarshalText()
	checkError(t, err, "unknown wish for cgroups 9")
}

func TestErrorText(t *testing.T) {
	err := error(&Error{Op: "mount", Path: "/sys/fs/cgroup", Source: "cgroup2", FSType: "cgroup2", Flags: safeFlags | unix.MS_SYNCHRONOUS, Data: "nsdelegate",
		Kind: ErrBusy, Err: unix.EBUSY, Detail: "why", Lost: "all", Advice: "do something"})
	const want = "mount -t cgroup2 -o nosuid,nodev,noexec,relatime,0x10,nsdelegate cgroup2 /sys/fs/cgroup: in use: device or resource busy: why; lost: all; do something"
	if err.Error() != want {
		t.Errorf("%s\ninstead of\n%s", err, want)
	}
	if !errors.Is(err, ErrBusy) || !errors.Is(err, unix.EBUSY) || errors.Is(err, ErrStuck) {
		t.Error("errors.Is does not find what is in it")
	}
}
