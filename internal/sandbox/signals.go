package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// handlerTimeout bounds the wait for a launcher that has just been executed to take care of its signals.
const handlerTimeout = 3 * time.Second

// awaitHandler waits until the launcher handles or ignores a signal. The kernel drops a signal for a PID 1 that has it at its
// default (pid_namespaces(7)), so one that is sent right after exec would be lost.
func (s *Sandbox) awaitHandler(sig syscall.Signal) {
	for end := time.Now().Add(handlerTimeout); time.Now().Before(end) && !s.ended(); time.Sleep(5 * time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
		if err != nil || handles(string(status), sig) {
			return // gone, or ready
		}
	}
}

// handles reads the masks of /proc/PID/status: bit n-1 stands for signal n (proc_pid_status(5)).
func handles(status string, sig syscall.Signal) bool {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		if name != "SigCgt" && name != "SigIgn" {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err == nil && mask&(1<<(sig-1)) != 0 {
			return true
		}
	}
	return false
}
