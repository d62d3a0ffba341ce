// Package certs makes the daemon's and its clients' TLS keys and certificates, in docker:dind's layout below
// DOCKER_TLS_CERTDIR, keeps them for as long as they fit, and verifies those of a user who runs a CA alone.
//
//	ca/key.pem, ca/cert.pem               the CA
//	server/key.pem, cert.pem, ca.pem      for dockerd --tlsverify
//	client/key.pem, cert.pem, ca.pem      for clients; the whole folder is shared with them
//
// # Whose files they are
//
// ca/key.pem decides, as it does for docker:dind. With it, or with no CA and no server's files at all, the launcher looks after
// everything: what is missing, broken, about to expire or of other names is made. Without it, where server/ is complete, the
// user runs the CA, and everything is read only; where it is not complete nothing can be made, which is a *RefusedError. So
// it is where ca/key.pem is there and cannot be signed with here: such a key is some user's own. What is replaced and was not
// made by this launcher or docker:dind is set aside with .old behind its name.
//
// # Times
//
// A certificate is valid for 825 days, from a day before its making. It is made anew when less than a third of its time is
// left, for dockerd reads its files once: one that is started today runs for nine months at least before they expire. The
// keys stay, the CA's too, so that clients with a copy of ca.pem go on through a renewal; whoever wants new keys removes the
// folders. With the CA's certificate all others are made anew. What a clock that is wrong leads to is told at lifespan.
//
// The process that makes them is the only one to read the keys, but for client/key.pem, which is 0644 as docker:dind has it,
// because clients of other users share it: who can read the folder of the clients owns the daemon.
package certs

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Files are those that dockerd is given.
type Files struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// FilesOf returns the paths of the server's files below dir.
func FilesOf(dir string) Files {
	server := filepath.Join(dir, "server")
	return Files{CA: filepath.Join(server, "ca.pem"), Cert: filepath.Join(server, "cert.pem"), Key: filepath.Join(server, "key.pem")}
}

// Args are dockerd's arguments for them.
func (f Files) Args() []string {
	return []string{"--tlsverify", "--tlscacert=" + f.CA, "--tlscert=" + f.Cert, "--tlskey=" + f.Key}
}

// RefusedError says that there is a user's own CA, which is not touched, and that something is missing which only it could
// make.
type RefusedError struct {
	Dir string
	Why string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the certificates in %s cannot be used, and are a user's own, so that none are made: %s", e.Dir, e.Why)
}

// Finding is something about a user's own certificates that is going to be in the way.
type Finding struct {
	File string `json:"file"`
	Text string `json:"text"`
	// Fatal is true where dockerd does not start.
	Fatal bool `json:"fatal,omitempty"`
}

func (f Finding) String() string { return f.File + ": " + f.Text }

// Verb is what is done about a part.
type Verb string

const (
	// Keep is a part that stands and is right.
	Keep Verb = "keep"
	// Make is one that is missing or wrong.
	Make Verb = "make"
	// Verify is one that is looked at and never changed.
	Verify Verb = "verify"
)

// Action is what is done about a part: ca, server or client.
type Action struct {
	Part string `json:"part"`
	Verb Verb   `json:"verb"`
	Why  string `json:"why,omitempty"`
}

func (a Action) String() string {
	if a.Why == "" {
		return fmt.Sprintf("%s the %s's", a.Verb, a.Part)
	}
	return fmt.Sprintf("%s the %s's (%s)", a.Verb, a.Part, a.Why)
}

// String tells what Apply does.
func (p *Plan) String() string {
	var list []string
	for _, a := range p.Actions {
		list = append(list, a.String())
	}
	return fmt.Sprintf("TLS files in %s: %s", p.Dir, strings.Join(list, ", "))
}
