package power

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is a process that a signal ends, some time.
type Process struct {
	PID  int
	Name string // its comm
}

func (p Process) String() string { return fmt.Sprintf("%s (%d)", p.Name, p.PID) }

// pfKthread is PF_KTHREAD of include/linux/sched.h.
const pfKthread = 0x00200000

// parseStat reads the line of /proc/PID/stat (proc_pid_stat(5)): counts is whether the process is one that a signal can end,
// that is no thread of the kernel's and no zombie. The name may hold anything, parentheses and newlines too.
func parseStat(text string) (p Process, counts bool, err error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p, false, fmt.Errorf("%.60q has no process name in it", text)
	}
	if p.PID, err = strconv.Atoi(strings.TrimSpace(text[:open])); err != nil || p.PID < 1 {
		return p, false, fmt.Errorf("%.60q begins with no process ID", text)
	}
	p.Name = text[open+1 : end]
	fields := strings.Fields(text[end+1:])
	if len(fields) < 7 {
		return p, false, fmt.Errorf("%.60q ends too early", text)
	}
	flags, err := strconv.ParseUint(fields[6], 10, 32)
	if err != nil {
		return p, false, fmt.Errorf("%.60q has no flags: %w", text, err)
	}
	state := fields[0]
	return p, flags&pfKthread == 0 && state != "Z" && state != "X" && state != "x", nil
}

// otherProcesses lists the processes of this PID namespace but PID 1 and this one.
func otherProcesses() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("looking for processes: %w", err)
	}
	self := os.Getpid()
	var all []Process
	found := false
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		found = true
		if pid == 1 || pid == self {
			continue
		}
		data, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("looking for processes: %w", err)
		}
		p, counts, err := parseStat(string(data))
		if err != nil {
			return nil, fmt.Errorf("looking for processes: /proc/%d/stat: %w", pid, err)
		}
		if counts {
			all = append(all, p)
		}
	}
	if !found {
		return nil, errors.New("looking for processes: /proc is not mounted")
	}
	return all, nil
}

// signalOthers sends a signal to every process of this PID namespace but PID 1 and this one, by kill(-1).
func signalOthers(s unix.Signal) error {
	if err := unix.Kill(-1, s); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill(-1, %s): %w", unix.SignalName(s), err)
	}
	return nil
}

// names lists some processes for a message.
func names(all []Process) string {
	const most = 8
	var list []string
	for _, p := range all[:min(len(all), most)] {
		list = append(list, p.String())
	}
	text := strings.Join(list, ", ")
	if len(all) > most {
		text += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return text
}
