// Command stub stands in for the launcher in the sandbox's tests: as PID 1 it tells what it finds, or misbehaves as told.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Report is what a PID 1 finds. The test has the same struct.
type Report struct {
	PID        int
	Hostname   string
	Args       []string
	Env        []string
	ProcBefore []string // entries of /proc, before it was mounted
	SysBefore  []string
	Mountinfo  string
	Cgroup     string
	Status     string
	Namespaces map[string]string
	FDs        map[string]string
	Up         map[string]bool // by network device
	Route      string
	Forward    string
	Root       []string
}

// The main goroutine keeps the first thread, so that every other goroutine runs on another one.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: stub WORD [ARGS...]")
		os.Exit(2)
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "report":
		report()
	case "exit":
		fmt.Println("out: leaving")
		fmt.Fprintln(os.Stderr, "err: leaving")
		n, err := strconv.Atoi(args[0])
		check(err)
		os.Exit(n)
	case "write":
		check(os.WriteFile(args[0], []byte(args[1]), 0o600))
	case "cat":
		b, err := os.ReadFile(args[0])
		check(err)
		os.Stdout.Write(b)
	case "dial":
		c, err := net.DialTimeout("tcp", args[0], 3*time.Second)
		check(err)
		b, err := io.ReadAll(c)
		check(err)
		os.Stdout.Write(b)
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Hour)
	case "sleep":
		time.Sleep(time.Hour)
	case "rethread":
		rethread(args)
	case "serve":
		serve(args)
	}
}

// serve answers HTTP's /_ping on the socket that a daemon would have, and echoes the clients' addresses on TCP port 7. It has
// children, one of them in a group below its own and a session of its own, as a container is; it ends with status 7 on
// SIGTERM.
func serve(args []string) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	check(os.MkdirAll("/proc", 0o755))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	child := exec.Command("/proc/self/exe", "sleep")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr // there is no /dev/null to open
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(child.Start())
	for i := 0; i+1 < len(args); i += 2 { // pairs of a v1 controller and a name
		check(os.MkdirAll("/cg", 0o755))
		check(syscall.Mount("cgroup", "/cg", "cgroup", 0, args[i]))
		dir := "/cg/" + args[i+1]
		check(os.MkdirAll(dir+"/nested", 0o755))
		check(os.WriteFile(dir+"/nested/cgroup.procs", []byte(strconv.Itoa(child.Process.Pid)), 0))
		check(syscall.Unmount("/cg", 0))
	}
	check(os.MkdirAll("/run", 0o755))
	os.Remove("/run/docker.sock")
	l, err := net.Listen("unix", "/run/docker.sock")
	check(err)
	go func() {
		for {
			c, err := l.Accept()
			check(err)
			buf := make([]byte, 4096)
			c.Read(buf)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
			c.Close()
		}
	}()
	t, err := net.Listen("tcp4", ":7")
	check(err)
	go func() {
		for {
			c, err := t.Accept()
			check(err)
			io.WriteString(c, c.RemoteAddr().String())
			c.Close()
		}
	}()
	fmt.Println("serving")
	<-term
	os.Exit(7)
}

// rethread executes the stub again from a thread that is not the first.
func rethread(args []string) {
	failed := make(chan error)
	go func() {
		failed <- syscall.Exec(os.Args[0], append(os.Args[:1], args...), os.Environ())
	}()
	check(<-failed)
}

func report() {
	r := Report{PID: os.Getpid(), Args: os.Args, Env: os.Environ(), Namespaces: map[string]string{}, FDs: map[string]string{}, Up: map[string]bool{}}
	var err error
	r.Hostname, err = os.Hostname()
	check(err)
	r.ProcBefore, r.SysBefore, r.Root = names("/proc"), names("/sys"), names("/")
	check(os.MkdirAll("/proc", 0o755))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	r.Mountinfo, r.Cgroup, r.Route, r.Status = read("/proc/self/mountinfo"), read("/proc/self/cgroup"), read("/proc/net/route"), read("/proc/self/status")
	r.Forward = strings.TrimSpace(read("/proc/sys/net/ipv4/ip_forward"))
	for _, n := range names("/proc/self/ns") {
		r.Namespaces[n], _ = os.Readlink("/proc/self/ns/" + n)
	}
	for _, n := range names("/proc/self/fd") {
		if to, err := os.Readlink("/proc/self/fd/" + n); err == nil {
			r.FDs[n] = to
		}
	}
	devices, err := net.Interfaces()
	check(err)
	for _, d := range devices {
		r.Up[d.Name] = d.Flags&net.FlagUp != 0
	}
	check(json.NewEncoder(os.Stdout).Encode(r))
}

func names(dir string) []string {
	var n []string
	entries, err := os.ReadDir(dir)
	if err != nil && !strings.Contains(err.Error(), "no such file") {
		check(err)
	}
	for _, e := range entries {
		n = append(n, e.Name())
	}
	return n
}

func read(path string) string {
	b, err := os.ReadFile(path)
	check(err)
	return string(b)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "stub:", err)
		os.Exit(99)
	}
}
