package modules

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// coldplugTree is a machine with devices, and an index of two drivers, of which "slow" comes to no end before the test's.
func coldplugTree(t *testing.T, aliases ...string) *Loader {
	t.Helper()
	x := tree(t, map[string]string{
		"modules.dep":           "kernel/slow.ko: kernel/none.ko\nkernel/none.ko:\nkernel/kept.ko:\n",
		"modules.alias":         "alias pci:v1* slow\nalias pci:v2* none\nalias pci:v3* kept\n",
		"etc/modprobe.d/x.conf": "blacklist kept\n",
	}, "")
	sys := t.TempDir()
	if err := os.MkdirAll(filepath.Join(sys, "class/none"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, alias := range aliases {
		dir := filepath.Join(sys, []string{"bus/pci/devices", "class/input"}[i%2], string(rune('a'+i)))
		if strings.HasPrefix(alias, "cpu:") {
			dir = filepath.Join(sys, "devices/system/cpu")
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "modalias"), []byte(alias+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	load := func(path, params string, force int) (bool, error) {
		if strings.HasSuffix(path, "/slow.ko") {
			<-hold
		}
		return loadFile(path, params, force)
	}
	return &Loader{Index: x, Kernel: Kernel{Sys: sys, Proc: t.TempDir()}, load: load}
}

// At the end of the time, who waits is told what was not loaded, and does not wait for the kernel.
func TestColdplugUnfinished(t *testing.T) {
	c := Coldplug{Loader: coldplugTree(t, "pci:v1d1", "pci:v1d2", "pci:v3d3")}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	result, err := c.Run(ctx)
	var unfinished *UnfinishedError
	if !errors.As(err, &unfinished) || !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(unfinished.Left, []string{"slow"}) {
		t.Errorf("%v", err)
	}
	if result.Aliases != 3 || !slices.Equal(result.Blacklisted, []string{"kept"}) || len(result.Steps) != 2 || result.Steps[0].Outcome != Failed {
		t.Errorf("%+v", result)
	}
}

// Drivers that fail are no error, and the work ends when nothing new appears.
func TestColdplugEnds(t *testing.T) {
	c := Coldplug{Loader: coldplugTree(t, "pci:v2d1", "acpi:X"), Quiet: 50 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := c.Run(ctx)
	if err != nil || result.Aliases != 2 || len(result.Steps) != 1 || result.Steps[0].Outcome != Failed || !errors.Is(result.Steps[0].Err, os.ErrNotExist) {
		t.Errorf("%+v, %v", result, err)
	}
	// Without /sys there is nothing to go by.
	c.Loader.Kernel.Sys = t.TempDir()
	if _, err := c.Run(ctx); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without devices: %v", err)
	}
}

// A driver that the index cannot give keeps none of the others back, and is told.
func TestColdplugSkipsBadDrivers(t *testing.T) {
	for _, dep := range []string{"kernel/bad.ko: kernel/gone.ko\n", "kernel/bad.ko: kernel/too.ko\nkernel/too.ko: kernel/bad.ko\n"} {
		x := tree(t, map[string]string{
			"modules.dep":     "kernel/good.ko: kernel/lib.ko\nkernel/lib.ko:\nkernel/other.ko: kernel/lib.ko\n" + dep,
			"modules.alias":   "alias pci:v1* bad\nalias pci:v2* good\nalias pci:v3* other\n",
			"modules.softdep": "softdep other pre: bad\n",
		}, "")
		l := coldplugTree(t, "pci:v1d1", "pci:v2d1", "pci:v3d1", "pci:v1d2")
		l.Index, l.load = x, func(string, string, int) (bool, error) { return false, nil }
		c := Coldplug{Loader: l, Quiet: 50 * time.Millisecond}
		var result *ColdplugResult
		var err error
		inTime(t, func() { result, err = c.Run(t.Context()) })
		if err == nil || strings.Count(err.Error(), "bad") < 1 || strings.Count(err.Error(), "\n") != 0 {
			t.Errorf("%s: %v", dep, err)
		}
		loaded := map[string]int{}
		for _, s := range result.Steps {
			if s.Outcome == Inserted {
				loaded[s.Name]++
			}
		}
		if want := map[string]int{"lib": 1, "good": 1, "other": 1}; !maps.Equal(loaded, want) {
			t.Errorf("%s: loaded %v", dep, loaded)
		}
		// At the end of the time both are told.
		ctx, cancel := context.WithCancel(t.Context())
		l.load = func(string, string, int) (bool, error) {
			cancel()
			<-ctx.Done()
			return false, nil
		}
		_, err = c.Run(ctx)
		var unfinished *UnfinishedError
		if !errors.As(err, &unfinished) || !strings.Contains(err.Error(), "driver bad: ") {
			t.Errorf("%s: %v", dep, err)
		}
	}
}

func TestModaliases(t *testing.T) {
	l := coldplugTree(t, "virtio:d1", "cpu:type:x86", "pci:v1", "virtio:d1", "acpi:X")
	got, err := l.Kernel.modaliases()
	if want := []string{"acpi:X", "pci:v1", "virtio:d1", "cpu:type:x86"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// Two plans that are carried out at the same time load a module once, and the second waits for it.
func TestRunsBesideEachOther(t *testing.T) {
	l := coldplugTree(t)
	plan, err := l.Index.Resolve(Query{Names: []string{"slow"}})
	if err != nil {
		t.Fatal(err)
	}
	w, begun := l.newWork(), make(chan struct{})
	l.load = func(path, _ string, _ int) (bool, error) {
		if strings.HasSuffix(path, "/slow.ko") {
			begun <- struct{}{}
		}
		return false, fmt.Errorf("%s: a test", path)
	}
	results := make(chan []StepResult)
	for range 2 {
		go func() {
			steps, _ := l.run(t.Context(), plan, w) // the steps have their own errors
			results <- steps
		}()
	}
	<-begun // were there two, the second would wait for ever
	a, b := <-results, <-results
	if len(a) != 2 || len(b) != 2 || a[1].Outcome != Failed || a[1].Err == nil || !errors.Is(a[1].Err, b[1].Err) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestNewDevice(t *testing.T) {
	for message, want := range map[string]string{
		"add@/devices/pci0/x\x00ACTION=add\x00MODALIAS=pci:v1\x00SEQNUM=1\x00": "pci:v1",
		"add@/devices/x\x00ACTION=add\x00":                                     "",
		"remove@/devices/x\x00MODALIAS=pci:v1\x00":                             "",
		"change@/devices/x\x00MODALIAS=pci:v1":                                 "",
		"add@/devices/x\x00MODALIAS=acpi:A \n":                                 "acpi:A",
		"":                                                                     "",
	} {
		if got := newDevice([]byte(message)); got != want {
			t.Errorf("%q: %q", message, got)
		}
	}
}
