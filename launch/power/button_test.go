package power

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func event(kind, code uint16, value uint32) []byte {
	e := make([]byte, eventSize)
	binary.NativeEndian.PutUint16(e[eventSize-8:], kind)
	binary.NativeEndian.PutUint16(e[eventSize-6:], code)
	binary.NativeEndian.PutUint32(e[eventSize-4:], value)
	return e
}

func TestPresses(t *testing.T) {
	data := slices.Concat(
		event(evKey, keyPower, 1), event(0, 0, 0), event(evKey, keyPower, 2), event(evKey, keyPower, 0),
		event(evKey, 142, 1), // KEY_SLEEP
		event(evKey, 30, 1), event(2, keyPower, 1),
		event(evKey, keyRestart, 1), event(evKey, keyPower2, 1), event(evKey, keyPower, 1)[:eventSize-1],
	)
	if got, want := presses(data), []Action{PowerOff, Reboot, PowerOff}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	bits := make([]byte, keyBits)
	if hasButton(bits) || hasButton(nil) {
		t.Error("a device without keys has a button")
	}
	for _, key := range []int{keyPower, keyPower2, keyRestart} {
		bits := make([]byte, keyBits)
		bits[key/8] = 1 << (key % 8)
		if !hasButton(bits) {
			t.Errorf("key %#x is no button", key)
		}
	}
}

func FuzzPresses(f *testing.F) {
	f.Add(event(evKey, keyPower, 1))
	f.Add(event(evKey, keyRestart, 1)[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := presses(data); len(got) > len(data)/eventSize || slices.ContainsFunc(got, func(a Action) bool { return a != PowerOff && a != Reboot }) {
			t.Errorf("%x: %q", data, got)
		}
	})
}

// The folder comes late, devices come and go, and those that are none harm nobody. Real buttons are pressed in a machine.
func TestWatchWithoutDevices(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "input")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- WatchButtons(ctx, dir, func(a Action) { t.Errorf("something asks to %s", a) })
	}()
	for range 20 {
		for name, text := range map[string]string{"event0": "", "event1": string(event(evKey, keyPower, 1)), "mouse0": ""} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it does not end with its context")
	}
	if err := WatchButtons(ctx, dir, nil); err != nil {
		t.Errorf("with a context that has ended: %v", err)
	}
}
