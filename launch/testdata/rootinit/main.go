// Command rootinit is the init of a root on a disk: it tells what the root is like, tries to write to it, and turns the machine off.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

func main() {
	fmt.Printf("rootinit: process %d, %q\n", os.Getpid(), os.Args)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		fmt.Println("rootinit:", err)
	}
	for line := range strings.Lines(string(mounts)) {
		// ID, parent, device, root, mount point, options ... - type, source, options
		fields := strings.Fields(line)
		last := len(fields) - 1
		fmt.Printf("rootinit: mount %s %s, %s %s\n", fields[4], fields[5], fields[last-2], fields[last])
	}
	if err := os.WriteFile("/written", []byte("by the init of the root\n"), 0o644); err != nil {
		fmt.Println("rootinit:", err)
	} else {
		fmt.Println("rootinit: written")
	}
	// What the kernel says of a process 1 that ends is for the test to see.
	if err := syscall.Mount("", "/", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		fmt.Println("rootinit:", err)
	}
	syscall.Sync()
	if err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("rootinit:", err)
	}
}
