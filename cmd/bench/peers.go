package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// peer is another entrypoint.
type peer struct {
	name string
	env  []string
	argv []string // by its path inside
	// program is on the host, and is copied to argv[0]; or folder is, and all that is in it is laid over the root tree.
	program, folder string
}

var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// parsePeer reads [NAME=][VARIABLE=VALUE...] PATH [ARG...]. Without an ARG there is one: dockerd; without a NAME, for which the
// first word has to be the PATH, it is the program's.
func parsePeer(text string) (peer, error) {
	wrong := fmt.Errorf("%q is not [NAME=][VARIABLE=VALUE...] PATH [ARG...], where PATH is a program or FOLDER:PATH-IN-IT", text)
	name, command, ok := strings.Cut(strings.TrimSpace(text), "=")
	if first, _, _ := strings.Cut(name, " "); strings.Contains(first, "/") {
		name, command, ok = filepath.Base(first), strings.TrimSpace(text), true
	}
	words := strings.Fields(command)
	p := peer{name: name}
	for len(words) > 0 && assignment.MatchString(words[0]) {
		p.env, words = append(p.env, words[0]), words[1:]
	}
	if !ok || name == "" || strings.ContainsAny(name, "/ ") || len(words) == 0 {
		return peer{}, wrong
	}
	path, args := words[0], words[1:]
	if len(args) == 0 {
		args = []string{"dockerd"}
	}
	inside := "/usr/bin/entrypoint-of-" + name
	if folder, in, ok := strings.Cut(path, ":"); ok {
		if folder == "" || !strings.HasPrefix(in, "/") {
			return peer{}, wrong
		}
		p.folder, inside, path = folder, in, filepath.Join(folder, in)
	} else {
		p.program = path
	}
	p.argv = append([]string{inside}, args...)
	if st, err := os.Stat(path); err != nil {
		return peer{}, err
	} else if !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return peer{}, fmt.Errorf("%s is no program", path)
	}
	return p, nil
}

// addPeers reads several, with commas between.
func (c *config) addPeers(text string) error {
	for line := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		p, err := parsePeer(line)
		if err != nil {
			return err
		}
		for _, other := range c.entries() {
			if other.name == p.name {
				return fmt.Errorf("there is a %s already", p.name)
			}
		}
		c.peers = append(c.peers, p)
	}
	return nil
}

// overlay makes a root tree of another one and a folder laid over it, whose files win. The files are links of each other,
// where that can be, as a sandbox writes to neither; so the page cache holds them once, whichever tree they are read from.
func overlay(to, root, folder string) (err error) {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	next := to + ".new"
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("laying %s over %s: %w", folder, root, err), os.RemoveAll(next))
		}
	}()
	if err := os.Mkdir(next, 0o755); err != nil {
		return err
	}
	// No link in either tree leads out of the new one.
	dir, err := os.OpenRoot(next)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, from := range []string{root, folder} {
		err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(from, path)
			if err != nil || name == "." {
				return err
			}
			return lay(dir, next, name, path, d)
		})
		if err != nil {
			return err
		}
	}
	return os.Rename(next, to)
}

// lay puts one thing into a tree.
func lay(dir *os.Root, at, name, from string, d fs.DirEntry) error {
	if d.IsDir() {
		if st, err := dir.Stat(name); err == nil && st.IsDir() {
			return nil // also by a link, as /bin is
		}
		return dir.Mkdir(name, 0o755)
	}
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if d.Type() == fs.ModeSymlink {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return dir.Symlink(target, name)
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is %v: only files, folders and links can be in it", from, info.Mode())
	}
	return linkOrCopy(dir, at, name, from, info.Mode())
}

// linkOrCopy puts a file into a folder of which lay has seen that it is in the tree.
func linkOrCopy(dir *os.Root, at, name, from string, mode fs.FileMode) error {
	if os.Link(from, filepath.Join(at, name)) == nil {
		return nil // what keeps it from being linked, as another filesystem does, does not keep it from being copied
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
