// Package hostcerts makes the certificates of a machine that is started here, and of whoever talks to it: the server's go
// into the machine, and the authority's key never does. It is build tooling; the launcher makes its own with launch/certs.
//
// The layout is that of docker:dind's DOCKER_TLS_CERTDIR: ca/{key,cert}.pem, server/{key,cert,ca}.pem and
// client/{key,cert,ca}.pem, the last being what DOCKER_CERT_PATH names.
package hostcerts

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// lifetime is what clients accept of a server at most, as the CA/Browser Forum had it from 2018 to 2020.
	lifetime = 825 * 24 * time.Hour
	// early is how long before their end certificates are made anew.
	early = 30 * 24 * time.Hour
	// slack is how far the machine's clock may be behind this one's.
	slack = 24 * time.Hour
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Ensure makes certificates in dir that are valid for the names and addresses of hosts, unless there are some that will do:
// for all of hosts, and for a month from now on. made tells that they are new.
func Ensure(dir string, hosts []string, now time.Time) (made bool, err error) {
	if fit(dir, hosts, now) {
		return false, nil
	}
	ca, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "dockerlaunch machine CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, nil, now)
	if err != nil {
		return false, err
	}
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: "dockerlaunch machine"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, h)
		}
	}
	client := &x509.Certificate{
		Subject: pkix.Name{CommonName: "dockerlaunch machine client"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	// The authority first: where this ends half-way, the rest does not fit it, and all is made anew.
	if err := ca.save(filepath.Join(dir, "ca"), nil); err != nil {
		return false, err
	}
	for name, template := range map[string]*x509.Certificate{"server": server, "client": client} {
		p, err := issue(template, ca, now)
		if err != nil {
			return false, err
		}
		if err := p.save(filepath.Join(dir, name), ca.cert); err != nil {
			return false, err
		}
	}
	return true, nil
}

// fit tells whether what is in dir will do.
func fit(dir string, hosts []string, now time.Time) bool {
	ca, err := load(filepath.Join(dir, "ca"))
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for name, usage := range map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth} {
		p, err := load(filepath.Join(dir, name))
		if err != nil {
			return false
		}
		other, err := readPEM(filepath.Join(dir, name, "ca.pem"), "CERTIFICATE")
		if err != nil || string(other) != string(ca.cert.Raw) {
			return false
		}
		for _, at := range []time.Time{now, now.Add(early)} {
			if _, err := p.cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				return false
			}
		}
		for _, h := range hosts {
			if name == "server" && p.cert.VerifyHostname(h) != nil {
				return false
			}
		}
	}
	return true
}

// issue makes a key, and a certificate for it that parent has signed; without a parent it signs itself.
func issue(template *x509.Certificate, parent *pair, now time.Time) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	template.NotBefore, template.NotAfter = now.Add(-slack), now.Add(lifetime-slack)
	above, signer := template, crypto.Signer(key)
	if parent != nil {
		above, signer = parent.cert, parent.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &pair{cert: cert, key: key}, nil
}

// save writes key.pem and cert.pem, and ca.pem where there is an authority.
func (p *pair) save(dir string, ca *x509.Certificate) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing certificates: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	if err := writePEM(filepath.Join(dir, "key.pem"), "PRIVATE KEY", key, 0o600); err != nil {
		return err
	}
	if ca != nil {
		if err := writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.Raw, 0o644); err != nil {
			return err
		}
	}
	return writePEM(filepath.Join(dir, "cert.pem"), "CERTIFICATE", p.cert.Raw, 0o644)
}

func writePEM(name, kind string, raw []byte, mode fs.FileMode) error {
	next := name + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // its mode would stay
		return fmt.Errorf("writing certificates: %w", err)
	}
	if err := os.WriteFile(next, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), mode); err != nil {
		return fmt.Errorf("writing certificates: %w", err)
	}
	if err := os.Rename(next, name); err != nil {
		return fmt.Errorf("writing certificates: %w", err)
	}
	return nil
}

// load reads a key and its certificate, which must belong together.
func load(dir string) (*pair, error) {
	rawKey, err := readPEM(filepath.Join(dir, "key.pem"), "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(rawKey)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key in %s is a %T", dir, parsed)
	}
	rawCert, err := readPEM(filepath.Join(dir, "cert.pem"), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(rawCert)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("key and certificate in %s do not belong together", dir)
	}
	return &pair{cert: cert, key: key}, nil
}

func readPEM(name, kind string) ([]byte, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s has no %s", name, kind)
	}
	return block.Bytes, nil
}
