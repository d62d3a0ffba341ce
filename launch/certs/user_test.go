package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a user's own CA, made with the standard library.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate; issuer is nil for a root.
func issue(t *testing.T, issuer *authority, kind, name string, change func(*x509.Certificate)) *authority {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: someTime.AddDate(-1, 0, 0), NotAfter: someTime.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
	}
	if change != nil {
		change(c)
	}
	a := &authority{cert: c, key: newKey(t, kind)}
	parent := a
	if issuer != nil {
		parent = issuer
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent.cert, a.key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// serverCert makes a template that of a server with all wanted names.
func serverCert(t *testing.T) func(*x509.Certificate) {
	w := wanted(t)
	return func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage, c.DNSNames = false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, w.Names
		for _, ip := range w.IPs {
			c.IPAddresses = append(c.IPAddresses, net.IP(ip.AsSlice()))
		}
	}
}

// TestUsersOwnCA verifies what a user's CA has made, changes nothing, and says what is wrong.
func TestUsersOwnCA(t *testing.T) {
	root := issue(t, nil, "p256", "Example Root", nil)
	rsaRoot := issue(t, nil, "rsa", "Example RSA", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA384WithRSA })
	pss := issue(t, nil, "rsa", "Example PSS", nil)
	p384 := issue(t, nil, "p384", "Example P-384", nil)
	between := issue(t, root, "p256", "Example Intermediate", nil)
	impostor := issue(t, nil, "p256", "Example Root", nil)
	twin := issue(t, nil, "p256", "Example Root", func(c *x509.Certificate) { c.SubjectKeyId = root.cert.SubjectKeyId })
	good := issue(t, root, "p256", "server", serverCert(t))
	change := func(f func(*x509.Certificate)) *authority {
		return issue(t, root, "p256", "server", func(c *x509.Certificate) { serverCert(t)(c); f(c) })
	}
	behind := issue(t, between, "p256", "server", serverCert(t))
	for name, test := range map[string]struct {
		roots, cert, key []byte
		says             string // of the only finding; empty for none
		fatal            bool
	}{
		"right":                   {roots: root.pem(), cert: good.pem(), key: good.keyPEM(t)},
		"an intermediate":         {roots: root.pem(), cert: append(behind.pem(), between.pem()...), key: behind.keyPEM(t)},
		"none in between":         {roots: root.pem(), cert: behind.pem(), key: behind.keyPEM(t), says: "has signed"},
		"its own root":            {roots: good.pem(), cert: good.pem(), key: good.keyPEM(t)},
		"several roots":           {roots: append(impostor.pem(), root.pem()...), cert: good.pem(), key: good.keyPEM(t)},
		"another's key":           {roots: root.pem(), cert: good.pem(), key: root.keyPEM(t), says: "not the key of server/cert.pem", fatal: true},
		"another root":            {roots: rsaRoot.pem(), cert: good.pem(), key: good.keyPEM(t), says: "has signed"},
		"a root of the same name": {roots: impostor.pem(), cert: good.pem(), key: good.keyPEM(t), says: "has signed"},
		"a root of the same name and key identifier": {roots: twin.pem(), cert: good.pem(), key: good.keyPEM(t), says: "has signed"},
		"garbage":            {roots: root.pem(), cert: []byte("garbage"), key: good.keyPEM(t), says: "no certificate", fatal: true},
		"garbage for a root": {roots: []byte("garbage"), cert: good.pem(), key: good.keyPEM(t), says: "no certificate", fatal: true},
		"garbage for a key":  {roots: root.pem(), cert: good.pem(), key: []byte("garbage"), says: "no private key", fatal: true},
		"a passphrase":       {roots: root.pem(), cert: good.pem(), key: []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"), says: "passphrase", fatal: true},
	} {
		judgeUser(t, name, test.roots, test.cert, test.key, test.says, test.fatal)
	}
	for name, test := range map[string]struct {
		server, root *authority
		says         string
	}{
		"by RSA with SHA-384": {issue(t, rsaRoot, "rsa", "server", func(c *x509.Certificate) { serverCert(t)(c); c.SignatureAlgorithm = x509.SHA384WithRSA }), rsaRoot, ""},
		"by RSA-PSS":          {issue(t, pss, "p256", "server", func(c *x509.Certificate) { serverCert(t)(c); c.SignatureAlgorithm = x509.SHA256WithRSAPSS }), pss, ""},
		"by P-384":            {issue(t, p384, "ed25519", "server", serverCert(t)), p384, ""},
		"P-256 with SHA-512":  {change(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA512 }), root, ""},
		"expired":             {change(func(c *x509.Certificate) { c.NotAfter = someTime.Add(-time.Hour) }), root, "has expired"},
		"not valid yet":       {change(func(c *x509.Certificate) { c.NotBefore = someTime.Add(time.Hour) }), root, "not valid before"},
		"about to expire":     {change(func(c *x509.Certificate) { c.NotAfter = someTime.Add(time.Hour) }), root, ""},
		"a client's":          {change(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), root, "key usage"},
		"fewer names": {change(func(c *x509.Certificate) {
			c.DNSNames = []string{"docker", "localhost", "box", "*.example.org", "*.wild.example"}
			c.IPAddresses = c.IPAddresses[:1]
		}), root, "not valid for"},
	} {
		judgeUser(t, name, test.root.pem(), test.server.pem(), test.server.keyPEM(t), test.says, false)
	}
	expired := issue(t, nil, "p256", "Old Root", func(c *x509.Certificate) { c.NotAfter = someTime.Add(-time.Hour) })
	s := issue(t, expired, "p256", "server", serverCert(t))
	judgeUser(t, "an expired root", expired.pem(), s.pem(), s.keyPEM(t), `"Old Root" has expired`, false)
	leaf := issue(t, root, "p256", "Not A CA", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	s = issue(t, leaf, "p256", "server", serverCert(t))
	judgeUser(t, "by one that is no CA", append(root.pem(), leaf.pem()...), s.pem(), s.keyPEM(t), "has signed", false)
}

func judgeUser(t *testing.T, name string, roots, cert, key []byte, says string, fatal bool) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		dir := t.TempDir()
		write(t, roots, dir, "server/ca.pem")
		write(t, cert, dir, "server/cert.pem")
		write(t, key, dir, "server/key.pem")
		write(t, roots, dir, "ca/cert.pem")
		before := snapshot(t, dir)
		p := apply(t, dir, wanted(t), someTime)
		if verbs(p) != "server:verify" || snapshot(t, dir) != before {
			t.Errorf("%s, and it changed something", p)
		}
		switch {
		case says == "" && len(p.Findings) > 0, says != "" && len(p.Findings) != 1:
			t.Errorf("found is %v, want %q", p.Findings, says)
		case says != "" && (!strings.Contains(p.Findings[0].String(), says) || p.Findings[0].Fatal != fatal):
			t.Errorf("found is %+v, want %q", p.Findings[0], says)
		}
		wrongClock, err := NewPlan(dir, wanted(t), epoch())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range wrongClock.Findings {
			if strings.Contains(f.Text, "expired") || strings.Contains(f.Text, "before") {
				t.Errorf("by a clock that is not set: %s", f)
			}
		}
	})
}

// TestRefused has files of a user's from which nothing can be made.
func TestRefused(t *testing.T) {
	root := issue(t, nil, "p256", "Example Root", nil)
	ed := issue(t, nil, "ed25519", "Example Ed25519", nil)
	expired := issue(t, nil, "p256", "Example Old", func(c *x509.Certificate) { c.NotAfter = someTime.Add(-time.Hour) })
	server := issue(t, root, "p256", "server", serverCert(t))
	for name, test := range map[string]struct {
		files map[string][]byte
		says  string
	}{
		"a CA without its key":         {map[string][]byte{"ca/cert.pem": root.pem()}, "ca/cert.pem is there without its key"},
		"and a server's, not complete": {map[string][]byte{"ca/cert.pem": root.pem(), "server/cert.pem": server.pem(), "server/key.pem": server.keyPEM(t)}, "not all there"},
		"a server's without a CA":      {map[string][]byte{"server/cert.pem": server.pem(), "server/key.pem": server.keyPEM(t)}, "not all there"},
		"a server's key alone":         {map[string][]byte{"server/key.pem": server.keyPEM(t)}, "not all there"},
		"a CA's key on Ed25519":        {map[string][]byte{"ca/key.pem": ed.keyPEM(t), "ca/cert.pem": ed.pem()}, "does not sign with"},
		"a CA of their own, expired":   {map[string][]byte{"ca/key.pem": expired.keyPEM(t), "ca/cert.pem": expired.pem()}, "has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, data := range test.files {
				write(t, data, dir, path)
			}
			before := snapshot(t, dir)
			p, err := NewPlan(dir, wanted(t), someTime)
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, %v", p, err)
			}
			if snapshot(t, dir) != before {
				t.Error("something was changed")
			}
		})
	}
	// Complete, beside a CA's key that is of no use here.
	dir := t.TempDir()
	write(t, ed.keyPEM(t), dir, "ca/key.pem")
	write(t, root.pem(), dir, "server/ca.pem")
	write(t, server.pem(), dir, "server/cert.pem")
	write(t, server.keyPEM(t), dir, "server/key.pem")
	if p := apply(t, dir, wanted(t), someTime); verbs(p) != "server:verify" || len(p.Findings) > 0 {
		t.Errorf("%s: %v", p, p.Findings)
	}
}

// TestUsersCAWithKey signs with a CA that a user has put there together with its key, and keeps it through all renewals.
func TestUsersCAWithKey(t *testing.T) {
	for _, kind := range []string{"p256", "rsa"} {
		root := issue(t, nil, kind, "Example Root", nil)
		dir := t.TempDir()
		write(t, root.keyPEM(t), dir, "ca/key.pem")
		write(t, root.pem(), dir, "ca/cert.pem")
		for _, now := range []time.Time{someTime, someTime.AddDate(0, 10, 0)} {
			w := wanted(t)
			w.Names = append(w.Names, date(now))
			p := apply(t, dir, w, now)
			if verbs(p) != "ca:keep server:make client:make" && verbs(p) != "ca:keep server:make client:keep" {
				t.Error(p)
			}
			verifyAll(t, dir, now)
			if end := x509Of(t, dir, "server/cert.pem").NotAfter; end.After(root.cert.NotAfter) {
				t.Errorf("it is valid until %v, which is longer than the CA", end)
			}
		}
		if !bytes.Equal(read(t, dir, "ca/cert.pem"), root.pem()) {
			t.Error("the user's CA was replaced")
		}
		if list, err := filepath.Glob(dir + "/*/*.old*"); len(list) > 0 || err != nil {
			t.Errorf("its own were set aside: %q, %v", list, err)
		}
	}
}

// TestUsersServerUnderOurCA puts a user's own files beside the launcher's CA: they are replaced, and kept under another name.
func TestUsersServerUnderOurCA(t *testing.T) {
	dir := t.TempDir()
	apply(t, dir, wanted(t), someTime)
	server := issue(t, issue(t, nil, "p256", "Example Root", nil), "p256", "server", serverCert(t))
	for range 2 * maxAside { // however often
		write(t, server.pem(), dir, "server/cert.pem")
		write(t, server.keyPEM(t), dir, "server/key.pem")
		if p := apply(t, dir, wanted(t), someTime); verbs(p) != "ca:keep server:make client:keep" {
			t.Fatal(p)
		}
	}
	verifyAll(t, dir, someTime)
	if !bytes.Equal(read(t, dir, "server/cert.pem.old"), server.pem()) {
		t.Error("it is lost")
	}
	if list, err := filepath.Glob(dir + "/server/cert.pem.old*"); len(list) != maxAside || err != nil {
		t.Errorf("%d were set aside, %v", len(list), err)
	}
}

// TestFromDind takes over what docker:dind's entrypoint has made (docker-library/docker, dockerd-entrypoint.sh), with
// RSA keys, and goes on with its CA.
func TestFromDind(t *testing.T) {
	dir := t.TempDir()
	for _, part := range []string{"ca", "server", "client"} {
		if err := os.Mkdir(filepath.Join(dir, part), 0o755); err != nil {
			t.Fatal(err)
		}
		mustOpenssl(t, dir, "genrsa", "-out", part+"/key.pem", "2048")
	}
	write(t, []byte("[x]\nsubjectAltName = DNS:docker,DNS:localhost,IP:127.0.0.1\n"), dir, "server/openssl.cnf")
	write(t, []byte("[x]\nextendedKeyUsage = clientAuth\n"), dir, "client/openssl.cnf")
	mustOpenssl(t, dir, "req", "-new", "-key", "ca/key.pem", "-out", "ca/cert.pem", "-subj", "/CN=docker:dind CA", "-x509", "-days", "825", "-addext", "keyUsage=critical,digitalSignature,keyCertSign")
	for _, part := range []string{"server", "client"} {
		mustOpenssl(t, dir, "req", "-new", "-key", part+"/key.pem", "-out", part+"/csr.pem", "-subj", "/CN=docker:dind "+part)
		mustOpenssl(t, dir, "x509", "-req", "-in", part+"/csr.pem", "-CA", "ca/cert.pem", "-CAkey", "ca/key.pem", "-CAcreateserial", "-out", part+"/cert.pem", "-days", "825", "-extfile", part+"/openssl.cnf", "-extensions", "x")
		write(t, read(t, dir, "ca/cert.pem"), dir, part, "ca.pem")
	}
	now := time.Now()
	w, err := NewWanted("", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if p := apply(t, dir, w, now); verbs(p) != allKept {
		t.Errorf("it is not kept: %s", p)
	}
	p := apply(t, dir, wanted(t), now)
	if verbs(p) != "ca:keep server:make client:keep" {
		t.Errorf("with more names: %s", p)
	}
	verifyAll(t, dir, now)
	mustOpenssl(t, dir, "verify", "-CAfile", "client/ca.pem", "-purpose", "sslserver", "-verify_hostname", "box", "server/cert.pem")
	now = now.Add(600 * day)
	if p := apply(t, dir, wanted(t), now); verbs(p) != allMade {
		t.Errorf("after 600 days: %s", p)
	}
	verifyAll(t, dir, now)
	if c := x509Of(t, dir, "ca/cert.pem"); c.Subject.CommonName != "docker:dind CA" || c.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("the CA is another one: %s", c.Subject)
	}
	if list, err := filepath.Glob(dir + "/*/*.old*"); len(list) > 0 || err != nil {
		t.Errorf("set aside: %q, %v", list, err)
	}
}
