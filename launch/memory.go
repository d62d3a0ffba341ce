package launch

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// giveBack gives back the memory that only the start needed. A supervisor runs for as long as its machine, and does next
// to nothing: of its heap little is left, and of the program's own pages few are touched again. Those come back from the
// page cache when they are (madvise(2), MADV_DONTNEED on a file that is mapped privately and was not written to).
func giveBack() error {
	debug.FreeOSMemory()
	return givePagesBack()
}

// bootGarbage is how much of a machine's memory may be garbage while it boots, in percent of what is not.
const bootGarbage = 400

// collectLess has the garbage of a boot lie, most of it from kernel modules, until the daemon is ready and giveBack collects it, or
// for coldplugLimit: drivers, containerd and the daemon are all to be started then, and wait for processors.
func (s *supervisor) collectLess() {
	usual := debug.SetGCPercent(bootGarbage)
	s.init.Go(func() {
		<-s.boot.rest.Done()
		debug.SetGCPercent(usual)
	})
}

// givePagesBack gives back the program's own pages alone, which takes a tenth of a millisecond.
func givePagesBack() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("giving back memory: %w", err)
	}
	data, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("giving back memory: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		// 00400000-006e8000 r-xp 00001000 fe:00 1234   /usr/bin/dockerlaunch (proc_pid_maps(5))
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[5] != exe || fields[1] != "r-xp" && fields[1] != "r--p" {
			continue
		}
		begin, end, _ := strings.Cut(fields[0], "-")
		from, err := strconv.ParseUint(begin, 16, 64)
		if err != nil {
			return fmt.Errorf("giving back memory: /proc/self/maps: %w", err)
		}
		to, err := strconv.ParseUint(end, 16, 64)
		if err != nil {
			return fmt.Errorf("giving back memory: /proc/self/maps: %w", err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("giving back memory: madvise %s: %w", fields[0], errno)
		}
	}
	return nil
}
