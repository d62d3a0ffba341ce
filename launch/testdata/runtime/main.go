// Command runtime is the launcher's runtime wrapper alone. It stands in front of runc where the tests' machine lacks
// capabilities, as nested machines often do; where the machine lacks nothing it changes nothing.
package main

import (
	"os"

	"github.com/dockerlaunch/dockerlaunch/launch/runtime"
)

func main() { os.Exit(runtime.Main(os.Args, os.Environ(), os.Stderr)) }
