// Command library is an init of somebody else's that hands over to Docker by way of the library.
package main

import (
	"fmt"
	"os"

	"github.com/dockerlaunch/dockerlaunch/launch"
)

func main() {
	err := launch.LaunchDocker(os.Args[1], os.Args[2:]...)
	fmt.Fprintln(os.Stderr, "library:", err)
	os.Exit(launch.ExitStatus(err))
}
