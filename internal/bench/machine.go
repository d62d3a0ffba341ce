package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine describes where the figures come from. What the system does not say is empty.
type Machine struct {
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	MemoryMiB int     `json:"memory_mib"`
	Kernel    string  `json:"kernel"`
	Governor  string  `json:"governor,omitempty"`
	Load1     float64 `json:"load_1min"` // before the first run
	Time      string  `json:"time"`
	// Versions are of the programs compared, and of the source they are built from; the caller fills them in.
	Versions []Version `json:"versions"`
}

// Version is a program's own words on its version.
type Version struct {
	Program string `json:"program"`
	Version string `json:"version"`
}

// DescribeMachine reads /proc and /sys.
func DescribeMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Time: time.Now().UTC().Format(time.RFC3339), Versions: []Version{}}
	m.CPU = field("/proc/cpuinfo", "model name")
	if kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m.MemoryMiB = kib >> 10
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	m.Governor = strings.TrimSpace(file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
	if fields := strings.Fields(file("/proc/loadavg")); len(fields) > 0 {
		m.Load1, _ = strconv.ParseFloat(fields[0], 64) // 0 where there is none
	}
	return m
}

// file is a file's content, and empty where it cannot be read: a description may have gaps.
func file(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

func field(path, key string) string {
	for line := range strings.Lines(file(path)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// String is the description in two lines or more.
func (m Machine) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %d MiB, Linux %s, load %.2f", m.CPU, m.Cores, m.MemoryMiB, m.Kernel, m.Load1)
	if m.Governor != "" {
		fmt.Fprintf(&b, ", governor %s", m.Governor)
	}
	for _, v := range m.Versions {
		fmt.Fprintf(&b, "\n%s: %s", v.Program, v.Version)
	}
	return b.String()
}
