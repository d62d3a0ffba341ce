package check

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"golang.org/x/sys/unix"
)

// tree is a root tree that may be another than the one that this process runs in: links in it lead from its own root.
type tree string

// maxLinks is how many links a path may have (path_resolution(7)).
const maxLinks = 40

// follow resolves an absolute path of the tree, links included, and gives the path within the tree.
func (t tree) follow(name string) (string, error) {
	done, rest := "/", strings.TrimLeft(path.Clean("/"+name), "/")
	for links := 0; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		next := path.Join(done, part) // where part is "..", the root's parent is the root
		st, err := os.Lstat(t.host(next))
		if err != nil {
			return "", err
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "following the links of", Path: t.host(name), Err: unix.ELOOP}
		}
		goal, err := os.Readlink(t.host(next))
		if err != nil {
			return "", err
		}
		if path.IsAbs(goal) {
			done = "/"
		}
		rest = strings.TrimLeft(goal+"/"+rest, "/")
	}
	return done, nil
}

// host is a path of the tree, of which no part may be a link, as this process reaches it.
func (t tree) host(name string) string {
	if t == "" {
		return name
	}
	return path.Join(string(t), name)
}

// open is the place of a file for this process, or "" where it is none that is regular and not empty.
func (t tree) file(name string) string {
	real, err := t.follow(name)
	if err != nil {
		return ""
	}
	st, err := os.Stat(t.host(real))
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return ""
	}
	return t.host(real)
}

// program looks a program up, as execvp(3) does, and returns its path in the tree and the path that its links lead to.
func (t tree) program(name, search string) (where, goal string) {
	dirs := strings.Split(search, ":")
	if strings.Contains(name, "/") {
		dirs = []string{""}
	}
	for _, dir := range dirs {
		candidate := path.Join("/", dir, name)
		real, err := t.follow(candidate)
		if err != nil {
			continue // it is not there, and the next folder may have it
		}
		if st, err := os.Stat(t.host(real)); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return candidate, real
		}
	}
	return "", ""
}

// programs is preflight.Look for the tree.
func (t tree) programs(search string) preflight.Found {
	if search == "" {
		search = host.DefaultPath
	}
	found := preflight.Found{}
	for _, r := range preflight.Table() {
		if len(r.Files) > 0 {
			for _, file := range r.Files {
				if t.file(file) != "" {
					found[r.Name] = "/" + file
					break
				}
			}
			continue
		}
		dirs := search
		if r.Libexec {
			dirs = "/" + strings.Join(preflight.LibexecDirs, ":/") + ":" + search
		}
		if where, _ := t.program(r.Name, dirs); where != "" {
			found[r.Name] = where
		}
	}
	return found
}
