package certs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Plan is what is going to be done about the TLS files of a folder.
type Plan struct {
	Dir      string    `json:"dir"`
	Actions  []Action  `json:"actions"`
	Findings []Finding `json:"findings,omitempty"`
	Files    Files     `json:"files"`

	wanted Wanted
	now    time.Time
	found  tree
	parts  []part // in the order of Actions, where they are looked after
}

// part is a key and its certificate, as they are and as they are to be.
type part struct {
	profile
	key     *privateKey  // nil: to be made
	cert    *certificate // nil: to be made
	subject []byte       // of the certificate before, which a CA keeps
	later   time.Time    // see lifespan
	aside   []string     // files that are kept under another name before they are replaced
	tighten string       // file whose mode is to become 0600
	copy    bool         // ca.pem is to be written
}

func profiles() []profile {
	return []profile{
		{name: "ca", file: "dockerlaunch CA"},
		{name: "server", file: "dockerlaunch server", usage: oidServerAuth},
		{name: "client", file: "dockerlaunch client", usage: oidClientAuth},
	}
}

// NewPlan looks at the files below dir and decides what is to be done. The error is a *RefusedError, or what the system
// says against reading them.
func NewPlan(dir string, w Wanted, now time.Time) (*Plan, error) {
	found, err := observe(dir)
	if err != nil {
		return nil, err
	}
	return decide(dir, found, w, now)
}

// decide is NewPlan without the system: the same files, names and time give the same plan.
func decide(dir string, found tree, w Wanted, now time.Time) (*Plan, error) {
	p := &Plan{Dir: dir, Files: FilesOf(dir), wanted: w, now: now, found: found}
	has := func(path string) bool { return found[path].data != nil }
	complete := has("server/ca.pem") && has("server/cert.pem") && has("server/key.pem")
	refuse := func(why string) (*Plan, error) { return nil, &RefusedError{Dir: dir, Why: why} }

	key, keyErr := (*privateKey)(nil), error(nil)
	if has("ca/key.pem") {
		key, keyErr = parseKey(found["ca/key.pem"].data)
	}
	foreign := errors.Is(keyErr, errForeignKey)
	switch {
	case complete && (foreign || !has("ca/key.pem")):
		p.verify()
		return p, nil
	case foreign:
		return refuse("ca/key.pem: " + keyErr.Error() + "; make server/ca.pem, cert.pem and key.pem with it, or move the folder away")
	case !has("ca/key.pem") && has("ca/cert.pem"):
		return refuse("ca/cert.pem is there without its key, and server/ca.pem, cert.pem and key.pem are not all there; put them there, or move ca/cert.pem away")
	case !has("ca/key.pem") && (has("server/cert.pem") && readable("server/cert.pem", found) || has("server/key.pem") && readable("server/key.pem", found)):
		return refuse("server/ca.pem, cert.pem and key.pem are not all there, and there is no ca/key.pem to make them with; put them there, or move the folder away")
	}
	if err := p.manage(key); err != nil {
		return nil, err
	}
	return p, nil
}

// readable tells whether a file holds something that somebody may have meant.
func readable(path string, found tree) bool {
	data := found[path].data
	if strings.HasSuffix(path, "key.pem") {
		_, err := parseKey(data)
		return err == nil || errors.Is(err, errForeignKey)
	}
	_, err := parseCertificates(data)
	return err == nil
}

// manage decides about each part.
func (p *Plan) manage(caKey *privateKey) error {
	all := profiles()
	ca, why, err := p.authority(all[0], caKey)
	if err != nil {
		return err
	}
	p.add(ca, why)
	for _, profile := range all[1:] {
		leaf, why := p.leaf(profile, &ca)
		p.add(leaf, why)
	}
	return nil
}

func (p *Plan) add(one part, why []string) {
	verb := Keep
	if len(why) > 0 {
		verb = Make
	}
	p.parts = append(p.parts, one)
	p.Actions = append(p.Actions, Action{Part: one.name, Verb: verb, Why: strings.Join(why, "; ")})
}

// authority decides about the CA.
func (p *Plan) authority(profile profile, key *privateKey) (part, []string, error) {
	one := part{profile: profile, key: key}
	why := p.keyNeeds(&one)
	cert, problem := p.readCert(&one)
	if cert == nil {
		return one, append(why, problem), nil
	}
	// A user's own intermediate or root with its key is signed with, and not replaced.
	users := !ours(cert)
	switch {
	case key == nil:
		problem = "the key is new"
	case !cert.key.equal(key.publicKey):
		problem = "the certificate is another key's"
	case !cert.ca || !cert.may(5):
		problem = "the certificate is not that of a CA"
	default:
		if users {
			if text := p.expired(cert); text != "" {
				return one, nil, &RefusedError{Dir: p.Dir, Why: "ca/cert.pem: " + text + ", and is not this launcher's to renew; renew it"}
			}
		} else {
			problem = p.dates(cert)
		}
		if problem == "" && bytes.Equal(cert.issuer, cert.subject) {
			if ok, checked := cert.key.verify(cert.algorithm, cert.tbs, cert.signed); checked && !ok {
				problem = "the certificate's signature is wrong"
			}
		}
		one.subject = cert.subject
	}
	if problem == "" {
		one.cert = cert
		return one, why, nil
	}
	if users {
		one.aside = append(one.aside, "ca/cert.pem")
	}
	one.later = later(cert, p.now)
	return one, append(why, problem), nil
}

// leaf decides about the server's or the clients' part.
func (p *Plan) leaf(profile profile, ca *part) (part, []string) {
	one := part{profile: profile}
	path := profile.name + "/key.pem"
	if data := p.found[path].data; data != nil {
		one.key, _ = parseKey(data) // what is wrong with it does not matter: it is made anew
	}
	why := p.keyNeeds(&one)
	cert, problem := p.readCert(&one)
	if cert != nil {
		if problem = p.leafProblem(&one, cert, ca); problem == "" {
			one.cert = cert
		} else {
			if !ours(cert) && (ca.cert == nil || !cert.issuedBy(ca.cert)) {
				one.aside = append(one.aside, profile.name+"/cert.pem")
			}
			one.later = later(cert, p.now)
		}
	}
	if problem != "" {
		why = append(why, problem)
	}
	if copyProblem := p.copyProblem(&one, ca); copyProblem != "" {
		one.copy = true
		why = append(why, copyProblem)
	}
	return one, why
}

// leafProblem tells why a certificate has to be made anew; empty where it is right.
func (p *Plan) leafProblem(one *part, cert *certificate, ca *part) string {
	if ca.key == nil || ca.cert == nil {
		return "the CA is made anew"
	}
	ok, checked := ca.cert.key.verify(cert.algorithm, cert.tbs, cert.signed)
	switch {
	case one.key == nil:
		return "the key is new"
	case !cert.key.equal(one.key.publicKey):
		return "the certificate is another key's"
	case !cert.issuedBy(ca.cert), !ok || !checked:
		return "the certificate is not signed by this CA"
	case !cert.serves(one.usage) || !cert.may(0):
		return "the certificate is for another use"
	case p.dates(cert) != "":
		return "the certificate " + p.dates(cert)
	}
	if one.usage == oidServerAuth {
		if lacks := p.wanted.lacks(cert); len(lacks) > 0 {
			return "the certificate is not valid for " + listed(lacks)
		}
	}
	return ""
}

// copyProblem tells why ca.pem has to be written. One with more CAs in it is the user's way to let in their clients too.
func (p *Plan) copyProblem(one *part, ca *part) string {
	path := one.name + "/ca.pem"
	data := p.found[path].data
	if data == nil {
		return "ca.pem is missing"
	}
	list, err := parseCertificates(data)
	if err == nil && ca.cert != nil {
		for _, c := range list {
			if bytes.Equal(c.raw, ca.cert.raw) {
				return ""
			}
		}
	}
	for _, c := range list {
		if !ours(c) {
			one.aside = append(one.aside, path)
			break
		}
	}
	return "ca.pem is another CA's"
}

// keyNeeds decides about a part's key.
func (p *Plan) keyNeeds(one *part) []string {
	path := one.name + "/key.pem"
	f := p.found[path]
	switch {
	case one.key == nil && f.data == nil:
		return []string{"there is no key"}
	case one.key == nil:
		one.aside = append(one.aside, path)
		return []string{"the key cannot be read"}
	case one.name != "client" && f.mode&0o077 != 0:
		one.tighten = path
		return []string{fmt.Sprintf("others may use the key (mode %#o)", uint32(f.mode))}
	}
	return nil
}

// readCert reads a part's certificate; the first of a file counts.
func (p *Plan) readCert(one *part) (*certificate, string) {
	path := one.name + "/cert.pem"
	f := p.found[path]
	if f.data == nil {
		return nil, "there is no certificate"
	}
	list, err := parseCertificates(f.data)
	if err != nil {
		one.aside = append(one.aside, path)
		return nil, "the certificate cannot be read (" + err.Error() + ")"
	}
	return list[0], ""
}

// ours tells whether a certificate was made by this launcher or by docker:dind.
func ours(c *certificate) bool {
	return c.issuerName == "dockerlaunch CA" || c.issuerName == "docker:dind CA"
}

// dates tells what is wrong with a certificate's times, as the end of a sentence; empty where they are right.
func (p *Plan) dates(c *certificate) string {
	now := p.now
	unset := c.from.Equal(epoch())
	switch {
	case unset && !now.Before(clockFloor()):
		return "was made by a clock that was not set"
	case unset:
		return "" // by a clock that still is not
	case now.Before(c.from):
		return "is not valid before " + date(c.from) + ", and the clock says " + date(now)
	case !now.Before(c.to):
		return "has expired on " + date(c.to)
	case !now.Before(c.to.Add(-c.to.Sub(c.from) / 3)):
		return "expires on " + date(c.to)
	}
	return ""
}

// later is the time that a certificate says it was already.
func later(c *certificate, now time.Time) time.Time {
	if c.from.After(now) {
		return c.from.Add(backdate)
	}
	return time.Time{}
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02") }

func listed(list []string) string {
	if len(list) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], ", "), len(list)-5)
	}
	return strings.Join(list, ", ")
}

// modeOf is the mode that a file is made with.
func modeOf(path string) fs.FileMode {
	if strings.HasSuffix(path, "/key.pem") && path != "client/key.pem" {
		return 0o600
	}
	return 0o644
}
