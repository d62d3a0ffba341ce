package nested

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestNamesInCertificate: the server's certificate has docker:dind's names, the container's, and those of DOCKER_TLS_SAN.
func TestNamesInCertificate(t *testing.T) {
	o := theOuterDocker(t)
	here, certs := o.shared(t)
	d := o.start(t, "-v", certs+":/certs", "-e", "DOCKER_TLS_SAN=DNS:docker.example,IP:192.0.2.7", "--hostname", "myself").ready()
	cert := leaf(t, here+"/server/cert.pem")
	for _, name := range []string{"docker", "localhost", "myself", "docker.example", "127.0.0.1", "::1", "192.0.2.7", d.address()} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	for file, want := range map[string]os.FileMode{
		"ca/key.pem": 0o600, "ca/cert.pem": 0o644, "server/key.pem": 0o600, "server/cert.pem": 0o644, "server/ca.pem": 0o644,
		"client/key.pem": 0o644, "client/cert.pem": 0o644, "client/ca.pem": 0o644,
	} {
		if st, err := os.Stat(here + "/" + file); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", file, st, err)
		}
	}
}

// address is the container's in the outer Docker's default network.
func (d *dind) address() string {
	d.t.Helper()
	return d.o.docker(d.t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", d.name)
}

func leaf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no PEM", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestCertificatesRenewed: certificates that have expired meanwhile are made anew at the next start, and the CA with them
// where it has too; those that are valid are kept.
func TestCertificatesRenewed(t *testing.T) {
	o := theOuterDocker(t)
	here, certs := o.shared(t)
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker", "-v", certs+":/certs", "-p", "2477:2376").ready()
	address := net.JoinHostPort(o.Addr().String(), "2477")
	files := []string{"ca/cert.pem", "ca/key.pem", "server/cert.pem", "server/key.pem", "client/cert.pem", "client/key.pem"}
	read := func() map[string]string {
		found := map[string]string{}
		for _, file := range files {
			text, err := os.ReadFile(here + "/" + file)
			if err != nil {
				t.Fatal(err)
			}
			found[file] = string(text)
		}
		return found
	}
	restart := func() {
		t.Helper()
		o.docker(t, "restart", d.name)
		d.ready()
		for version, number := range versions {
			if err := ask(address, poolOf(t, here+"/client/ca.pem"), number, clientOf(t, here+"/client")); err != nil {
				t.Errorf("%s: %v", version, err)
			}
		}
	}
	before := read()
	restart()
	for file, text := range read() {
		if text != before[file] {
			t.Errorf("%s was valid, and is another one now", file)
		}
	}

	year := 365 * 24 * time.Hour
	from, to := time.Now().Add(-3*year), time.Now().Add(-time.Minute)
	for _, expired := range []string{"server and client", "all of them"} {
		t.Run(expired, func(t *testing.T) {
			authority := readAuthority(t, here+"/ca")
			if expired == "all of them" {
				template := *authority.cert
				template.NotBefore, template.NotAfter, template.SerialNumber = from, to, serial(t)
				old := *authority
				old.cert = &template
				authority.cert = old.sign(t, &template, &authority.key.PublicKey)
				writeTo(t, here+"/ca", authority.certificate())
				for _, copied := range []string{"/server/ca.pem", "/client/ca.pem"} {
					if err := os.WriteFile(here+copied, []byte(read()["ca/cert.pem"]), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, side := range []string{"server", "client"} {
				template := leaf(t, here+"/"+side+"/cert.pem")
				template.NotBefore, template.NotAfter = from, to
				writeTo(t, here+"/"+side, authority.issue(t, template))
			}
			was := read()
			restart()
			for _, file := range files {
				now := read()[file]
				wanted := strings.HasSuffix(file, "cert.pem") && (expired == "all of them" || !strings.HasPrefix(file, "ca/"))
				if changed := now != was[file]; wanted && !changed {
					t.Errorf("%s is the old one", file)
				} else if !wanted && changed {
					t.Errorf("%s was not to change", file)
				}
				if wanted && leaf(t, here+"/"+file).NotAfter.Before(time.Now().Add(year)) {
					t.Errorf("%s is valid until %v", file, leaf(t, here+"/"+file).NotAfter)
				}
			}
		})
	}
}
