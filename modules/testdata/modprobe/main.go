package main

import (
	"github.com/dockerlaunch/dockerlaunch/modules"
	"os"
)

func main() {
	os.Exit(modules.Modprobe(append(modules.SplitOptions(os.Getenv("MODPROBE_OPTIONS")), os.Args[1:]...), os.Stdout, os.Stderr))
}
