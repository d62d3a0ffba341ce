// Command probe behaves as its first argument says, for the tests of the harness.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "status":
		fmt.Println("out")
		fmt.Fprintln(os.Stderr, "err")
		os.Exit(7)
	case "signal":
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			fmt.Println(err)
		}
		time.Sleep(time.Minute)
	case "hang":
		time.Sleep(time.Minute)
	case "much":
		// Bytes that a terminal in between would change.
		os.Stdout.Write(bytes.Repeat([]byte("\n\r\x04\x11\x13\xff"), 50_000))
	case "orphan":
		// Its child outlives it and holds the output open.
		cmd := exec.Command("/bin/probe", "hang")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
		}
	case "look":
		input, err := io.ReadAll(os.Stdin)
		fmt.Println("stdin", len(input), err)
		dir, err := os.Getwd()
		fmt.Println("dir", dir, err)
		for _, name := range []string{"/proc", "/sys", "/dev"} {
			entries, err := os.ReadDir(name)
			fmt.Println(name, len(entries), err != nil)
		}
		for _, name := range []string{"/extra/file", "/extra/link"} {
			data, err := os.ReadFile(name)
			fmt.Printf("%s %q %v\n", name, data, err)
		}
		fmt.Println("env", os.Getenv("A"), os.Getenv("DOCKERLAUNCH_TEST_STRICT"))
	}
}
