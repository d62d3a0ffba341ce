package hostcerts

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func ensure(t *testing.T, dir string, now time.Time, hosts ...string) bool {
	t.Helper()
	made, err := Ensure(dir, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestEnsure(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if !ensure(t, dir, now, "localhost", "127.0.0.1") {
		t.Error("there were certificates before")
	}
	for name, mode := range map[string]os.FileMode{"ca/key.pem": 0o600, "server/key.pem": 0o600, "client/key.pem": 0o600, "client/ca.pem": 0o644, "server/cert.pem": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if ensure(t, dir, now.Add(700*24*time.Hour), "localhost") {
		t.Error("good ones are made anew")
	}
	for what, change := range map[string]func() (time.Time, []string){
		"almost over":       func() (time.Time, []string) { return now.Add(lifetime - early), nil },
		"another name":      func() (time.Time, []string) { return now, []string{"example.org"} },
		"a file is missing": func() (time.Time, []string) { return now, nilAfter(os.Remove(filepath.Join(dir, "client/ca.pem"))) },
		"a file is damaged": func() (time.Time, []string) {
			return now, nilAfter(os.Truncate(filepath.Join(dir, "server/cert.pem"), 50))
		},
		"another's key": func() (time.Time, []string) {
			return now, nilAfter(os.Rename(filepath.Join(dir, "client/key.pem"), filepath.Join(dir, "server/key.pem")))
		},
	} {
		ensure(t, dir, now)
		at, hosts := change()
		if !ensure(t, dir, at, hosts...) {
			t.Errorf("%s, and they are kept", what)
		}
	}
}

func nilAfter(err error) []string {
	if err != nil {
		panic(err)
	}
	return nil
}

// Both sides accept each other, and nobody without a certificate is let in.
func TestHandshake(t *testing.T) {
	dir := t.TempDir()
	ensure(t, dir, time.Now(), "127.0.0.1")
	load := func(name string) (tls.Certificate, *x509.CertPool) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name, "cert.pem"), filepath.Join(dir, name, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, name, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(raw) {
			t.Fatal("no authority")
		}
		return pair, pool
	}
	serverPair, clients := load("server")
	clientPair, servers := load("client")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{serverPair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				_, _ = io.Copy(c, c) // a refused client shows on its own side
				c.Close()
			}(c)
		}
	}()
	for _, with := range []bool{true, false} {
		config := &tls.Config{RootCAs: servers}
		if with {
			config.Certificates = []tls.Certificate{clientPair}
		}
		c, err := tls.Dial("tcp", listener.Addr().String(), config)
		if err == nil {
			_, err = c.Write([]byte("x"))
			if err == nil {
				_, err = io.ReadFull(c, make([]byte, 1))
			}
			c.Close()
		}
		if (err == nil) != with {
			t.Errorf("with a certificate %v: %v", with, err)
		}
	}
}
