package check

import (
	"slices"
	"strings"
)

// commandLine is what a kernel command line says about cgroups.
type commandLine struct {
	// last is the last word about each controller by cgroup_enable= or cgroup_disable=, with the controller alone.
	last map[string]string
	// contradicted are controllers that an earlier word says the opposite of.
	contradicted []string
	// noV1 are the controllers that cgroup_no_v1= takes from v1, "all" among them.
	noV1 []string
	// swapOff tells of swapaccount=0, unified is the value of systemd.unified_cgroup_hierarchy.
	swapOff bool
	unified string
}

// parseCommandLine reads a kernel command line as the kernel does: words between blanks, with double quotes around blanks
// (next_arg in lib/cmdline.c); what follows "--" is init's. The kernel acts on one word after the other, so that of
// cgroup_enable= and cgroup_disable= the last wins (cgroup_disable in kernel/cgroup/cgroup.c; the other is a patch of Debian,
// Ubuntu and Raspberry Pi).
func parseCommandLine(text string) commandLine {
	c := commandLine{last: map[string]string{}}
	for _, word := range commandWords(text) {
		if word == "--" {
			break
		}
		key, value, _ := strings.Cut(word, "=")
		value = strings.Trim(value, `"`)
		switch strings.ReplaceAll(key, "-", "_") {
		case "cgroup_enable", "cgroup_disable":
			key = strings.ReplaceAll(key, "-", "_")
			for name := range strings.SplitSeq(value, ",") {
				if name == "" {
					continue
				}
				if before := c.last[name]; before != "" && !strings.HasPrefix(before, key) && !slices.Contains(c.contradicted, name) {
					c.contradicted = append(c.contradicted, name)
				}
				c.last[name] = key + "=" + name
			}
		case "cgroup_no_v1":
			c.noV1 = strings.Split(value, ",")
		case "swapaccount":
			c.swapOff = value == "0"
		case "systemd.unified_cgroup_hierarchy":
			c.unified = value
		}
	}
	return c
}

// disabled returns the word that switches a controller off, or "".
func (c commandLine) disabled(controller string) string {
	if word := c.last[controller]; strings.HasPrefix(word, "cgroup_disable") {
		return word
	}
	return ""
}

// commandWords splits a command line.
func commandWords(text string) []string {
	quoted := false
	return strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\v' || r == '\f')
	})
}
