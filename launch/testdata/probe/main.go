// Command probe is what the tests' containers run: it tells what a container is like from the inside.
package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: probe cat|first|serve|dial|wait|last|kill|zombies|traces|limit ARGS"))
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "cat": // all files, one after the other
		for _, name := range args {
			data, err := os.ReadFile(name)
			fail(err)
			fmt.Print(string(data))
		}
	case "first": // the first of the files that is there
		for _, name := range args {
			if data, err := os.ReadFile(name); err == nil {
				fmt.Print(string(data))
				return
			}
		}
		fail(fmt.Errorf("none of %q is there", args))
	case "serve": // ADDRESS TEXT: TEXT for everybody who connects
		l, err := net.Listen("tcp", args[0])
		fail(err)
		fmt.Println("serving")
		for {
			c, err := l.Accept()
			fail(err)
			fmt.Fprintln(c, args[1])
			c.Close()
		}
	case "dial": // ADDRESS: what comes from there
		c, err := net.DialTimeout("tcp", args[0], 10*time.Second)
		fail(err)
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		fail(err)
		fmt.Print(string(buf[:n]))
	case "wait": // until it is told to stop
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("waiting")
		<-stop
	case "last": // FILE TEXT: wait until told to stop, and write TEXT to the file then, a second later
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("waiting")
		<-stop
		time.Sleep(time.Second)
		f, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		fail(err)
		_, err = fmt.Fprintln(f, args[1])
		fail(err)
		fail(f.Close())
	case "kill": // SIGNAL NAME: all processes of that name, in a container with the machine's processes
		number, err := strconv.Atoi(args[0])
		fail(err)
		found := 0
		names, err := filepath.Glob("/proc/[0-9]*/comm")
		fail(err)
		for _, name := range names {
			comm, err := os.ReadFile(name)
			if err != nil || strings.TrimSpace(string(comm)) != args[1] {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			fail(err)
			fail(syscall.Kill(pid, syscall.Signal(number)))
			found++
		}
		fmt.Println(found)
	case "zombies": // how many processes nobody has waited for
		names, err := filepath.Glob("/proc/[0-9]*/stat")
		fail(err)
		count := 0
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err == nil && strings.HasPrefix(string(data)[strings.LastIndexByte(string(data), ')')+1:], " Z") {
				count++
			}
		}
		fmt.Println(count)
	case "traces": // TEXT: the machine's mounts, control groups and processes that have it, in a container with its processes
		mounts, err := os.ReadFile("/proc/1/mountinfo")
		fail(err)
		for line := range strings.Lines(string(mounts)) {
			if strings.Contains(line, args[0]) {
				fmt.Print("mount ", line)
			}
		}
		fail(filepath.WalkDir("/proc/1/root/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && strings.Contains(path, args[0]) {
				fmt.Println("cgroup", path)
			}
			return nil // one that goes away meanwhile is not there
		}))
		groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
		fail(err)
		for _, group := range groups {
			text, err := os.ReadFile(group)
			if err == nil && strings.Contains(string(text), args[0]) {
				comm, err := os.ReadFile(filepath.Join(filepath.Dir(group), "comm"))
				fmt.Println("process", strings.TrimSpace(string(comm)), strings.TrimSpace(string(text)), err)
			}
		}
	case "limit": // the limit of open files; the Go runtime raises its own soft one, so that /proc of the parent is no help
		var l syscall.Rlimit
		fail(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l))
		fmt.Println(l.Max)
	default:
		fail(fmt.Errorf("no such word: %s", os.Args[1]))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
