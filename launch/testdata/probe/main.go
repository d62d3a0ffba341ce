// Command probe is what the tests' containers run: it tells what a container is like from the inside.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: probe cat|first|serve|dial|wait|limit ARGS"))
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
