package power

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Keys and types of include/uapi/linux/input-event-codes.h.
const (
	evKey      = 0x01
	keyPower   = 116
	keyPower2  = 0x164
	keyRestart = 0x198
	keyMax     = 0x2ff

	keyBits   = keyMax/8 + 1
	eventSize = int(unsafe.Sizeof(unix.Timeval{})) + 8 // struct input_event of include/uapi/linux/input.h
)

const (
	// maxInputs bounds the devices that are watched.
	maxInputs = 256
	// rescan is how often the folder is looked at where nothing tells of changes in it, and slowRescan where inotify does.
	rescan     = 2 * time.Second
	slowRescan = time.Minute
	// oncePer is the time within which presses of the same meaning are one: firmware may report a button as two devices.
	oncePer = time.Second
)

// keyAction tells what pressing a key asks for. The keys for sleep ask for nothing: a Docker host that sleeps serves nobody.
func keyAction(code uint16) (Action, bool) {
	switch code {
	case keyPower, keyPower2:
		return PowerOff, true
	case keyRestart:
		return Reboot, true
	}
	return "", false
}

// presses reads the events that a device gave, and lists what keys that were pressed ask for: not their release, nor their
// repetition while they are held. A part of an event at the end is left out.
func presses(data []byte) []Action {
	var out []Action
	for ; len(data) >= eventSize; data = data[eventSize:] {
		e := data[eventSize-8 : eventSize]
		kind, code, value := binary.NativeEndian.Uint16(e), binary.NativeEndian.Uint16(e[2:]), binary.NativeEndian.Uint32(e[4:])
		if action, ok := keyAction(code); ok && kind == evKey && value == 1 {
			out = append(out, action)
		}
	}
	return out
}

// hasButton tells whether the bits of EVIOCGBIT(EV_KEY) have a key that asks for something.
func hasButton(bits []byte) bool {
	for _, key := range []int{keyPower, keyPower2, keyRestart} {
		if key/8 < len(bits) && bits[key/8]&(1<<(key%8)) != 0 {
			return true
		}
	}
	return false
}

// WatchButtons watches the buttons among the input devices in dir, /dev/input where empty, and calls pressed for each press of
// one that turns the machine off or reboots it. Devices may come and go, and so may the folder. It returns when ctx ends, with
// a nil error, or where it cannot watch at all. ACPI's button and the kernel's evdev have to be loaded: that is coldplug's work.
func WatchButtons(ctx context.Context, dir string, pressed func(Action)) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("watching for the power button: a mistake in the launcher itself, please report it: %v", caught)
		}
	}()
	if dir == "" {
		dir = "/dev/input"
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watching for the power button: eventfd: %w", err)
	}
	w := &watcher{dir: dir, notify: -1, inputs: map[string]input{}, pressed: pressed, last: map[Action]time.Time{}}
	defer w.close()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // it can only be full, and then it wakes too
	})
	defer func() {
		if !stop() {
			<-woken // it must not write to a descriptor that is somebody else's by now
		}
		unix.Close(wake)
	}()
	// Without inotify the folder is looked at now and then.
	if fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err == nil {
		w.notify = fd
	}
	for ctx.Err() == nil {
		if err := w.scan(); err != nil {
			return fmt.Errorf("watching for the power button: %w", err)
		}
		if err := w.wait(wake); err != nil {
			return fmt.Errorf("watching for the power button: poll: %w", err)
		}
	}
	return nil
}

// input is a device of the folder. fd is -1 for one without a button.
type input struct {
	fd  int
	dev uint64
	ino uint64
}

type watcher struct {
	dir     string
	notify  int // -1 where there is none
	watched bool
	inputs  map[string]input
	pressed func(Action)
	last    map[Action]time.Time
}

func (w *watcher) close() {
	for name := range w.inputs {
		w.drop(name)
	}
	if w.notify >= 0 {
		unix.Close(w.notify)
	}
}

func (w *watcher) drop(name string) {
	if fd := w.inputs[name].fd; fd >= 0 {
		unix.Close(fd)
	}
	delete(w.inputs, name)
}

// scan opens the devices that are new and drops those that are gone.
func (w *watcher) scan() error {
	w.watched = w.watch()
	entries, err := os.ReadDir(w.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := map[string]bool{}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, "event") || entry.IsDir() {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(w.dir, name), &st); err != nil {
			continue // gone again
		}
		there[name] = true
		if old, ok := w.inputs[name]; ok {
			if old.dev == st.Rdev && old.ino == st.Ino {
				continue
			}
			w.drop(name)
		}
		if len(w.inputs) >= maxInputs {
			continue
		}
		in := input{fd: -1, dev: st.Rdev, ino: st.Ino}
		fd, err := openButton(filepath.Join(w.dir, name))
		if err != nil {
			continue // a device that is not ready answers at the next look
		}
		in.fd = fd
		w.inputs[name] = in
	}
	for name := range w.inputs {
		if !there[name] {
			w.drop(name)
		}
	}
	return nil
}

// watch has inotify tell of changes in the folder, or of the folder's coming. It reports whether that will be told.
func (w *watcher) watch() bool {
	if w.notify < 0 {
		return false
	}
	const changes = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ATTRIB | unix.IN_DELETE
	if _, err := unix.InotifyAddWatch(w.notify, w.dir, changes); err == nil {
		return true
	}
	_, err := unix.InotifyAddWatch(w.notify, filepath.Dir(w.dir), unix.IN_CREATE|unix.IN_MOVED_TO)
	// The folder may have come between both calls.
	if _, again := unix.InotifyAddWatch(w.notify, w.dir, changes); again == nil {
		return true
	}
	return err == nil
}

// openButton opens a device that has a button; the descriptor is -1 for one that has none.
func openButton(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var bits [keyBits]byte
	// EVIOCGBIT(EV_KEY, sizeof(bits)) of include/uapi/linux/input.h.
	request := uintptr(2<<30 | len(bits)<<16 | 'E'<<8 | 0x20 + evKey)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&bits)))
	if errno != 0 || !hasButton(bits[:]) {
		unix.Close(fd)
		return -1, nil
	}
	return fd, nil
}

// wait waits for presses, for changes of the folder, or until it is time to look at it again.
func (w *watcher) wait(wake int) error {
	fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}, {Fd: int32(w.notify), Events: unix.POLLIN}}
	var order []string
	for name, in := range w.inputs {
		if in.fd >= 0 {
			order = append(order, name)
			fds = append(fds, unix.PollFd{Fd: int32(in.fd), Events: unix.POLLIN})
		}
	}
	timeout := rescan
	if w.watched {
		timeout = slowRescan
	}
	if _, err := unix.Poll(fds, int(timeout.Milliseconds())); err != nil && err != unix.EINTR {
		return err
	}
	if fds[1].Revents != 0 {
		w.drain()
	}
	for i, name := range order {
		if fds[i+2].Revents != 0 {
			w.read(name)
		}
	}
	return nil
}

// drain takes inotify's events, which say no more than that it is time to look.
func (w *watcher) drain() {
	var buf [4096]byte
	for {
		if n, err := unix.Read(w.notify, buf[:]); n <= 0 || err != nil {
			return
		}
	}
}

func (w *watcher) read(name string) {
	var buf [64 * 24]byte
	n, err := unix.Read(w.inputs[name].fd, buf[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil || n == 0 {
		w.drop(name) // unplugged; the next look finds it again, should it still be there
		return
	}
	for _, action := range presses(buf[:n]) {
		if now := time.Now(); now.Sub(w.last[action]) >= oncePer {
			w.last[action] = now
			w.pressed(action)
		}
	}
}
