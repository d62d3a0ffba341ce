//go:build linux && amd64

package faults

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestJudge(t *testing.T) {
	const start = "time=\"1\" level=info msg=\"starting /usr/bin/dockerd, 9ms after the launcher (3 steps done)\"\nstub: started with []\n"
	const told = "time=\"2\" level=warning msg=\"mount /dev/shm: operation not permitted\"\n"
	shm := Fault{Op: Op{Call: "mount", On: "/dev/shm tmpfs"}, Errno: unix.EPERM}
	plain := &Run{Trace: &Trace{}, Said: start}
	for name, c := range map[string]struct {
		run   Run
		trace Trace
		why   string // why it is harmless
		want  string // a part of what is wrong; "" where nothing is
	}{
		"told, and goes on":         {run: Run{Said: told + start}},
		"told, and stops":           {run: Run{Said: told}, trace: Trace{Status: 3}},
		"silent":                    {run: Run{Said: strings.ReplaceAll(start, "9ms", "1.5s")}, want: "goes on silently"},
		"silent and harmless":       {run: Run{Said: start}, why: "it is"},
		"silent stop":               {run: Run{}, trace: Trace{Status: 3}, why: "it is", want: "stops silently"},
		"no daemon, and well":       {run: Run{Said: told}, want: "without having started"},
		"names something else":      {run: Run{Said: "level=error msg=\"out of luck\"\n" + start}, want: "does not name"},
		"only the daemon's command": {run: Run{Said: strings.ReplaceAll(start, "[]", "[-D]")}, want: "goes on silently"},
		"hangs":                     {run: Run{Said: told}, trace: Trace{Hung: true, Status: 137}, want: "hangs"},
		"panics":                    {run: Run{Said: told + "panic: oh\n\ngoroutine 1 [running]:\n"}, trace: Trace{Status: 2}, want: "panics"},
		"killed by what it is for":  {run: Run{Said: told + "level=error msg=\"dockerd: killed by SIGPIPE\"\n"}, trace: Trace{Status: 141}},
		"killed":                    {run: Run{Said: told}, trace: Trace{Status: 139}, want: "not documented"},
		"leaves a child":            {run: Run{Said: told + start}, trace: Trace{Left: []string{"12 (containerd) S"}}, want: "left"},
	} {
		t.Run(name, func(t *testing.T) {
			c.trace.Hits = 1
			c.run.Trace = &c.trace
			got := Judge(plain, &c.run, shm, c.why)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestHarmless(t *testing.T) {
	for fault, want := range map[*Fault]bool{
		{Op: Op{Call: "openat", On: "/proc/cgroups"}, Errno: unix.ENOENT}:                   true,
		{Op: Op{Call: "openat", On: "/proc/cgroups"}, Errno: unix.EIO}:                      false,
		{Op: Op{Call: "openat", On: "/proc/cgroups"}, Errno: unix.EIO, Nth: 1}:              true,
		{Op: Op{Call: "openat", On: "/run/x for writing"}, Errno: unix.ENOENT}:              false,
		{Op: Op{Call: "close", On: "/etc/.passwd-N"}, Errno: unix.EIO}:                      false,
		{Op: Op{Call: "mount", On: "/dev devtmpfs"}, Errno: unix.EPERM}:                     false,
		{Op: Op{Call: "execve", On: "/usr/bin/dockerd", Child: true}, Errno: unix.ENOENT}:   false,
		{Op: Op{Call: "ioctl", On: "descriptor 0 0x5410", Child: true}, Errno: unix.EPERM}:  false,
		{Op: Op{Call: "ioctl", On: "descriptor 0 0x5410", Child: true}, Errno: unix.EINVAL}: true,
	} {
		if got := Harmless(*fault, false); (got != "") != want {
			t.Errorf("%v: %q", *fault, got)
		}
	}
}
