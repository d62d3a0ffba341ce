package runtime

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// call is what a command line of runc says that matters here.
type call struct {
	// file is the one to edit, empty where there is none.
	file string
	// whole is true for a file that holds a process, and false for one that has it as its member.
	whole bool
	// log and json are where and how runc writes its messages.
	log  string
	json bool
}

// parse reads a command line of runc without its name. Its parser (github.com/urfave/cli, on top of package flag) takes
// one dash or two and ends an option's value with the word; an exec's options end at the first operand, which the
// container's own command stands behind.
func parse(args []string) call {
	createValues := []string{"bundle", "b", "console-socket", "pidfd-socket", "pid-file", "preserve-fds"}
	execValues := []string{"process", "p", "console-socket", "pidfd-socket", "cwd", "env", "e", "user", "u",
		"additional-gids", "g", "pid-file", "process-label", "apparmor", "cap", "c", "preserve-fds", "cgroup"}
	execSwitches := []string{"tty", "t", "detach", "d", "no-new-privs", "ignore-paused"}
	var c call
	var verb string
	verb, args = c.global(args)
	switch verb {
	case "create", "run":
		// The folder is the current one where none is named (runc, create.go).
		bundle := "."
		for len(args) > 0 {
			var name, value string
			var ok bool
			if name, value, args, ok = next(args, createValues); !ok {
				args = args[1:] // the container's name
				continue
			}
			if name == "bundle" || name == "b" {
				bundle = value
			}
		}
		c.file = filepath.Join(bundle, "config.json")
	case "exec":
		for len(args) > 0 {
			name, value, rest, ok := next(args, execValues)
			if !ok || !slices.Contains(execValues, name) && !slices.Contains(execSwitches, name) {
				// The first operand, or an option of a newer runc of which nobody knows here whether it takes the next word.
				return c
			}
			if name == "process" || name == "p" {
				c.file, c.whole = value, true
			}
			args = rest
		}
	}
	return c
}

// global reads the options in front of the verb; where one of them is unknown there is no verb.
func (c *call) global(args []string) (verb string, rest []string) {
	for len(args) > 0 {
		name, value, rest, ok := next(args, []string{"log", "log-format", "root", "criu", "rootless"})
		if !ok {
			return args[0], args[1:]
		}
		switch name {
		case "log":
			c.log = value
		case "log-format":
			c.json = value == "json"
		case "root", "criu", "rootless", "debug", "systemd-cgroup":
		default:
			return "", nil
		}
		args = rest
	}
	return "", nil
}

// next reads one option off the front of args, which are not empty. ok is false where an operand stands there.
func next(args, withValue []string) (name, value string, rest []string, ok bool) {
	word := args[0]
	if len(word) < 2 || word[0] != '-' || word == "--" {
		return "", "", args, false
	}
	name, value, attached := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
	rest = args[1:]
	if !attached && slices.Contains(withValue, name) && len(rest) > 0 {
		value, rest = rest[0], rest[1:]
	}
	return name, value, rest, true
}

// warn appends a message to runc's log, in its form. Where there is no log, or it cannot be written, nobody is left to tell:
// standard error is the container's.
func (c call) warn(message string) {
	if c.log == "" {
		return
	}
	fd, err := unix.Open(c.log, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return
	}
	now := time.Now().UTC().Format(time.RFC3339)
	line := fmt.Sprintf("time=%q level=warning msg=%q\n", now, message)
	if c.json {
		line = fmt.Sprintf(`{"level":"warning","msg":%s,"time":%q}`+"\n", quote(message), now)
	}
	_, _ = unix.Write(fd, []byte(line)) // see above
	_ = unix.Close(fd)
}
