package guards

import (
	"cmp"
	"regexp"
	"strings"
)

// Trace is what a log of `strace -f -o LOG --pidns-translation` says about a program, from its execution on: what it does itself, and not what the
// programs do that it starts.
type Trace struct {
	Calls  map[string]int // system calls by name, without those that are the scheduler's of Go
	Total  int            // of Calls
	Forked int            // processes, without threads
	Execed []string       // programs, the first excluded
}

// scheduling are system calls whose number goes by the moment: a goroutine that waits a little, a thread that is started or
// woken, memory that is asked for.
const scheduling = " futex nanosleep clock_nanosleep sched_yield epoll_pwait epoll_wait tgkill rt_sigreturn getpid gettid madvise " +
	"restart_syscall sched_getaffinity timer_settime timer_create timer_delete rt_sigprocmask sigaltstack mmap munmap mprotect " +
	"prctl arch_prctl set_robust_list rseq rt_sigaction clone clone3 vfork fork wait4 waitid exit exit_group "

// number is what a call returns; of a task in another PID namespace, the number that it has in strace's own comes second.
const number = `(-?\d+)(?: /\* (\d+) in strace's PID NS \*/)?`

var (
	callLine   = regexp.MustCompile(`^(\d+) +([a-z_0-9]+)\((.*)`)
	resumeLine = regexp.MustCompile(`^(\d+) +<\.\.\. (clone3?|v?fork|execve) resumed>.*\) += ` + number)
	result     = regexp.MustCompile(`\) += ` + number)
	execPath   = regexp.MustCompile(`^"([^"]*)"`)
)

// ReadTrace reads the log from the execution of the program with the path from to that of last, and tells whether it came to
// that.
func ReadTrace(log, from, last string) (t Trace, complete bool) {
	r := reader{from: from, last: last, own: map[string]bool{}, known: map[string]bool{}, making: map[string]bool{}, executing: map[string]string{}}
	r.Calls = map[string]int{}
	for line := range strings.Lines(log) {
		r.line(line)
		if r.complete {
			break
		}
	}
	return r.Trace, r.complete
}

// reader reads a log line by line.
type reader struct {
	Trace
	from, last      string
	begun, complete bool
	own             map[string]bool // tasks that run the program, or are about to run another
	known           map[string]bool // tasks that appeared
	// Calls that are not finished: tasks that make another, and the programs that tasks execute. A task that appears before
	// the call that made it has returned is that caller's.
	making    map[string]bool
	executing map[string]string
}

func (r *reader) line(line string) {
	if m := resumeLine.FindStringSubmatch(line); m != nil {
		r.returned(m[1], m[2], cmp.Or(m[4], m[3]))
		return
	}
	m := callLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	task, name, rest := m[1], m[2], m[3]
	if !r.known[task] {
		r.known[task] = true
		for maker := range r.making {
			r.own[task] = r.own[task] || r.own[maker]
		}
	}
	if r.own[task] && !strings.Contains(scheduling, " "+name+" ") {
		r.Calls[name]++
		r.Total++
	}
	switch name {
	case "execve":
		r.executing[task] = ""
		if p := execPath.FindStringSubmatch(rest); p != nil {
			r.executing[task] = p[1]
		}
	case "clone", "clone3", "fork", "vfork":
		r.making[task] = true
		if r.own[task] && !strings.Contains(rest, "CLONE_THREAD") {
			r.Forked++
		}
	default:
		return
	}
	if m := result.FindStringSubmatch(rest); m != nil {
		r.returned(task, name, cmp.Or(m[2], m[1]))
	}
}

// returned is the end of a call that makes a task or executes a program.
func (r *reader) returned(task, name, value string) {
	if name != "execve" {
		delete(r.making, task)
		r.own[value] = r.own[task] && (r.own[value] || !r.known[value])
		r.known[value] = true
		return
	}
	path := r.executing[task]
	switch {
	case value != "0":
	case !r.begun:
		r.begun = path == r.from
		r.own[task] = r.begun
	case r.own[task]:
		r.Execed = append(r.Execed, path)
		r.own[task] = false
		r.complete = path == r.last
	}
}
