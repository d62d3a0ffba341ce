package pidone

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// makeOrphans makes processes whose parents end at once, as fast as it can.
func makeOrphans(count string) int {
	n, err := strconv.Atoi(count)
	if err != nil {
		return complain(err)
	}
	for made := 0; made < n; made += brood {
		pid, errno := forkOrphans()
		if errno != 0 {
			return complain(fmt.Errorf("making an orphan: %w", errno))
		}
		if _, err := syscall.Wait4(int(pid), nil, 0, nil); err != nil {
			return complain(err)
		}
	}
	return 0
}

// brood is how many orphans one parent leaves.
const brood = 50

// forkOrphans forks, and the child as often as brood says, and ends. No process runs any Go but this.
//
//go:noinline
//go:nosplit
//go:norace
func forkOrphans() (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	for range brood {
		if pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, 0, 0, 0, 0, 0, 0); pid == 0 || errno != 0 {
			break
		}
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
	}
}

const orphans = 20000

// superviseOrphans is PID 1 while its program makes orphans. It prints how many there were, how many zombies are left and its
// own memory in KiB.
func superviseOrphans() int {
	i, err := Start(Options{})
	if err != nil {
		return complain(err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return complain(err)
	}
	exe, err := os.Executable()
	if err != nil {
		return complain(err)
	}
	p, err := i.Spawn(Command{
		Path: exe,
		Args: []string{"maker", strconv.Itoa(orphans)},
		Env:  []string{roleVar + "=make-orphans"},
	})
	if err != nil {
		return complain(err)
	}
	<-p.Done()
	// The last orphans may be running still.
	zombies := 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		all, err := processes()
		if err != nil {
			return complain(err)
		}
		if zombies = len(all) - 1; zombies == 0 {
			break
		}
	}
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return complain(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	fmt.Println(p.Status().ExitCode(), i.Orphans(), zombies, strings.Fields(rest)[0])
	return 0
}

func TestOrphansLeaveNothing(t *testing.T) {
	cmd := asPID1(t, program(t, "supervise-orphans"))
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
	cmd.SysProcAttr.Unshareflags |= unix.CLONE_NEWNS // its mounts become private
	cmd.Stderr = os.Stderr
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var code, reaped, zombies, rss int
	if _, err := fmt.Sscan(string(out), &code, &reaped, &zombies, &rss); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	t.Logf("%d orphans in %s; resident memory of PID 1: %d KiB", reaped, time.Since(began), rss)
	if code != 0 || reaped != orphans || zombies != 0 {
		t.Errorf("exit status %d, %d orphans reaped, %d zombies left", code, reaped, zombies)
	}
	if rss >= 8<<10 {
		t.Errorf("PID 1 takes %d KiB of memory", rss)
	}
}

// TestSubreaper: where it is not PID 1, orphans come to it all the same.
func TestSubreaper(t *testing.T) {
	if !testenv.InNamespaces(t, 0) { // a process of its own: what Start takes over would be missed by the other tests
		return
	}
	i, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := i.Orphans()
	out, s := capture(t, i, shell("(sleep 0.2; exec cat /proc/self/status) & exit 3"))
	if s.ExitCode() != 3 {
		t.Error(s)
	}
	_, rest, _ := strings.Cut(out, "PPid:")
	if parent := strings.Fields(rest + " none")[0]; parent != strconv.Itoa(os.Getpid()) {
		t.Errorf("the orphan has the parent %s instead of %d", parent, os.Getpid())
	}
	eventually(t, "the orphan is reaped", func() bool { return i.Orphans() > before })
}

// TestNoStatusIsLost starts short processes from many goroutines while orphans come in.
func TestNoStatusIsLost(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	const workers, each = 20, 100
	maker := spawn(t, i, Command{
		Path: self(t),
		Args: []string{"maker", strconv.Itoa(1 << 30)},
		Env:  []string{roleVar + "=make-orphans"},
	})
	var wg sync.WaitGroup
	var wrong atomic.Int32
	for worker := range workers {
		wg.Go(func() {
			for n := range each {
				want := (worker*each + n) % 256
				c := shell(fmt.Sprintf("exit %d", want))
				c.Env = os.Environ()
				p, err := i.Spawn(c)
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-p.Done():
				case <-time.After(patience):
					t.Errorf("no end of process %d", p.PID())
					return
				}
				if got := p.Status(); got.ExitCode() != want || got.Signal() != 0 {
					wrong.Add(1)
					t.Errorf("%s instead of %d", got, want)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d processes, %d wrong, and %d orphans meanwhile", workers*each, wrong.Load(), i.Orphans())
	if i.Orphans() == 0 {
		t.Error("no orphans came in")
	}
	if err := maker.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ends(t, maker)
	eventually(t, "every process is reaped", func() bool {
		all, err := processes()
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == 1
	})
	if len(i.children) != 0 {
		t.Errorf("%d children are remembered", len(i.children))
	}
}

// TestPanicGoesOn: a goroutine panics, and PID 1 goes on, in its one place for that.
func TestPanicGoesOn(t *testing.T) {
	if inNamespace := inNamespace(t); inNamespace == nil {
		return
	}
	type report struct {
		value any
		stack string
	}
	reports := make(chan report, 1)
	i := &Init{options: Options{OnPanic: func(value any, stack []byte) { reports <- report{value, string(stack)} }}}
	i.Go(func() { panic("oh") })
	r := <-reports
	if r.value != "oh" || !strings.Contains(r.stack, "TestPanicGoesOn") {
		t.Errorf("%v\n%s", r.value, r.stack)
	}
	var none map[string]int
	i.Go(func() { none["a"] = 1 })
	if r := <-reports; !strings.Contains(fmt.Sprint(r.value), "nil map") {
		t.Errorf("%v", r.value)
	}
}
