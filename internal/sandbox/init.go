package sandbox

import (
	"fmt"
	"os"
)

// Names of the stages, as argv[0] of this program.
const (
	initName   = "dockerlaunch-sandbox-init"
	keeperName = "dockerlaunch-sandbox-keeper"
	enterName  = "dockerlaunch-sandbox-enter"
)

// initCalled guards against a program that was started again for a stage and runs as itself, which would start it again.
var initCalled bool

// Init must come first in main, or in TestMain, of every program that uses this package. Where the program was started for
// a stage of a sandbox, Init is that stage and does not return.
func Init() {
	initCalled = true
	switch os.Args[0] {
	case initName:
		os.Exit(runInit())
	case keeperName:
		os.Exit(runKeeper())
	case enterName:
		os.Exit(runEnter(os.Args[1:]))
	}
}

// complain writes a stage's last words to its stderr.
func complain(stage string, err error) {
	fmt.Fprintf(os.Stderr, "sandbox %s: %v\n", stage, err)
}
