// Command guest is what the tests' containers run.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: guest first|serve|dial|write|wait|exit ARGS"))
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "first": // FILE...: the first of them that is there
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
			fmt.Fprint(c, args[1]) // a peer that is gone takes nothing
			c.Close()
		}
	case "dial": // ADDRESS: what comes from there; it tries until somebody is there
		fmt.Print(dial(args[0]))
	case "write": // FILE TEXT
		fail(os.WriteFile(args[0], []byte(args[1]), 0o644))
	case "wait": // [DURATION]: until it is told to stop, and then so long
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("waiting")
		<-stop
		if len(args) > 0 {
			pause, err := time.ParseDuration(args[0])
			fail(err)
			time.Sleep(pause)
		}
	case "exit": // STATUS
		status, err := strconv.Atoi(args[0])
		fail(err)
		os.Exit(status)
	default:
		fail(fmt.Errorf("no such word: %s", os.Args[1]))
	}
}

func dial(address string) string {
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err == nil {
			var data []byte
			if data, err = io.ReadAll(c); err == nil {
				return string(data)
			}
		}
		if time.Now().After(end) {
			fail(err)
		}
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
