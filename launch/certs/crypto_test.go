package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// TestSignaturesAgainstStandardLibrary signs here and verifies there, and the other way round.
func TestSignaturesAgainstStandardLibrary(t *testing.T) {
	std, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(std)
	if err != nil {
		t.Fatal(err)
	}
	k, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range 200 {
		message := []byte{byte(i), byte(i >> 8)}
		sum := sha256.Sum256(message)
		signature, err := k.sign(k.algorithm(), message)
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.VerifyASN1(&std.PublicKey, sum[:], signature) {
			t.Fatalf("crypto/ecdsa refuses %x over %x", signature, sum)
		}
		var numbers struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(signature, &numbers); err != nil || seen[numbers.R.String()] {
			t.Fatalf("the same random number twice, or %v", err)
		}
		seen[numbers.R.String()] = true
		if signature, err = ecdsa.SignASN1(rand.Reader, std, sum[:]); err != nil || !verifyP256(k.point, sum[:], signature) {
			t.Fatalf("crypto/ecdsa's is refused: %v", err)
		}
		for _, bad := range [][]byte{nil, signature[:len(signature)-1], append(bytes.Clone(signature), 0), flip(signature, 10), flip(signature, len(signature)-1)} {
			if verifyP256(k.point, sum[:], bad) {
				t.Fatalf("%x is taken", bad)
			}
		}
		sum[3] ^= 1
		if verifyP256(k.point, sum[:], signature) {
			t.Fatal("another message is taken")
		}
	}
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

// TestEdgesOfSignatures has numbers out of range, which FIPS 186-5 refuses.
func TestEdgesOfSignatures(t *testing.T) {
	k, err := newP256([]byte{5})
	if err != nil {
		t.Fatal(err)
	}
	sum := make([]byte, 32)
	n := []byte(order)
	tooMuch := append(bytes.Clone(n[:31]), n[31]+1)
	for _, r := range [][]byte{nil, {1}, n, tooMuch, bytes.Repeat([]byte{255}, 33)} {
		for _, s := range [][]byte{nil, {1}, n, tooMuch, bytes.Repeat([]byte{255}, 33)} {
			if verifyP256(k.point, sum, sequence(integer(r), integer(s))) {
				t.Errorf("%x, %x is taken", r, s)
			}
		}
	}
	for _, secret := range [][]byte{nil, {0}, n, tooMuch, make([]byte, 32), make([]byte, 33)} {
		if _, err := newP256(secret); err == nil {
			t.Errorf("the key %x is taken", secret)
		}
	}
	if k, err := newP256(append(bytes.Clone(n[:31]), n[31]-1)); err != nil || !validPoint(k.point) {
		t.Errorf("the largest key: %v", err)
	}
}

func TestRSAAgainstStandardLibrary(t *testing.T) {
	for _, bits := range []int{1024, 2048, 2056} {
		std, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range []*pem.Block{{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(std)}, pkcs8(t, std)} {
			k, err := parseKey(pem.EncodeToMemory(block))
			if err != nil {
				t.Fatal(err)
			}
			message := []byte(block.Type)
			sum := sha256.Sum256(message)
			signature, err := k.sign(k.algorithm(), message)
			if err != nil {
				t.Fatal(err)
			}
			if err := rsa.VerifyPKCS1v15(&std.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
				t.Error(err)
			}
			if signature, err = rsa.SignPKCS1v15(nil, std, crypto.SHA256, sum[:]); err != nil || !verifyRSA(k.publicKey, sum[:], "\x01", signature) {
				t.Errorf("crypto/rsa's is refused: %v", err)
			}
			for _, bad := range [][]byte{nil, signature[1:], append([]byte{0}, signature...), flip(signature, 5), std.N.Bytes(), make([]byte, len(signature))} {
				if verifyRSA(k.publicKey, sum[:], "\x01", bad) {
					t.Errorf("%x is taken", bad)
				}
			}
			info, err := x509.MarshalPKIXPublicKey(&std.PublicKey)
			if err != nil || !bytes.Equal(info, k.info()) {
				t.Errorf("the public key is %x, want %x, %v", k.info(), info, err)
			}
		}
	}
}

func pkcs8(t testing.TB, key any) *pem.Block {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}

// TestKeys reads keys as other programs write them, and writes them as those read them.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	mustOpenssl(t, dir, "ecparam", "-name", "prime256v1", "-genkey", "-out", "sec1.pem")
	mustOpenssl(t, dir, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "pkcs8.pem")
	mustOpenssl(t, dir, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "p384.pem")
	mustOpenssl(t, dir, "genpkey", "-algorithm", "ed25519", "-out", "ed25519.pem")
	mustOpenssl(t, dir, "genrsa", "-traditional", "-aes128", "-passout", "pass:x", "-out", "oldpass.pem", "2048")
	mustOpenssl(t, dir, "pkcs8", "-topk8", "-in", "pkcs8.pem", "-passout", "pass:x", "-out", "pass.pem")
	for name, want := range map[string]error{"sec1": nil, "pkcs8": nil, "p384": errForeignKey, "ed25519": errForeignKey, "oldpass": errForeignKey, "pass": errForeignKey} {
		if _, err := parseKey(read(t, dir, name+".pem")); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n", "-----BEGIN RSA PRIVATE KEY-----\nMAkCAQACAQMCAQM=\n-----END RSA PRIVATE KEY-----\n"} {
		if k, err := parseKey([]byte(bad)); err == nil || errors.Is(err, errForeignKey) {
			t.Errorf("%q: %v, %v", bad, k, err)
		}
	}
	k, err := generateP256()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(k.encode())
	std, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if again := pkcs8(t, std); !bytes.Equal(again.Bytes, block.Bytes) {
		t.Errorf("written as\n%x, by crypto/x509 as\n%x", block.Bytes, again.Bytes)
	}
}

func FuzzKey(f *testing.F) {
	k, err := newP256([]byte{7})
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(k.encode())
	f.Add(block.Bytes, 0)
	std, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(x509.MarshalPKCS1PrivateKey(std), 2)
	f.Add(pkcs8(f, std).Bytes, 0)
	types := []string{"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"}
	f.Fuzz(func(t *testing.T, der []byte, kind int) {
		got, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: types[uint(kind)%3], Bytes: der}))
		if err == nil {
			if got.info(); got.point != nil && !validPoint(got.point) {
				t.Error("a point that is none")
			}
			// A key whose numbers do not fit together is found out when it signs.
			if signature, err := got.sign(got.algorithm(), der); err == nil {
				if ok, checked := got.verify(got.algorithm(), der, signature); !ok || !checked {
					t.Error("its own signature is refused")
				}
			}
		}
	})
}

// FuzzCertificate holds the parser to crypto/x509: what both take has to mean the same to both.
func FuzzCertificate(f *testing.F) {
	k, err := newP256([]byte{7})
	if err != nil {
		f.Fatal(err)
	}
	c, err := certificateFor(profiles()[1], nil, k.publicKey, wanted(f), someTime, someTime.Add(day), &certificate{subject: sequence(), keyID: []byte{1}}, k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.raw)
	if c, err = certificateFor(profiles()[0], nil, k.publicKey, Wanted{}, epoch(), someTime.AddDate(100, 0, 0), nil, k); err != nil {
		f.Fatal(err)
	}
	f.Add(c.raw)
	std, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a"}, NotAfter: someTime}, &x509.Certificate{}, &std.PublicKey, std)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseCertificate(raw)
		want, stdErr := x509.ParseCertificate(raw)
		if err != nil {
			return
		}
		got.commonName = got.commonName + date(got.from)
		if stdErr == nil {
			sameCertificate(t, got, want)
		}
	})
}

func sameCertificate(t *testing.T, got *certificate, want *x509.Certificate) {
	t.Helper()
	same := func(what string, ok bool) {
		t.Helper()
		if !ok {
			t.Errorf("%s differs:\n%+v\n%+v", what, got, want)
		}
	}
	same("the body", bytes.Equal(got.tbs, want.RawTBSCertificate) && bytes.Equal(got.raw, want.Raw))
	same("the signature", bytes.Equal(got.signed, want.Signature))
	same("a name", bytes.Equal(got.issuer, want.RawIssuer) && bytes.Equal(got.subject, want.RawSubject))
	same("a time", got.from.Equal(want.NotBefore) && got.to.Equal(want.NotAfter))
	same("CA", got.ca == want.IsCA)
	same("an identifier", bytes.Equal(got.keyID, want.SubjectKeyId) && bytes.Equal(got.issuerID, want.AuthorityKeyId))
	same("the key usage", want.KeyUsage == 0 || got.may(5) == (want.KeyUsage&x509.KeyUsageCertSign != 0) && got.may(0) == (want.KeyUsage&x509.KeyUsageDigitalSignature != 0))
	same("the names", slices.Equal(got.names, want.DNSNames))
	var ips []netip.Addr
	for _, ip := range want.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		ips = append(ips, a)
	}
	same("the addresses", slices.Equal(got.ips, ips))
	if want.ExtKeyUsage != nil || want.UnknownExtKeyUsage != nil {
		same("the use", got.serves(oidServerAuth) == (slices.Contains(want.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(want.ExtKeyUsage, x509.ExtKeyUsageAny)))
	}
	switch key := want.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			point, err := key.Bytes()
			same("the key", err == nil && bytes.Equal(point, got.key.point))
		}
	case *rsa.PublicKey:
		// crypto/x509 takes keys that nothing can be done with.
		same("the key", got.key.modulus == nil || bytes.Equal(key.N.Bytes(), got.key.modulus))
	}
	if ok, checked := got.key.verify(got.algorithm, got.tbs, got.signed); checked && got.key.known() {
		err := want.CheckSignature(want.SignatureAlgorithm, want.RawTBSCertificate, want.Signature)
		same("the signature's worth", ok == (err == nil) || errors.Is(err, x509.ErrUnsupportedAlgorithm) || strings.Contains(err.Error(), "1024"))
	}
}

// TestPublicCAs reads the certificates that the world uses.
func TestPublicCAs(t *testing.T) {
	const bundle = "/etc/ssl/certs/ca-certificates.crt"
	data, err := os.ReadFile(bundle)
	if err != nil {
		testenv.Missing(t, "it reads Debian's ca-certificates: "+err.Error())
	}
	list, err := parseCertificates(data)
	if err != nil || len(list) < 50 {
		t.Fatalf("%d certificates, %v", len(list), err)
	}
	verified := 0
	for _, got := range list {
		want, err := x509.ParseCertificate(got.raw)
		if err != nil {
			t.Fatal(err)
		}
		sameCertificate(t, got, want)
		if ok, _ := got.key.verify(got.algorithm, got.tbs, got.signed); ok {
			verified++
		}
	}
	if verified < len(list)/3 {
		t.Errorf("of %d certificates only %d signatures were verified", len(list), verified)
	}
}

func TestTimes(t *testing.T) {
	for _, when := range []time.Time{epoch(), someTime.Truncate(time.Second), time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		r := &reader{rest: timeValue(when)}
		if got := r.time(); r.failed || !got.Equal(when) {
			t.Errorf("%v is read as %v", when, got)
		}
	}
	for _, bad := range []string{"\x17\x0d270229000000Z", "\x17\x0d271301000000Z", "\x17\x0d270101240000Z", "\x17\x0d270101000060Z", "\x17\x0b2701010000Z", "\x18\x0d270101000000Z", "\x17\x0d27010100000aZ", "\x17\x0d2701010000000", "\x17\x00", "\x04\x00", ""} {
		if r := (&reader{rest: []byte(bad)}); !r.time().IsZero() || !r.failed {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestNewWanted(t *testing.T) {
	zone := netip.MustParseAddr("fe80::1%eth0")
	w, err := NewWanted("a_b.example.org", []netip.Addr{zone, netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.IPv4Unspecified(), {}}, " DNS:x.y , IP:2001:db8::1,DNS:*.z,, IP Address: 10.0.0.2 ,dns:docker,DNS:10.0.0.3,DNS:::5,DNS:dot.")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.Names, " "); got != "*.z 10.0.0.3 a_b a_b.example.org docker dot localhost x.y" {
		t.Error(got)
	}
	var ips []string
	for _, ip := range w.IPs {
		ips = append(ips, ip.String())
	}
	if got := strings.Join(ips, " "); got != "10.0.0.1 10.0.0.2 10.0.0.3 ::5 2001:db8::1 fe80::1" {
		t.Error(got)
	}
	if w, err := NewWanted("no name at all", nil, ""); err != nil || strings.Join(w.Names, " ") != "docker localhost" {
		t.Errorf("%v, %v", w, err)
	}
	for san, says := range map[string]string{
		"x.y": "no DNS: or IP:", "DNS:": "empty", "DNS:a b": "letters", "IP:docker": "no IP address", "URI:http://x": "only DNS and IP",
		"DNS:a..b": "1 to 63", "DNS:" + strings.Repeat("x", 64): "1 to 63", "DNS:" + strings.Repeat("x.", 150) + "x": "253", "IP:": "no IP address",
		"DNS:*": "letters", "DNS:a.*": "letters", "DNS:\x00": "letters", strings.Repeat("DNS:a", 1) + ",email:x@y": "only DNS",
	} {
		if w, err := NewWanted("", nil, san); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), SANVar) {
			t.Errorf("%.50q: %v, %v", san, w, err)
		}
	}
	var many strings.Builder
	for i := range maxNames + 1 {
		many.WriteString("DNS:x" + strings.Repeat("y", i%50) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + ",")
	}
	if _, err := NewWanted("", nil, many.String()); err == nil {
		t.Error("names without end")
	}
}

func FuzzSAN(f *testing.F) {
	f.Add("DNS:a.example,IP:192.0.2.1")
	f.Add("IP:::1,DNS:*.x")
	k, err := newP256([]byte{7})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, san string) {
		w, err := NewWanted("", nil, san)
		if err != nil {
			return
		}
		c, err := certificateFor(profiles()[1], nil, k.publicKey, w, someTime, someTime.Add(day), &certificate{subject: sequence()}, k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x509.ParseCertificate(c.raw); err != nil {
			t.Errorf("%q makes a certificate that crypto/x509 refuses: %v", san, err)
		}
		if lacks := w.lacks(c); lacks != nil {
			t.Errorf("%q makes a certificate that lacks %q", san, lacks)
		}
	})
}
