// Package script is what the host and the init of a test machine say to each other: the work to do, laid into the initramfs,
// and the events that come back through the second serial port, one JSON object a line.
package script

import "time"

const (
	// Path is where the init finds its Script.
	Path = "/.vm/script.json"
	// Report is the character device of the second serial port; a node of its own, since nothing is mounted on /dev.
	Report = "/.vm/report"
	// ReportMajor and ReportMinor are /dev/ttyS1's, by the kernel's Documentation/admin-guide/devices.txt.
	ReportMajor = 4
	ReportMinor = 65
)

// Script is the work of one boot.
type Script struct {
	// Mount names what is mounted before the commands: "proc", "sys", "dev", "tmp". Empty leaves the kernel bare.
	Mount    []string  `json:"mount,omitempty"`
	Commands []Command `json:"commands"`
}

// Command is one program that the init runs to its end before it starts the next.
type Command struct {
	Path string   `json:"path"`
	Args []string `json:"args,omitempty"` // without the program's name
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir"`
	// Limit ends the program's process group; zero means none but the machine's.
	Limit time.Duration `json:"limit,omitempty"`
}

// Event is one line of the report.
type Event struct {
	// Kind is "ready", "output", "exit", "done" or "error".
	Kind    string `json:"kind"`
	Command int    `json:"command,omitempty"` // index of the command
	Data    []byte `json:"data,omitempty"`    // output: standard output and error as they came
	// Status of an exit is the program's, 128+n when signal n ended it, 127 when it did not start.
	Status  int    `json:"status,omitempty"`
	Message string `json:"message,omitempty"` // error, and why an exit has status 127
}
