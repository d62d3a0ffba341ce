//go:build linux && amd64

package faults

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Judge returns what is wrong with a run; "" where nothing is. plain is the same scene's run without a fault, reason why
// nobody needs to be told of this fault, "" where somebody does.
func Judge(plain, run *Run, f Fault, reason string) string {
	fresh := news(plain.Said, run.Said)
	told := len(fresh) > 0
	switch {
	case run.Hits == 0:
		return "" // the operation did not come up: another thread was faster this time
	case run.Hung:
		return "it hangs"
	case strings.Contains(run.Said, "panic:"), strings.Contains(run.Said, "goroutine "), strings.Contains(run.Said, "mistake in the launcher"):
		return "it panics"
	case len(run.Left) > 0:
		return fmt.Sprintf("children are left: %q", run.Left)
	case run.Status == 128+int(unix.SIGPIPE) && strings.Contains(run.Said, "killed by SIGPIPE"):
		return "" // the daemon's end, whose output could not be read any more, as that was told
	case !slices.Contains([]int{0, 2, 3, 126, 127}, run.Status):
		return fmt.Sprintf("exit status %d is not documented", run.Status)
	case run.Status != 0 && !told:
		return "it stops silently"
	case run.Status == 0 && started(run.Said) == "" && started(plain.Said) != "" && f.Op.Call != "write":
		return "it ends well without having started the daemon"
	case !told && reason == "" && run.Status == plain.Status:
		return "it goes on silently"
	case told && !names(fresh, f) && reason == "":
		return "the message does not name what failed"
	}
	return ""
}

// news are the lines that the plain run does not have.
func news(plain, said string) []string {
	known := map[string]bool{}
	for line := range strings.Lines(plain) {
		known[unvaried(line)] = true
	}
	var fresh []string
	for line := range strings.Lines(said) {
		if plain := unvaried(line); plain != "" && !known[plain] && !strings.HasPrefix(plain, "stub: started") {
			fresh = append(fresh, plain)
		}
	}
	return fresh
}

var varied = regexp.MustCompile(`^time="[^"]*" |[0-9.]+(ms|µs|s)\b|\([0-9]+ steps done.*\)|level=info msg="starting .*`)

// unvaried is a line without what differs from run to run.
func unvaried(line string) string { return strings.TrimSpace(varied.ReplaceAllString(line, "")) }

// names tells whether one of the lines names the operation: its path or the last part of that, its purpose or its system call.
func names(lines []string, f Fault) bool {
	on, _, _ := strings.Cut(strings.TrimPrefix(f.Op.On, "socket "), " ")
	base := path.Base(on)
	if cut, ok := strings.CutPrefix(base, "."); ok { // a temporary name beside the one that is meant
		base, _, _ = strings.Cut(cut, "-N")
		base = strings.TrimPrefix(base, "dockerlaunch-")
	}
	base = strings.TrimSuffix(base, ".part")
	words := append(purposes(f.Op), strings.TrimSuffix(f.Op.Call, "at"))
	if on == "/" {
		words = append(words, " / ")
	}
	if strings.HasPrefix(on, "/") && len(on) > 1 {
		words = append(words, on)
		if len(base) > 1 {
			words = append(words, base)
		}
	}
	return slices.ContainsFunc(lines, func(line string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) })
	})
}

// started is the line in which the stub tells that it was started, with its arguments.
func started(said string) string {
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "stub: started") {
			return line
		}
	}
	return ""
}
