package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Facts is what the plan of a machine is made from.
type Facts struct {
	// Consoles are those the kernel prints to, the last one standing behind /dev/console.
	Consoles []string `json:"consoles,omitempty"`
	// Stdio is what standard input, output and error are.
	Stdio [3]Stdio `json:"stdio"`
	// ConsoleLevel is the kernel's console_loglevel, 0 where it is not known.
	ConsoleLevel int `json:"console_loglevel"`
	// DevKmsg is kernel.printk_devkmsg: "on", "off", "ratelimit", or "" where the kernel does not say.
	DevKmsg string `json:"printk_devkmsg,omitempty"`
	// Kmsg tells that /dev/kmsg is there.
	Kmsg        bool   `json:"kmsg"`
	NodeName    string `json:"node_name"`
	EtcHostname string `json:"etc_hostname,omitempty"`
	// RTC tells that the machine has a clock of its own.
	RTC bool `json:"rtc"`
	// Built is the launcher's own time of change, the zero time where that is not known.
	Built time.Time `json:"built"`
	// Sysctl is what the files of sysctl.d say.
	Sysctl SysctlFile `json:"sysctl"`
}

// Observe looks at the system; root is "/" where empty. What it does not tell keeps its zero value.
func Observe(root string) Facts {
	path := func(name string) string { return filepath.Join("/", root, name) }
	text := func(name string) string {
		data, err := os.ReadFile(path(name))
		if err != nil {
			return "" // not mounted, not in this kernel or not in this tree: unknown
		}
		return strings.TrimSpace(string(data))
	}
	exists := func(name string) bool {
		_, err := os.Stat(path(name))
		return err == nil
	}
	f := Facts{
		Consoles:    ParseConsoles(text("/sys/class/tty/console/active")),
		DevKmsg:     text("/proc/sys/kernel/printk_devkmsg"),
		Kmsg:        exists("/dev/kmsg"),
		EtcHostname: EtcHostname(text("/etc/hostname")),
		RTC:         exists("/sys/class/rtc/rtc0") || exists("/dev/rtc0"),
	}
	for fd := range f.Stdio {
		f.Stdio[fd] = observeStdio(fd)
	}
	f.ConsoleLevel = ParseConsoleLevel(text("/proc/sys/kernel/printk"))
	if name, err := nodeName(); err == nil {
		f.NodeName = name
	}
	if st, err := os.Stat(path("/proc/self/exe")); err == nil {
		f.Built = st.ModTime()
	}
	dirs := SysctlDirs()
	for i := range dirs {
		dirs[i] = path(dirs[i])
	}
	f.Sysctl = ReadSysctls(dirs, path("/etc/sysctl.conf"))
	return f
}

// ParseConsoleLevel reads console_loglevel, the first of the numbers in /proc/sys/kernel/printk (proc_sys_kernel(5)), or gives
// 0 where there is none.
func ParseConsoleLevel(text string) int {
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\t")
	first, _, _ = strings.Cut(first, " ")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Log makes the log that fits the facts. kmsgOn tells that kernel.printk_devkmsg has been set to "on" since, or is about to be,
// by the steps of Early. Where printk.devkmsg= is on the kernel command line that does not come to be, and the facts hold.
func (f Facts) Log(words []string, kmsgOn bool) *Log {
	kmsgOn = kmsgOn && !has(words, "printk.devkmsg")
	l := &Log{
		Verbosity: ParseVerbosity(words, f.ConsoleLevel),
		Limited:   !kmsgOn && f.DevKmsg != "on",
		Off:       !kmsgOn && f.DevKmsg == "off",
	}
	if f.Kmsg {
		l.Kmsg = OpenKmsg("/dev/kmsg")
	}
	if device := ConsoleDevice(ConsoleDevices(f.Consoles)); device != "" {
		l.Console = OpenTerminal(device)
	}
	return l
}
