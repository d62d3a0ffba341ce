package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestCertificates(t *testing.T) {
	needDpkgDeb(t)
	folder := t.TempDir()
	const at = "./usr/share/ca-certificates/mozilla/"
	last := certificate[:len(certificate)-1] // without a line end
	putDeb(t, folder, "ca-certificates",
		file(at+"b.crt", certificate+"\n"), file(at+"a b.crt", last), file(at+"Z.crt", "comment\n"+certificate), file(at+"notes.txt", "x"))
	req := (Options{}).wanted()[len((Options{}).wanted())-1]
	if !req.Certificates {
		t.Fatalf("the last tool is %s", req.Name)
	}
	nodes, err := plan(unpackAll(t, folder), []Requirement{req}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := "comment\n" + certificate + last + "\n" + certificate + "\n"
	for _, n := range nodes {
		if n.Path != CertificateBundle {
			continue
		}
		if string(n.content) != want || n.Size != int64(len(want)) || n.Package != "ca-certificates" || n.Mode != 0o644 {
			t.Errorf("the bundle is %+v:\n%s\nwant:\n%s", n, n.content, want)
		}
		return
	}
	t.Error("there is no bundle")
}

func TestCertificateRefused(t *testing.T) {
	key := "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
	for _, raw := range []string{"", "hello", key, certificate[:20]} {
		wantError(t, appendCertificate(&bytes.Buffer{}, "a.crt", []byte(raw)), "a.crt")
	}
}

// The bundle of this machine, which update-ca-certificates made, is what the same certificates give here.
func TestCertificatesAsDebian(t *testing.T) {
	want, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		testenv.Missing(t, fmt.Sprintf("it needs a bundle to compare with, of Debian's package ca-certificates: %v", err))
	}
	list, err := os.ReadFile("/etc/ca-certificates.conf")
	if err != nil {
		testenv.Missing(t, fmt.Sprintf("it needs a bundle that update-ca-certificates made, of Debian's package ca-certificates: %v", err))
	}
	var got bytes.Buffer
	for line := range bytes.Lines(list) {
		name := string(bytes.TrimSpace(line))
		if name == "" || name[0] == '#' || name[0] == '!' {
			continue
		}
		raw, err := os.ReadFile("/usr/share/ca-certificates/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // update-ca-certificates warns and leaves it out, too
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := appendCertificate(&got, name, raw); err != nil {
			t.Fatal(err)
		}
	}
	if got.Len() == 0 {
		t.Fatal("/etc/ca-certificates.conf names no certificate that is in /usr/share/ca-certificates")
	}
	if !bytes.HasPrefix(want, got.Bytes()) { // local certificates come behind
		t.Errorf("%d bytes differ from the %d of the machine", got.Len(), len(want))
	}
}
