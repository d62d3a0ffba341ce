package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// someTime is when the tests take place.
var someTime = time.Date(2027, 3, 4, 5, 6, 7, 890, time.UTC)

func wanted(t testing.TB) Wanted {
	t.Helper()
	w, err := NewWanted("box.example.org", []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("172.17.0.2")}, "DNS:*.wild.example,IP:192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// apply plans and applies, and wants that nothing is left to do then.
func apply(t testing.TB, dir string, w Wanted, now time.Time) *Plan {
	t.Helper()
	p, err := NewPlan(dir, w, now)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := p.Apply(t.Context()); err != nil || kept != p.right() {
		t.Fatalf("%s: kept %v, %v", p, kept, err)
	}
	before := snapshot(t, dir)
	if kept, err := p.Apply(t.Context()); err != nil || !kept {
		t.Fatalf("the same plan once more: kept %v, %v", kept, err)
	}
	again, err := NewPlan(dir, w, now)
	if err != nil {
		t.Fatal(err)
	}
	if !again.right() {
		t.Fatalf("after %s there is still to do: %s", p, again)
	}
	if after := snapshot(t, dir); after != before {
		t.Fatalf("the second run changed something:\n%s\nbecame\n%s", before, after)
	}
	return p
}

// snapshot lists all files with modes and contents.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, st os.FileInfo, err error) error {
		if err != nil || st.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		b.WriteString(strings.TrimPrefix(path, dir) + " " + st.Mode().String() + "\n" + string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, text []byte, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// x509Of reads a certificate with the standard library.
func x509Of(t testing.TB, path ...string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, path...))
	if block == nil {
		t.Fatalf("no PEM in %s", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pair(t testing.TB, dir, part string) tls.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(filepath.Join(dir, part, "cert.pem"), filepath.Join(dir, part, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pool(t testing.TB, path ...string) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(read(t, path...)) {
		t.Fatalf("%s has no certificate", path)
	}
	return p
}

// openssl runs the program in a folder.
func openssl(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatalf("openssl is missing (scripts/install-tools test): %v", err)
	}
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustOpenssl(t testing.TB, dir string, args ...string) {
	t.Helper()
	if out, err := openssl(t, dir, args...); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func verbs(p *Plan) string {
	var list []string
	for _, a := range p.Actions {
		list = append(list, a.Part+":"+string(a.Verb))
	}
	return strings.Join(list, " ")
}
