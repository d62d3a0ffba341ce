// Command stub stands for a daemon where a test wants to see what the launcher hands over, and nothing of Docker.
// It prints its arguments, environment, PID, open files and the process's limits, and ends with the status in STUB_EXIT.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func main() {
	for _, arg := range os.Args {
		fmt.Printf("arg %s\n", arg)
	}
	for _, entry := range os.Environ() {
		fmt.Printf("env %s\n", entry)
	}
	fmt.Printf("pid %d\n", os.Getpid())
	for fd := range 20 {
		if target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil {
			fmt.Printf("fd %d %s\n", fd, target)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(status)
	if data, err := os.ReadFile("/proc/self/oom_score_adj"); err == nil {
		fmt.Printf("oom %s", data)
	}
	if os.Getenv("STUB_EXIT") == "signal" {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			fmt.Println(err)
		}
	}
	code, err := strconv.Atoi(os.Getenv("STUB_EXIT"))
	if err != nil {
		code = 0
	}
	os.Exit(code)
}
