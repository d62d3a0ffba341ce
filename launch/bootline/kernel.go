package bootline

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ValueError is a kernel parameter whose value the kernel would not take either.
type ValueError struct {
	Key, Value string
	Err        error
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("kernel command line: %s=%s: %v", e.Key, e.Value, e.Err)
}

func (e *ValueError) Unwrap() error { return e.Err }

// Root is the root filesystem's device, as root= names it: a path, MAJOR:MINOR, LABEL=, UUID=, PARTLABEL= or PARTUUID=.
func (l Line) Root() string { return l.text("root") }

// RootFlags are the mount options of the root filesystem.
func (l Line) RootFlags() string { return l.text("rootflags") }

// RootFSType is the type of the root filesystem, or several to try, separated by commas.
func (l Line) RootFSType() string { return l.text("rootfstype") }

func (l Line) text(key string) string {
	value, _ := l.Get(key)
	return value
}

// RootReadOnly tells whether the root filesystem is to be mounted read-only: the last of ro and rw decides, and ro is the
// default (init/do_mounts.c).
func (l Line) RootReadOnly() bool {
	readOnly := true
	for _, w := range l.Words {
		switch {
		case w.HasValue: // the kernel takes these two only without a value
		case w.Key == "ro":
			readOnly = true
		case w.Key == "rw":
			readOnly = false
		}
	}
	return readOnly
}

// RootWait tells whether to wait for the root device, and for how long; a limit of 0 is none (rootwait, rootwait=SECONDS).
func (l Line) RootWait() (wait bool, limit time.Duration, err error) {
	for _, w := range l.Words {
		if !SameKey(w.Key, "rootwait") {
			continue
		}
		if !w.HasValue {
			wait, limit = true, 0
			continue
		}
		n, parseErr := parseInt(w.Value)
		if parseErr == nil && n < 0 {
			parseErr = strconv.ErrRange
		}
		if parseErr != nil {
			err = &ValueError{"rootwait", w.Value, parseErr}
			continue
		}
		wait, limit = true, time.Duration(n)*time.Second
	}
	return wait, limit, err
}

// RootDelay is how long to wait before the root device is looked for (rootdelay=SECONDS).
func (l Line) RootDelay() (time.Duration, error) {
	value, ok := l.Get("rootdelay")
	if !ok {
		return 0, nil
	}
	n, err := parseInt(value)
	if err == nil && n < 0 {
		err = strconv.ErrRange
	}
	if err != nil {
		return 0, &ValueError{"rootdelay", value, err}
	}
	return time.Duration(n) * time.Second, nil
}

// Panic is what panic= says: the kernel reboots so many seconds after a panic, at once where it is negative, and never
// where it is 0. set tells whether the line says anything.
func (l Line) Panic() (seconds int, set bool, err error) {
	value, ok := l.Get("panic")
	if !ok {
		return 0, false, nil
	}
	n, err := parseInt(value)
	if err != nil {
		return 0, false, &ValueError{"panic", value, err}
	}
	return int(n), true, nil
}

// Quiet and Debug set the level of messages on the console; the last of them decides, as in init/main.c.
func (l Line) Quiet() bool { return l.level() == "quiet" }

// Debug tells whether all of the kernel's messages go to the console.
func (l Line) Debug() bool { return l.level() == "debug" }

func (l Line) level() string {
	last := ""
	for _, w := range l.Words {
		if w.Key == "quiet" || w.Key == "debug" {
			last = w.Key
		}
	}
	return last
}

// Console is one console= of the command line.
type Console struct {
	// Device is its name below /dev, for example ttyS0; "" and "null" are no console at all.
	Device string `json:"device"`
	// Options are speed, parity and so on, for example 115200n8.
	Options string `json:"options,omitempty"`
}

// Consoles are the consoles of the line, in order. The last one is what /dev/console leads to.
func (l Line) Consoles() []Console {
	var consoles []Console
	for _, value := range l.All("console") {
		device, options, _ := strings.Cut(value, ",")
		consoles = append(consoles, Console{device, options})
	}
	return consoles
}

// parseInt is the kernel's kstrtoint: decimal, octal with a leading 0, hexadecimal with 0x. Go's own base 0 knows more
// forms, among them underscores.
func parseInt(text string) (int64, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "+"), "-")
	base := 10
	switch lower := strings.ToLower(digits); {
	case strings.HasPrefix(lower, "0x"):
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 31)
	if err != nil {
		err = err.(*strconv.NumError).Err // the value is named by the caller
	}
	if strings.HasPrefix(text, "-") {
		return -int64(n), err
	}
	return int64(n), err
}
