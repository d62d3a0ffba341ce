package nested

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shared makes a folder that containers of the outer Docker find below /shared, and returns its paths here and there.
func (o *outer) shared(t *testing.T) (here, there string) {
	t.Helper()
	there = "/shared/" + newName("folder")
	here = filepath.Join(o.dir, there)
	if err := os.Mkdir(here, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(here); err != nil {
			t.Error(err)
		}
	})
	return here, there
}

// overTLS is a Docker whose client is a second container, with the client's certificate alone.
func (d *dind) overTLS(network, certs string) *dind {
	copied := *d
	copied.exec = []string{
		"run", "--rm", "--network", network, "-v", certs + "/client:/certs/client:ro", "-v", "/shared:/shared", "-e", "DOCKER_HOST=tcp://docker:2376",
		"-e", "DOCKER_TLS_VERIFY=1", "-e", "DOCKER_CERT_PATH=/certs/client", "--entrypoint", "docker", "dockerlaunch",
	}
	return &copied
}

// ask asks the Docker at an address whether it answers, with a client's certificate, in one version of TLS.
func ask(address string, pool *x509.CertPool, version uint16, certificates ...tls.Certificate) error {
	client := &http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		// The name that each server certificate has beside the addresses.
		RootCAs: pool, ServerName: "docker", MinVersion: version, MaxVersion: version,
		// Whatever authorities the server says it trusts: a client is to be refused, and not to keep silent.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return new(tls.Certificate), nil
			}
			return &certificates[0], nil
		},
	}}}
	resp, err := client.Get("https://" + address + "/_ping")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "OK" {
		return fmt.Errorf("it answers %s, %q, %w", resp.Status, text, err)
	}
	return nil
}

// poolOf reads authorities.
func poolOf(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	text, err := os.ReadFile(file)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s: %v", file, err)
	}
	return pool
}

func clientOf(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// TestTLS uses the Docker inside through a second container that has the client's certificate, and tries clients that must
// be refused.
func TestTLS(t *testing.T) {
	o := theOuterDocker(t)
	network := o.network(t)
	here, certs := o.shared(t)
	const port = "2476"
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker", "-v", certs+":/certs", "-p", port+":2376", "--network", network, "--network-alias", "docker").ready()
	address := o.Addr().String() + ":" + port

	t.Run("a second container with the certificate", func(t *testing.T) {
		far := d.with(t).overTLS(network, certs).guest()
		if got := far.docker("run", "--rm", "guest", "first", "/proc/1/comm"); got != "guest" {
			t.Errorf("a container that is run over TLS says %q", got)
		}
		if got := d.with(t).docker("images", "-q", "guest"); got == "" {
			t.Error("what was loaded over TLS is not in the Docker inside")
		}
	})

	pool, good := poolOf(t, here+"/client/ca.pem"), clientOf(t, here+"/client")
	own := readAuthority(t, here+"/ca")
	now := time.Now()
	foreign := newAuthority(t, "docker:dind CA", now.Add(-time.Hour), now.Add(time.Hour))
	refused := map[string][]tls.Certificate{
		"without a certificate":            nil,
		"with one of a foreign CA":         {foreign.issue(t, clientTemplate(now.Add(-time.Hour), now.Add(time.Hour)))},
		"with one that has expired":        {own.issue(t, clientTemplate(now.Add(-2*time.Hour), now.Add(-time.Hour)))},
		"with one that is not valid yet":   {own.issue(t, clientTemplate(now.Add(time.Hour), now.Add(2*time.Hour)))},
		"with the server's own":            {clientOf(t, here+"/server")},
		"with one that signed itself":      {newAuthority(t, "docker:dind client", now.Add(-time.Hour), now.Add(time.Hour)).certificate()},
		"with the right one of another CA": {{Certificate: good.Certificate, PrivateKey: foreign.key}},
	}
	for version, number := range versions {
		if err := ask(address, pool, number, good); err != nil {
			t.Errorf("%s with the right certificate: %v", version, err)
		}
		fresh := own.issue(t, clientTemplate(now.Add(-time.Hour), now.Add(time.Hour)))
		if err := ask(address, pool, number, fresh); err != nil {
			t.Errorf("%s with another one of the same CA: %v", version, err)
		}
		for how, certificates := range refused {
			if err := ask(address, pool, number, certificates...); err == nil {
				t.Errorf("%s %s: it is let in", version, how)
			} else if !strings.Contains(err.Error(), "tls: ") {
				t.Errorf("%s %s: it is not TLS that refuses: %v", version, how, err)
			}
		}
	}
	// Old TLS and no TLS at all.
	if err := ask(address, pool, tls.VersionTLS11, good); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if resp, err := http.Get("http://" + address + "/_ping"); err == nil {
		if resp.StatusCode == http.StatusOK {
			t.Error("it answers without TLS")
		}
		resp.Body.Close()
	}
}
