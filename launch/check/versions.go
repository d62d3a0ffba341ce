package check

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"golang.org/x/sys/unix"
)

// databases are where dpkg and apk keep what is installed.
var databases = [...]string{"/var/lib/dpkg/status", "/lib/apk/db/installed"}

// dockerPackages have dockerd, by the names of Docker, Debian, Alpine.
var dockerPackages = [...]string{"docker-ce", "docker.io", "docker", "docker-engine"}

// versions learns versions from the package database of a tree, so that no program has to be run. Without one, or without the
// package in it, a version stays unknown.
func (u *UserSpace) versions(t tree) {
	u.Versions = map[string]string{}
	for _, name := range databases {
		if data, err := readFile(t.file(name), 64<<20); err == nil {
			packageVersions(string(data), u.Versions)
		}
	}
	for _, name := range dockerPackages {
		if u.Docker.Known() {
			return
		}
		if v := u.Versions[name]; v != "" && name != "docker" || strings.Count(v, ".") > 1 { // Debian's docker is a dock for windows
			if version, err := daemon.ParseVersion(v); err == nil {
				u.Docker, u.DockerText = version, v
			}
		}
	}
}

// hinted learns dockerd's version where no package tells it: it is known already, or the tree has a note of it, see
// daemon.VersionHint.
func (u *UserSpace) hinted(t tree, known daemon.Version) {
	if !known.Known() {
		program, err := t.follow(u.Daemon)
		if err != nil {
			return // it is gone since it was found
		}
		known = daemon.VersionFiles{Cache: os.DevNull, Hint: t.host(daemon.VersionHint)}.Known(t.host(program))
	}
	if known.Known() && !known.Dev {
		u.Docker, u.DockerText = known, known.String()
	}
}

// packageVersions reads a database of dpkg ("Package: git", "Version: 1:2.47.3-0+deb13u1", see deb822(5)) or of apk ("P:git",
// "V:2.47.3-r0"), for the packages that matter. Epochs and a distribution's revisions are left out.
func packageVersions(text string, into map[string]string) {
	name := ""
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		switch {
		case strings.HasPrefix(line, "Package: "):
			name = line[9:]
		case strings.HasPrefix(line, "P:"):
			name = line[2:]
		case strings.HasPrefix(line, "Version: "), strings.HasPrefix(line, "V:"):
			if matters(name) {
				version := strings.TrimSpace(line[strings.IndexByte(line, ':')+1:])
				if _, rest, ok := strings.Cut(version, ":"); ok {
					version = rest
				}
				version, _, _ = strings.Cut(version, "-")
				into[name] = version
			}
		}
	}
}

// matters tells whether the version of a package is of use.
func matters(name string) bool {
	for i := range oldest {
		if name == oldest[i].pack {
			return true
		}
	}
	for i := range dockerPackages {
		if name == dockerPackages[i] {
			return true
		}
	}
	return false
}

var errNotRegular = errors.New("not a regular file")

// readFile reads a regular file of at most limit bytes; it never waits for a FIFO.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, err
}
