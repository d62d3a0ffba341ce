package check

import "strings"

// commandWords splits a kernel command line as the kernel does: at blanks outside of double quotes (next_arg in lib/cmdline.c).
// What follows "--" is init's.
func commandWords(text string) []string {
	quoted := false
	words := strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r >= '\t' && r <= '\r')
	})
	for i, word := range words {
		if word == "--" {
			return words[:i]
		}
	}
	return words
}

// switched says what a kernel command line does with a controller: on and off are whether a word enables and disables it, and
// last is the one that counts. The kernel acts on one word after the other, so that of cgroup_enable= and cgroup_disable= the
// last wins (kernel/cgroup/cgroup.c; cgroup_enable is a patch of Debian, Ubuntu and Raspberry Pi).
func switched(line, controller string) (on, off bool, last string) {
	for _, word := range commandWords(line) {
		key, value, _ := strings.Cut(strings.ReplaceAll(word, `"`, ""), "=")
		if !listed(value, controller) {
			continue
		}
		switch strings.ReplaceAll(key, "-", "_") {
		case "cgroup_enable":
			on, last = true, word
		case "cgroup_disable":
			off, last = true, word
		}
	}
	return on, off, last
}

// wordOf is the last word of a kernel command line with a key, "" where there is none.
func wordOf(line, key string) (found string) {
	for _, word := range commandWords(line) {
		if strings.HasPrefix(word, key+"=") {
			found = word
		}
	}
	return found
}

// listed tells whether a list with commas has a name.
func listed(list, name string) bool { return strings.Contains(","+list+",", ","+name+",") }
