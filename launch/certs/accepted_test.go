package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAcceptedByX509 holds what is made to crypto/x509.
func TestAcceptedByX509(t *testing.T) {
	dir := t.TempDir()
	w := wanted(t)
	apply(t, dir, w, someTime)
	ca, server, client := x509Of(t, dir, "ca/cert.pem"), x509Of(t, dir, "server/cert.pem"), x509Of(t, dir, "client/cert.pem")
	if !ca.IsCA || !ca.BasicConstraintsValid || ca.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature || ca.Subject.CommonName != "dockerlaunch CA" {
		t.Errorf("the CA: %+v", ca)
	}
	for _, c := range []*x509.Certificate{ca, server, client} {
		if c.Version != 3 || c.SignatureAlgorithm != x509.ECDSAWithSHA256 || len(c.SubjectKeyId) != 20 || c.SerialNumber.BitLen() != 127 {
			t.Errorf("%s: version %d, %v, %x, %d", c.Subject, c.Version, c.SignatureAlgorithm, c.SubjectKeyId, c.SerialNumber.BitLen())
		}
		if got := c.NotAfter.Sub(c.NotBefore); got != 825*24*time.Hour || !c.NotBefore.Equal(someTime.Add(-24*time.Hour).Truncate(time.Second)) {
			t.Errorf("%s: from %v for %v", c.Subject, c.NotBefore, got)
		}
		if err := c.CheckSignatureFrom(ca); err != nil {
			t.Errorf("%s: %v", c.Subject, err)
		}
	}
	names := slices.Clone(server.DNSNames)
	if want := []string{"*.wild.example", "box", "box.example.org", "docker", "localhost"}; !slices.Equal(names, want) {
		t.Errorf("names %q", names)
	}
	for part, usage := range map[*x509.Certificate]x509.ExtKeyUsage{server: x509.ExtKeyUsageServerAuth, client: x509.ExtKeyUsageClientAuth} {
		if _, err := part.Verify(x509.VerifyOptions{Roots: pool(t, dir, "server/ca.pem"), CurrentTime: someTime, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"docker", "localhost", "box.example.org", "x.wild.example", "127.0.0.1", "::1", "192.0.2.7"} {
		if err := server.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	for path, mode := range map[string]os.FileMode{"ca/key.pem": 0o600, "server/key.pem": 0o600, "client/key.pem": 0o644, "client/cert.pem": 0o644, "client/ca.pem": 0o644} {
		if st, err := os.Stat(filepath.Join(dir, path)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	files := FilesOf(dir)
	if _, err := tls.LoadX509KeyPair(files.Cert, files.Key); err != nil {
		t.Error(err)
	}
	if args := strings.Join(files.Args(), " "); !strings.HasPrefix(args, "--tlsverify --tlscacert="+dir+"/server/ca.pem --tlscert=") {
		t.Error(args)
	}
}

func TestAcceptedByOpenSSL(t *testing.T) {
	dir := t.TempDir()
	apply(t, dir, wanted(t), time.Now())
	mustOpenssl(t, dir, "verify", "-x509_strict", "-CAfile", "server/ca.pem", "-purpose", "sslserver", "-verify_hostname", "docker", "server/cert.pem")
	mustOpenssl(t, dir, "verify", "-x509_strict", "-CAfile", "server/ca.pem", "-purpose", "sslserver", "-verify_ip", "192.0.2.7", "server/cert.pem")
	mustOpenssl(t, dir, "verify", "-x509_strict", "-CAfile", "client/ca.pem", "-purpose", "sslclient", "client/cert.pem")
	mustOpenssl(t, dir, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", "client/ca.pem", "ca/cert.pem")
	for _, part := range []string{"ca", "server", "client"} {
		mustOpenssl(t, dir, "pkey", "-check", "-noout", "-in", part+"/key.pem")
	}
	for _, wrong := range [][]string{{"-purpose", "sslclient", "server/cert.pem"}, {"-purpose", "sslserver", "client/cert.pem"}} {
		if out, err := openssl(t, dir, append([]string{"verify", "-x509_strict", "-CAfile", "server/ca.pem"}, wrong...)...); err == nil {
			t.Errorf("%q: openssl accepts it\n%s", wrong, out)
		}
	}
}

// TestTLS connects as dockerd and its clients do, with TLS 1.2 and 1.3.
func TestTLS(t *testing.T) {
	dir, foreign, old := t.TempDir(), t.TempDir(), t.TempDir()
	now := time.Now()
	apply(t, dir, wanted(t), now)
	apply(t, foreign, wanted(t), now)
	for _, path := range []string{"ca/key.pem", "ca/cert.pem"} {
		write(t, read(t, dir, path), old, path)
	}
	// A client's certificate of the same CA, that has expired.
	expired := expiredClient(t, dir, now)

	none := tls.Certificate{}
	for name, test := range map[string]struct {
		client tls.Certificate
		roots  string
		server string
		works  bool
	}{
		"its own":                       {client: pair(t, dir, "client"), roots: dir, server: "localhost", works: true},
		"by address":                    {client: pair(t, dir, "client"), roots: dir, server: "192.0.2.7", works: true},
		"without a certificate":         {client: none, roots: dir, server: "localhost"},
		"of a foreign CA":               {client: pair(t, foreign, "client"), roots: dir, server: "localhost"},
		"expired":                       {client: expired, roots: dir, server: "localhost"},
		"the server's as a client's":    {client: pair(t, dir, "server"), roots: dir, server: "localhost"},
		"a client with another CA":      {client: pair(t, dir, "client"), roots: foreign, server: "localhost"},
		"by a name that it has not":     {client: pair(t, dir, "client"), roots: dir, server: "example.com"},
		"by an address that it has not": {client: pair(t, dir, "client"), roots: dir, server: "192.0.2.8"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				server := &tls.Config{Certificates: []tls.Certificate{pair(t, dir, "server")}, ClientCAs: pool(t, dir, "server/ca.pem"), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: version, MaxVersion: version}
				client := &tls.Config{RootCAs: pool(t, test.roots, "client/ca.pem"), ServerName: test.server, MinVersion: version, MaxVersion: version}
				if test.client.Certificate != nil {
					// Whatever CAs the server names.
					client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &test.client, nil }
				}
				if err := talk(server, client); (err == nil) != test.works {
					t.Errorf("works: %v, %v", err == nil, err)
				}
			})
		}
	}
}

func expiredClient(t *testing.T, dir string, now time.Time) tls.Certificate {
	t.Helper()
	key, err := parseKey(read(t, dir, "ca/key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseCertificates(read(t, dir, "ca/cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	clientKey, err := generateP256()
	if err != nil {
		t.Fatal(err)
	}
	c, err := certificateFor(profiles()[2], nil, clientKey.publicKey, Wanted{}, now.AddDate(-1, 0, 0), now.Add(-time.Hour), list[0], key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tls.X509KeyPair(c.encode(), clientKey.encode())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// talk sends a word from the server to the client and back: with TLS 1.3 a client learns only then that it was refused.
func talk(server, client *tls.Config) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	right, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	left, err := l.Accept()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(30 * time.Second)
	if err := errors.Join(left.SetDeadline(deadline), right.SetDeadline(deadline)); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		s := tls.Server(left, server)
		defer left.Close()
		if err := s.Handshake(); err != nil {
			served <- err
			return
		}
		_, err := s.Write([]byte("hello"))
		served <- err
	}()
	c := tls.Client(right, client)
	defer right.Close()
	data, err := io.ReadAll(io.LimitReader(c, 5))
	if err == nil && !bytes.Equal(data, []byte("hello")) {
		err = errors.New("nothing was said")
	}
	right.Close()
	return errors.Join(err, <-served)
}

// BenchmarkThreeCertificates is what a first start costs, but for the disk.
func BenchmarkThreeCertificates(b *testing.B) {
	w := wanted(b)
	for b.Loop() {
		p, err := decide("/nonexistent", tree{}, w, someTime)
		if err != nil {
			b.Fatal(err)
		}
		dir := b.TempDir()
		p.Dir = dir
		if _, err := p.Apply(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKeep is what every other start costs.
func BenchmarkKeep(b *testing.B) {
	w, dir := wanted(b), b.TempDir()
	apply(b, dir, w, someTime)
	for b.Loop() {
		if p, err := NewPlan(dir, w, someTime); err != nil || !p.right() {
			b.Fatal(p, err)
		}
	}
}
