package main

import (
	"github.com/dockerlaunch/dockerlaunch/modules"
	"os"
)

func main() { os.Exit(modules.Modprobe(os.Args[1:], os.Stdout, os.Stderr)) }
