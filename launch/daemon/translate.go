// Package daemon knows dockerd from the outside: its command line, today's and that of its first releases, its daemon.json, its
// version, and the flags that a good launcher adds where the user is silent. It reads the files it is asked to read and
// nothing else: no environment, no programs.
package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Name is dockerd's name, looked up in PATH where the user names no daemon.
const Name = "dockerd"

// Notice is one line about a change to what the user wrote.
type Notice struct {
	// Word is what the notice is about, as the user wrote it: "-g", "docker daemon".
	Word string `json:"word"`
	// Text tells what was done and why.
	Text string `json:"text"`
}

// String joins word and text to one line.
func (n Notice) String() string { return n.Word + ": " + n.Text }

// Command is a daemon to start.
type Command struct {
	// Path is the program as written, or Name where none was given. Without a slash it is to be looked up in PATH.
	Path string `json:"path"`
	// Fallback is Name where Path was made out of the path of a docker program, and "" elsewhere: a distribution may
	// have /usr/bin/docker and /usr/sbin/dockerd, so where nothing is at Path, Fallback is to be looked up in PATH.
	Fallback string `json:"fallback,omitempty"`
	// Args are the arguments behind the program's name.
	Args []string `json:"args"`
	// Notices tell what was changed, in the order of the command line.
	Notices []Notice `json:"notices,omitempty"`
}

// IsDockerd reports whether the program is dockerd by its name, the only one whose options this package knows.
func (c Command) IsDockerd() bool { return base(c.Path) == Name }

// UsageError says that a command line does not start a daemon.
type UsageError struct {
	// Command is the beginning of the command line, as far as it tells what is wrong.
	Command string
	// Reason is one sentence.
	Reason string
}

func (e *UsageError) Error() string { return fmt.Sprintf("cannot launch %q: %s", e.Command, e.Reason) }

// Translate makes today's command out of [DAEMON [ARGS...]], what stands behind the launcher's own flags.
//
// No word at all, or a first word that begins with a dash, means dockerd. "docker daemon" (1.8 to 17.05) and "docker -d"
// (0.1 to 1.12), with or without options in front, become the dockerd beside that docker. Options that went before 20.10
// are translated (-g, --graph, -s overlay, long names behind one dash) or dropped, each with a notice; options that are known to later
// releases stay, see Fit. All other words stay as they are and in their order, values that look like options and what
// follows "--" among them. A daemon of any other name gets its words unchanged.
//
// The error is a *UsageError: docker with a client's command, or an empty name.
func Translate(argv []string) (Command, error) {
	if len(argv) == 0 || strings.HasPrefix(argv[0], "-") {
		args, notices := modernize(argv, dockerdDialect)
		return Command{Path: Name, Args: args, Notices: notices}, nil
	}
	path, args := argv[0], argv[1:]
	if path == "" {
		return Command{}, &UsageError{Command: path, Reason: "the daemon's name is empty"}
	}
	switch base(path) {
	case Name:
		args, notices := modernize(args, dockerdDialect)
		return Command{Path: path, Args: args, Notices: notices}, nil
	case "docker":
		return translateClient(path, args)
	}
	return Command{Path: path, Args: slices.Clone(args)}, nil
}

func translateClient(path string, args []string) (Command, error) {
	rest, how, ok := daemonWords(args)
	if !ok {
		words := path
		if how != "" {
			words += " " + how
		}
		return Command{}, &UsageError{Command: words,
			Reason: `this is Docker's client, not its daemon: name dockerd, or "docker daemon" or "docker -d" as in old releases`}
	}
	command := Command{Path: strings.TrimSuffix(path, "docker") + Name, Fallback: Name}
	if command.Path == Name {
		command.Fallback = ""
	}
	command.Args, command.Notices = modernize(rest, clientDialect)
	notice := Notice{Word: "docker " + how, Text: "the daemon is a program of its own since 1.12: taken as " + command.Path}
	command.Notices = append([]Notice{notice}, command.Notices...)
	return command, nil
}

// daemonWords finds out whether the arguments of the docker program start its daemon, and how: by "daemon", which rest
// then lacks, or by -d. Where they do not, how is the client's command, "" where there is none.
func daemonWords(args []string) (rest []string, how string, ok bool) {
	daemon := ""
	dashes := -1
	for _, t := range tokenize(args, clientDialect) {
		switch {
		case t.kind == dashesToken:
			dashes = t.first
		case t.kind == operandToken && t.value == "daemon":
			rest = slices.Delete(slices.Clone(args), t.first, t.first+1)
			if dashes >= 0 {
				rest = slices.Delete(rest, dashes, dashes+1)
			}
			return rest, t.value, true
		case t.kind == operandToken && daemon == "":
			return nil, t.value, false
		case t.kind == operandToken:
			// docker -d with an operand: left for dockerd to refuse.
			return slices.Clone(args), daemon, true
		case t.option.Name == "daemon":
			daemon = ""
			// A value that is no truth value leaves it a daemon, for want of a better meaning.
			if on, err := strconv.ParseBool(t.value); !t.hasValue || err != nil || on {
				daemon = t.written(args)
			}
		}
	}
	return slices.Clone(args), daemon, daemon != ""
}

// modernize rewrites what no dockerd since 20.10 takes, or what its newer releases refuse and all of them say otherwise.
func modernize(args []string, d dialect) ([]string, []Notice) {
	return rewrite(args, d, func(t token) (edit, string) {
		switch {
		case t.legacy != nil:
			return drop, "left out: " + t.legacy.gone
		case t.option.Name == "graph":
			return asDataRoot, "it is --data-root since 17.05"
		case t.option.Name == "storage-driver" && t.value == "overlay":
			return asOverlay2, "the overlay driver was removed in 24.0: overlay2 is used, which does not see overlay's images"
		case t.oneDash:
			return twoDashes, "long names have two dashes"
		}
		return keep, ""
	})
}

// Fit leaves out what a dockerd of the given version refuses because it is gone (Option.Until), each with a notice. Of
// an unknown version it is taken that it has all. What is too new for the version stays: dockerd is to refuse it,
// because to leave it out could open what the user wanted closed. Args are those of a Command that IsDockerd.
func Fit(args []string, version Version) ([]string, []Notice) {
	return rewrite(args, todayDialect, func(t token) (edit, string) {
		if !t.known || !t.option.Until.Known() || t.option.has(version) {
			return keep, ""
		}
		return drop, fmt.Sprintf("left out: removed in %d.%d: %s", t.option.Until.Major, t.option.Until.Minor, t.option.Gone)
	})
}

// has tells whether a dockerd of the version works with the option.
func (o Option) has(version Version) bool { return version.has(o.Since, o.Until) }

// edit is what is done to one option.
type edit int

const (
	keep edit = iota
	drop
	asDataRoot
	asOverlay2
	twoDashes
)

// rewrite asks judge about every option and writes the command line anew. Words that need no change stay the same
// bytes; letters that share a word with a changed one are written apart.
func rewrite(args []string, d dialect, judge func(token) (edit, string)) ([]string, []Notice) {
	out := make([]string, 0, len(args))
	var notices []Notice
	tokens := tokenize(args, d)
	for len(tokens) > 0 {
		n := 1
		for n < len(tokens) && tokens[n].first == tokens[0].first {
			n++
		}
		unit := tokens[:n]
		tokens = tokens[n:]

		// dockerd refuses a word with an unknown letter; with another left out it could become an option that is known.
		last := unit[n-1]
		readable := last.kind == optionToken && (last.known || !last.short)
		changed := false
		var words []string
		for _, t := range unit {
			e, why := keep, ""
			if readable {
				e, why = judge(t)
			}
			if e != keep {
				changed = true
				notices = append(notices, Notice{Word: t.written(args), Text: why})
			}
			words = append(words, t.write(args, e)...)
		}
		if !changed {
			words = args[last.first : last.last+1]
		}
		out = append(out, words...)
	}
	return out, notices
}

// written is the option as the user wrote it, without its value but for a driver's.
func (t token) written(args []string) string {
	switch {
	case t.short && !t.oneDash && t.known:
		return "-" + args[t.first][t.at:t.at+1]
	case t.short:
		return "-" + t.option.Name
	}
	return "--" + t.option.Name
}

// write gives the words of the option after the edit.
func (t token) write(args []string, e edit) []string {
	word := args[t.first]
	value := args[t.first+1 : t.last+1] // the word behind, where that is the value
	switch e {
	case drop:
		return nil
	case asDataRoot:
		if t.attached {
			return []string{"--data-root=" + t.value}
		}
		return append([]string{"--data-root"}, value...)
	case twoDashes:
		return append([]string{"-" + word}, value...)
	}
	if t.short && t.kind == optionToken {
		end := len(word)
		if t.known && !t.attached && !t.oneDash {
			end = t.at + 1
		}
		word = "-" + word[t.at:end]
	}
	if e == asOverlay2 {
		if t.attached {
			return []string{word + "2"}
		}
		return []string{word, "overlay2"}
	}
	return append([]string{word}, value...)
}

// base is the last part of a path; of "docker/", which is no program, it is empty.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// Without leaves an option out of the arguments of a Command that IsDockerd.
func Without(args []string, option string) []string {
	rest, _ := rewrite(args, todayDialect, func(t token) (edit, string) {
		if t.known && t.option.Name == option {
			return drop, ""
		}
		return keep, ""
	})
	return rest
}
