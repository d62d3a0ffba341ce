// Command late stands in front of a program that a test wants to be late: it waits until the file /go is there, and then executes
// /opt/late/NAME in its own place, NAME being the one by which it was called itself.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat("/go"); err == nil {
			path := filepath.Join("/opt/late", filepath.Base(os.Args[0]))
			fmt.Fprintln(os.Stderr, syscall.Exec(path, os.Args, os.Environ()))
			os.Exit(1)
		}
	}
	fmt.Fprintln(os.Stderr, "late: nobody made /go")
	os.Exit(1)
}
