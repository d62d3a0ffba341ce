// Command slowfsck stands for an e2fsck that takes long, during which a machine is asked to power off.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func main() {
	fmt.Println("slowfsck", os.Args[1:])
	if err := syscall.Kill(1, syscall.SIGUSR2); err != nil {
		fmt.Println(err)
		os.Exit(8)
	}
	time.Sleep(time.Hour)
}
