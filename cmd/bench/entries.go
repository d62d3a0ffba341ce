package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/bench/habitat"
	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// entry is a way to start the daemon in a container. The table is the place for more of them.
type entry struct {
	name string
	argv []string
	env  []string // in addition to sandbox.DefaultEnv
	// needs is a flag that this launcher must have; the entry is left out where its help does not name it.
	needs string
	tls   tlsKind
	// daemon tells that argv is the daemon itself, for which there is nothing to measure with a stub.
	daemon bool
}

// tlsKind is what an entry has to do with TLS.
type tlsKind int

const (
	tlsNone tlsKind = iota
	tlsCold         // it makes certificates below /certs
	tlsWarm         // it finds them there
)

// certDir is where certificates are inside.
const certDir = "/certs"

var tlsEnv = []string{"DOCKER_TLS_CERTDIR=" + certDir}

var entries = []entry{
	{name: "dockerd", argv: []string{"/usr/bin/dockerd"}, daemon: true},
	{name: "dockerd-tls", daemon: true, tls: tlsWarm, argv: []string{
		"/usr/bin/dockerd", "-H", "unix:///var/run/docker.sock", "-H", "tcp://0.0.0.0:2376", "--tlsverify",
		"--tlscacert=/certs/server/ca.pem", "--tlscert=/certs/server/cert.pem", "--tlskey=/certs/server/key.pem",
	}},
	{name: "dockerlaunch", argv: []string{sandbox.LauncherPath}},
	{name: "dockerlaunch-tls-cold", argv: []string{sandbox.LauncherPath}, env: tlsEnv, tls: tlsCold},
	{name: "dockerlaunch-tls-warm", argv: []string{sandbox.LauncherPath}, env: tlsEnv, tls: tlsWarm},
	{name: "dockerlaunch-exec", argv: []string{sandbox.LauncherPath, "--exec"}, needs: "--exec"},
}

// entries are the table's and the peers.
func (c *config) entries() []entry {
	list := slices.Clone(entries)
	for _, p := range c.peers {
		e := entry{name: p.name, argv: p.argv, env: p.env}
		if slices.Contains(p.env, tlsEnv[0]) {
			e.tls = tlsCold
		}
		list = append(list, e)
	}
	return list
}

// started is an entry with all that its start needs.
type started struct {
	entry   entry
	options habitat.Options
	missing string // why it cannot run
	prepare func(context.Context) error
}

// on puts an entry on a root tree.
func (c *config) on(t tree, e entry) started {
	s := started{entry: e, missing: t.missing, options: habitat.Options{Root: t.root, Launcher: c.launcher, Argv: e.argv}}
	if len(e.env) > 0 {
		s.options.Env = append(sandbox.DefaultEnv(), e.env...)
	}
	if e.needs != "" && !strings.Contains(c.help(), e.needs) {
		s.missing = "this launcher has no " + e.needs
	}
	for _, p := range c.peers {
		switch {
		case p.name != e.name:
		case p.folder != "":
			s.options.Root = filepath.Join(c.scratch, "tree-of-"+p.name+t.suffix)
			s.prepare = func(context.Context) error { return overlay(s.options.Root, t.root, p.folder) }
		default:
			s.options.Binds = append(s.options.Binds, sandbox.Bind{Source: p.program, Target: p.argv[0], ReadOnly: true})
		}
	}
	return s
}

// help is what the launcher says of its flags; nothing where it does not run, which shows soon enough.
func (c *config) help() string {
	out, err := exec.Command(c.launcher, "help").Output()
	if err != nil {
		return ""
	}
	return string(out)
}
