package machine

import (
	"strconv"
	"strings"
)

// Level is a severity of syslog(3), as the kernel's log has it: the lower, the worse.
type Level int

// The severities of syslog(3).
const (
	Emergency Level = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Info
	Debug
)

// Verbosity says which of the launcher's messages go where.
type Verbosity struct {
	// Console is the least severe level that is to be seen on the console.
	Console Level
	// Kmsg is the least severe level that is written to the kernel's log.
	Kmsg Level
	// Kernel is the kernel's console_loglevel: it prints what is below it to the consoles itself (proc(5),
	// /proc/sys/kernel/printk).
	Kernel int
}

// ParseVerbosity reads quiet, debug, loglevel= and ignore_loglevel out of the kernel command line, split into words. The last
// one counts, as for the kernel (Documentation/admin-guide/kernel-parameters.txt). kernel is console_loglevel as
// /proc/sys/kernel/printk gives it, or 0 where that is not known: then the kernel is taken to print nothing.
//
//	                 on the console         in the kernel's log
//	quiet            warnings and worse     what is not debugging
//	nothing          what is not debugging  what is not debugging
//	debug            everything             everything
//	loglevel=N       below N, and errors    what is not debugging; with 8, everything
//
// Words behind "--" are the init's own.
func ParseVerbosity(words []string, kernel int) Verbosity {
	v := Verbosity{Console: Info, Kmsg: Info, Kernel: kernel}
	for _, word := range words {
		if word == "--" {
			break
		}
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "quiet":
			v.Console, v.Kmsg = Warning, Info
		case "debug", "ignore_loglevel":
			v.Console, v.Kmsg = Debug, Debug
		case "loglevel":
			n, err := strconv.ParseInt(value, 0, 32)
			if err != nil {
				continue // the kernel ignores it too
			}
			v.Console, v.Kmsg = min(max(Level(n)-1, Error), Debug), Info
			if v.Console == Debug {
				v.Kmsg = Debug
			}
		}
	}
	return v
}

// Route tells where a message goes. It is shown once: where the kernel prints what it is given to the console, the launcher
// does not do so as well. kmsg tells whether the kernel's log takes messages.
func (v Verbosity) Route(level Level, kmsg bool) (toKmsg, toConsole bool) {
	toKmsg = kmsg && level <= v.Kmsg
	return toKmsg, level <= v.Console && (!toKmsg || int(level) >= v.Kernel)
}
