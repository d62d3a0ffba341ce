package certs

import (
	"bytes"
	"errors"
	"fmt"
)

// maxChain bounds the way from a certificate to its root.
const maxChain = 8

// verify looks at the files of a user who runs the CA, and changes nothing. Signatures that are not known here (P-384 and
// P-521, Ed25519, RSA-PSS, SHA-1) are left to the clients, who check them at every connection.
func (p *Plan) verify() {
	p.Actions = []Action{{Part: "server", Verb: Verify, Why: "there is no ca/key.pem: the user runs the CA"}}
	if p.found["ca/key.pem"].data != nil {
		p.Actions[0].Why = "ca/key.pem is no key that can be signed with here: the user runs the CA"
	}
	find := func(path string, fatal bool, format string, args ...any) {
		p.Findings = append(p.Findings, Finding{File: path, Fatal: fatal, Text: fmt.Sprintf(format, args...)})
	}
	roots, err := parseCertificates(p.found["server/ca.pem"].data)
	if err != nil {
		find("server/ca.pem", true, "%v", err)
	}
	chain, err := parseCertificates(p.found["server/cert.pem"].data)
	if err != nil {
		find("server/cert.pem", true, "%v", err)
		return
	}
	leaf := chain[0]
	key, err := parseKey(p.found["server/key.pem"].data)
	switch {
	case errors.Is(err, errForeignKey):
		// Of a kind that dockerd may well take; one with a passphrase it does not.
		if bytes.Contains(p.found["server/key.pem"].data, []byte("ENCRYPTED")) {
			find("server/key.pem", true, "it has a passphrase, and dockerd takes none")
		}
	case err != nil:
		find("server/key.pem", true, "%v", err)
	case !leaf.key.equal(key.publicKey):
		find("server/key.pem", true, "it is not the key of server/cert.pem")
	}
	if mode := p.found["server/key.pem"].mode; mode&0o004 != 0 {
		find("server/key.pem", false, "everybody may read it (mode %#o)", uint32(mode))
	}
	if !leaf.serves(oidServerAuth) {
		find("server/cert.pem", false, "its extended key usage is not that of a server: clients refuse it")
	}
	if lacks := p.wanted.lacks(leaf); len(lacks) > 0 {
		find("server/cert.pem", false, "it is not valid for %s: clients that connect to these refuse it", listed(lacks))
	}
	if roots != nil {
		if text := p.follow(leaf, chain[1:], roots); text != "" {
			find("server/cert.pem", false, "%s: clients refuse it", text)
		}
	}
}

// follow goes from a certificate to one of the roots, and tells what is in the way.
func (p *Plan) follow(c *certificate, between, roots []*certificate) string {
	for range maxChain {
		if text := p.expired(c); text != "" {
			return text
		}
		for _, root := range roots {
			if bytes.Equal(c.raw, root.raw) {
				return ""
			}
		}
		if issuer := issuerOf(c, roots); issuer != nil {
			return p.expired(issuer)
		}
		issuer := issuerOf(c, between)
		if issuer == nil {
			return fmt.Sprintf("none of the certificates in server/ca.pem has signed %q", c.commonName)
		}
		c = issuer
	}
	return "its chain does not end"
}

// issuerOf finds who has signed a certificate: by name and, where the kind of signature is known, by the signature.
func issuerOf(c *certificate, list []*certificate) *certificate {
	for _, issuer := range list {
		if !c.issuedBy(issuer) || issuer.hasBasic && !issuer.ca || !issuer.may(5) || bytes.Equal(issuer.raw, c.raw) {
			continue
		}
		if ok, checked := issuer.key.verify(c.algorithm, c.tbs, c.signed); ok || !checked {
			return issuer
		}
	}
	return nil
}

// expired says nothing by a clock that is plainly wrong.
func (p *Plan) expired(c *certificate) string {
	if p.now.Before(clockFloor()) {
		return ""
	}
	if text := p.dates(c); text != "" && (p.now.Before(c.from) || !p.now.Before(c.to)) {
		return fmt.Sprintf("%q %s", c.commonName, text)
	}
	return ""
}
