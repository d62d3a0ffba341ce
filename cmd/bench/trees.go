package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// tree is a root tree with a Docker in it.
type tree struct {
	root string
	// suffix ends the names of the benchmarks on it; the main tree's is empty.
	suffix string
	docker int // Docker's major version; 0 where it is not known
	// missing says why nothing can be measured on it.
	missing string
}

// newTree looks at a tree. The first of them is the main one.
func newTree(root string, main bool) tree {
	t := tree{root: root}
	name := filepath.Base(root)
	out, err := exec.Command("chroot", root, "/usr/bin/dockerd", "--version").CombinedOutput()
	if version := dockerVersion(string(out)); err == nil && version != "" {
		major, _, _ := strings.Cut(version, ".")
		t.docker, _ = strconv.Atoi(major) // digits, by the expression
		name = version
	} else {
		t.missing = "there is no Docker in " + root + " (make bench makes it)"
		if _, statErr := os.Stat(root); statErr == nil {
			t.missing = root + ": dockerd --version says " + strconv.Quote(string(out))
		}
	}
	if !main {
		t.suffix = "-" + name
	}
	return t
}

// dockerVersion finds the first two numbers of what `dockerd --version` says; empty where there are none.
func dockerVersion(text string) string {
	return regexp.MustCompile(`\d+\.\d+`).FindString(strings.TrimPrefix(text, "Docker version "))
}

// trees are the main one and the others, looked at once.
func (c *config) trees() []tree {
	if c.looked == nil {
		c.looked = append(c.looked, newTree(c.root, true))
		for _, root := range c.also {
			c.looked = append(c.looked, newTree(root, false))
		}
	}
	return c.looked
}
