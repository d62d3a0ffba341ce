package main

import (
	"os"

	"github.com/dockerlaunch/dockerlaunch/modules"
)

func main() {
	os.Exit(modules.Modprobe(os.Args[1:], os.Getenv("MODPROBE_OPTIONS"), os.Stdout, os.Stderr))
}
