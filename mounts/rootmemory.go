package mounts

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	// maxWorkers copy at the same time. Copying memory is bound by its bandwidth, which few processors use up.
	maxWorkers = 4
	// pieceSize is what a worker copies before it gives the source's memory back.
	pieceSize = 8 << 20
	// moveMargin is left for everything else that happens meanwhile: kernel structures, this program, devices.
	moveMargin = 16 << 20
)

// need is how many bytes of memory a move takes at its peak beyond what the content takes already.
func (t *treeCopy) need() uint64 {
	var largest [maxWorkers]uint64 // descending
	for i := range t.nodes {
		size := t.nodes[i].held()
		if t.shrink && !t.nodes[i].busy {
			size = min(size, pieceSize)
		}
		for j := range largest[:min(t.workers, maxWorkers)] {
			if size > largest[j] {
				largest[j], size = size, largest[j]
			}
		}
	}
	sum := uint64(moveMargin)
	for _, size := range largest {
		sum += size
	}
	return sum
}

// fits compares the need with the memory there is, and gives the limit for the new tmpfs.
func (m RootMove) fits(t *treeCopy) (limit uint64, err error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, rootError("ask for the memory to move", err)
	}
	total, available := meminfo(string(text), "MemTotal"), meminfo(string(text), "MemAvailable")
	if available == 0 { // before Linux 3.14
		available = meminfo(string(text), "MemFree")
	}
	return m.judge(t, total, available)
}

// judge is fits with the figures given. It is pure.
func (m RootMove) judge(t *treeCopy, total, available uint64) (limit uint64, err error) {
	need, content := t.need(), t.content()
	refuse := func(detail, advice string) (uint64, error) {
		e := rootFailure("move", &Error{Kind: ErrNoMemory, Detail: detail, Advice: advice})
		return 0, e
	}
	if need > available {
		return refuse(fmt.Sprintf("%d MiB of content need %d MiB more while they move, and %d MiB are available",
			mib(content), mib(need), available>>20), "give the machine more memory, or make the initramfs smaller")
	}
	limit = m.Limit
	if limit == 0 {
		limit = content + (max(total, content)-content)/2
	}
	if limit < content {
		return refuse(fmt.Sprintf("%d MiB of content do not fit into the limit of %d MiB", mib(content), limit>>20), "raise the limit")
	}
	return limit, nil
}

// mib rounds up.
func mib(bytes uint64) uint64 { return (bytes + 1<<20 - 1) >> 20 }

// meminfo gives a value of /proc/meminfo in bytes, 0 where it is missing. See proc_meminfo(5).
func meminfo(text, name string) uint64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 53)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

// alone tells whether this is the only process with a program of its own, kernel threads having none. Where that cannot be
// told it is not. It needs /proc.
func alone() bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	self := strconv.Itoa(os.Getpid())
	found := false
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if e.Name() == self {
			found = true
			continue
		}
		if _, err := os.Readlink("/proc/" + e.Name() + "/exe"); err == nil || os.IsPermission(err) {
			return false
		}
	}
	return found
}
