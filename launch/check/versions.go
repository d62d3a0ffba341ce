package check

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"golang.org/x/sys/unix"
)

// versionLimit bounds how long a program may take to say its version.
const versionLimit = 3 * time.Second

// ask has dockerd and iptables say their versions, both at once. What does not answer has none: the newest is taken then, and
// the links of iptables tell its variant.
func (u *UserSpace) ask(isDockerd bool) {
	docker, iptables := make(chan string, 1), make(chan string, 1)
	run := func(path string, answer chan<- string) {
		defer close(answer)
		defer func() {
			if caught := recover(); caught != nil {
				answer <- "" // as from a program that says nothing
			}
		}()
		answer <- say(path, "--version")
	}
	asked := u.Daemon != "" && isDockerd && !u.Docker.Known()
	if asked {
		go run(u.Daemon, docker)
	}
	if u.IPTables != "" && u.Goal != "" {
		go run(u.IPTables, iptables)
		u.IPTablesText = <-iptables
	}
	if !asked {
		return
	}
	text := <-docker
	version, err := daemon.ParseVersion(text)
	if err != nil || !strings.HasPrefix(text, "Docker version ") {
		return
	}
	u.Docker = version
	word, _, _ := strings.Cut(strings.TrimPrefix(text, "Docker version "), ",")
	u.DockerText = strings.TrimSpace(word)
}

// say returns the first 4 KiB that a program prints. A check has no other children, and nobody reaps but it, so that it waits for
// this one itself; a program that does not end is killed.
func say(path string, args ...string) string {
	r, w, err := os.Pipe()
	if err != nil {
		return ""
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		w.Close()
		return ""
	}
	defer null.Close()
	p, err := os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{
		Files: []*os.File{null, w, null}, Env: []string{"PATH=" + os.DevNull, "LC_ALL=C"},
	})
	w.Close()
	if err != nil {
		return ""
	}
	timer := time.AfterFunc(versionLimit, func() {
		_ = p.Kill()                                        // where it has ended there is nothing to kill
		_ = r.SetReadDeadline(time.Now().Add(-time.Second)) // what it started may hold the pipe open
	})
	defer timer.Stop()
	text, _ := io.ReadAll(io.LimitReader(r, 4096)) // what was read until an error is what it said
	if _, err := p.Wait(); err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// readFile reads a regular file of at most limit bytes; it never waits for a FIFO.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return data, nil
}

var errNotRegular = errors.New("not a regular file")
