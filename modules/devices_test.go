package modules

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// What may come later comes when its time has come, and no sooner, also where the kernel's events are not to be had.
func TestColdplugLater(t *testing.T) {
	l := coldplugTree(t, "pci:v2d1", "pci:v3d1", "cpu:x")
	l.Index = tree(t, map[string]string{
		"modules.dep":   "kernel/disk.ko:\nkernel/screen.ko:\nkernel/kvm.ko:\n",
		"modules.alias": "alias pci:v2* disk\nalias pci:v3* screen\nalias cpu:* kvm\n",
	}, "")
	var loaded atomic.Int32
	l.load = func(string, string, int) (bool, error) {
		loaded.Add(1)
		return false, nil
	}
	rest := make(chan struct{})
	settled := make(chan int32, 2)
	c := Coldplug{
		Loader: l, Quiet: 20 * time.Millisecond, Rest: rest, Later: func(alias string) bool { return alias != "pci:v2d1" },
		Settled: func() {
			settled <- loaded.Load()
			close(rest)
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := c.Run(ctx)
	if n := <-settled; n != 1 || len(settled) != 0 {
		t.Errorf("%d drivers were loaded when nobody waited any more", n)
	}
	var names []string
	for _, s := range result.Steps {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if err != nil || result.Aliases != 3 || !slices.Equal(names, []string{"disk", "kvm", "screen"}) {
		t.Errorf("%+v, %v", result, err)
	}
	// Where it never comes, the context ends the wait, and there is nothing that was begun and not ended.
	c.Rest, c.Settled = make(chan struct{}), nil
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if result, err = c.Run(ctx); err == nil || len(result.Steps) != 1 {
		t.Errorf("%+v, %v", result, err)
	}
}
