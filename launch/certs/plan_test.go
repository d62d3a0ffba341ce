package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const allMade, allKept = "ca:make server:make client:make", "ca:keep server:keep client:keep"

func planned(t *testing.T, dir string, now time.Time) string {
	t.Helper()
	p, err := NewPlan(dir, wanted(t), now)
	if err != nil {
		t.Fatal(err)
	}
	return verbs(p)
}

// TestWhatIsMade changes a folder that is right, and looks what is made anew.
func TestWhatIsMade(t *testing.T) {
	zero := func(path string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { write(t, nil, dir, path) }
	}
	half := func(path string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			data := read(t, dir, path)
			write(t, data[:len(data)/2], dir, path)
		}
	}
	remove := func(path string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	swap := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { write(t, read(t, dir, from), dir, to) }
	}
	for name, test := range map[string]struct {
		change func(*testing.T, string)
		want   string
		old    string // file that is set aside
	}{
		"nothing": {func(*testing.T, string) {}, allKept, ""},
		"everything gone": {func(t *testing.T, dir string) {
			remove("ca")(t, dir)
			remove("server")(t, dir)
			remove("client")(t, dir)
		}, allMade, ""},
		"the server's folder gone":  {remove("server"), "ca:keep server:make client:keep", ""},
		"only the clients' is left": {func(t *testing.T, dir string) { remove("ca")(t, dir); remove("server")(t, dir) }, allMade, ""},
		"the CA's certificate gone": {remove("ca/cert.pem"), allMade, ""},
		"the CA's key of zero length": {func(t *testing.T, dir string) {
			zero("ca/key.pem")(t, dir)
			remove("ca/cert.pem")(t, dir)
			remove("server")(t, dir)
		}, allMade, ""},
		"half the CA's key":         {half("ca/key.pem"), allMade, "ca/key.pem.old"},
		"half the CA's certificate": {half("ca/cert.pem"), allMade, "ca/cert.pem.old"},
		"half the server's key":     {half("server/key.pem"), "ca:keep server:make client:keep", "server/key.pem.old"},
		"no bytes but zeros":        {func(t *testing.T, dir string) { write(t, make([]byte, 300), dir, "server/cert.pem") }, "ca:keep server:make client:keep", ""},
		"half the client's":         {half("client/cert.pem"), "ca:keep server:keep client:make", "client/cert.pem.old"},
		"garbage":                   {func(t *testing.T, dir string) { write(t, []byte("\xff\x00garbage"), dir, "client/key.pem") }, "ca:keep server:keep client:make", "client/key.pem.old"},
		"a copy of the CA gone":     {remove("client/ca.pem"), "ca:keep server:keep client:make", ""},
		"another's key":             {swap("client/key.pem", "server/key.pem"), "ca:keep server:make client:keep", ""},
		"another's certificate": {func(t *testing.T, dir string) {
			swap("client/key.pem", "server/key.pem")(t, dir)
			swap("client/cert.pem", "server/cert.pem")(t, dir)
		}, "ca:keep server:make client:keep", ""},
		"open to all":             {func(t *testing.T, dir string) { chmod(t, dir+"/server/key.pem", 0o644) }, "ca:keep server:make client:keep", ""},
		"the client's key closed": {func(t *testing.T, dir string) { chmod(t, dir+"/client/key.pem", 0o600) }, allKept, ""},
		"a wrong signature": {func(t *testing.T, dir string) {
			block, _ := pem.Decode(read(t, dir, "server/cert.pem"))
			write(t, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: flip(block.Bytes, len(block.Bytes)-1)}), dir, "server/cert.pem")
		}, "ca:keep server:make client:keep", ""},
		"a bundle of CAs": {func(t *testing.T, dir string) {
			write(t, append(read(t, dir, "server/ca.pem"), read(t, dir, "server/cert.pem")...), dir, "server/ca.pem")
		}, allKept, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			apply(t, dir, wanted(t), someTime)
			test.change(t, dir)
			if got := planned(t, dir, someTime); got != test.want {
				t.Errorf("planned is %s, want %s", got, test.want)
			}
			apply(t, dir, wanted(t), someTime)
			verifyAll(t, dir, someTime)
			if list, err := filepath.Glob(dir + "/*/*.old*"); test.old == "" && len(list) > 0 || err != nil {
				t.Errorf("set aside: %q, %v", list, err)
			}
			if test.old != "" {
				if _, err := os.Stat(filepath.Join(dir, test.old)); err != nil {
					t.Error(err)
				}
			}
			if st, err := os.Stat(dir + "/server/key.pem"); err != nil || st.Mode() != 0o600 {
				t.Errorf("the server's key: %v, %v", st, err)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// verifyAll looks with crypto/x509 and crypto/tls whether everything fits together at a time.
func verifyAll(t *testing.T, dir string, now time.Time) {
	t.Helper()
	for part, usage := range map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth} {
		pair(t, dir, part)
		c := x509Of(t, dir, part, "cert.pem")
		for _, roots := range []string{"ca/cert.pem", "server/ca.pem", "client/ca.pem"} {
			if _, err := c.Verify(x509.VerifyOptions{Roots: pool(t, dir, roots), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Errorf("%s by %s: %v", part, roots, err)
			}
		}
	}
}

// TestCrash ends the making after each file in turn; the next run mends what that left.
func TestCrash(t *testing.T) {
	for _, old := range []bool{false, true} {
		whole := t.TempDir()
		apply(t, whole, wanted(t), someTime)
		for cut := range paths() {
			dir := t.TempDir()
			if old { // what is cut off is a renewal with new keys
				apply(t, dir, wanted(t), someTime)
			}
			for _, path := range paths()[:cut] {
				write(t, read(t, whole, path), dir, path)
			}
			write(t, []byte("half"), dir, "server", tempName("key.pem")+"123")
			apply(t, dir, wanted(t), someTime)
			verifyAll(t, dir, someTime)
			if cut > 0 && !bytes.Equal(read(t, dir, "ca/key.pem"), read(t, whole, "ca/key.pem")) {
				t.Errorf("cut after %d files the CA's key is another one", cut)
			}
			if got := planned(t, dir, someTime); got != allKept {
				t.Error(got)
			}
			apply(t, dir, Wanted{Names: []string{"other"}}, someTime)
			if list, err := filepath.Glob(dir + "/*/" + tempPrefix + "*"); len(list) > 0 || err != nil {
				t.Errorf("left over: %q, %v", list, err)
			}
		}
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	w := wanted(t)
	apply(t, dir, w, someTime)
	key := read(t, dir, "server/key.pem")
	more := w
	more.IPs = append(more.IPs[:len(more.IPs):len(more.IPs)], netip.MustParseAddr("10.1.2.3"))
	p, err := NewPlan(dir, more, someTime)
	if err != nil || verbs(p) != "ca:keep server:make client:keep" || !strings.Contains(p.String(), "not valid for 10.1.2.3") {
		t.Fatalf("%s, %v", p, err)
	}
	apply(t, dir, more, someTime)
	if err := x509Of(t, dir, "server/cert.pem").VerifyHostname("10.1.2.3"); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(key, read(t, dir, "server/key.pem")) {
		t.Error("new names have made a new key")
	}
	// Fewer names fit too.
	if p, err := NewPlan(dir, w, someTime); err != nil || verbs(p) != allKept {
		t.Errorf("%s, %v", p, err)
	}
}

// TestRenewal goes through the years: nothing that a start keeps has less than nine months left, and the CA's key stays.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	made := 0
	var key []byte
	for now := someTime; now.Before(someTime.AddDate(12, 0, 0)); now = now.AddDate(0, 0, 41) {
		w := wanted(t)
		if made%2 == 1 {
			w.IPs = append(w.IPs, netip.AddrFrom4([4]byte{10, 0, byte(now.Month()), byte(now.Day())}))
		}
		p := apply(t, dir, w, now)
		if strings.Contains(verbs(p), "ca:make") {
			if made++; verbs(p) != allMade {
				t.Errorf("the CA alone was renewed: %s", p)
			}
			for _, part := range []string{"ca", "server", "client"} {
				if left := x509Of(t, dir, part, "cert.pem").NotAfter.Sub(now); left < 800*day {
					t.Errorf("a new one of the %s has %v", part, left)
				}
			}
		}
		for _, part := range []string{"ca", "server", "client"} {
			if left := x509Of(t, dir, part, "cert.pem").NotAfter.Sub(now); left < 270*day {
				t.Errorf("at %s the %s's certificate has %v left", date(now), part, left)
			}
		}
		verifyAll(t, dir, now)
		if key == nil {
			key = read(t, dir, "ca/key.pem")
		}
		if !bytes.Equal(key, read(t, dir, "ca/key.pem")) {
			t.Fatal("the CA has another key")
		}
	}
	if made < 7 || made > 9 {
		t.Errorf("in 12 years it was made %d times", made)
	}
	if list, err := filepath.Glob(dir + "/*/*.old*"); len(list) > 0 || err != nil {
		t.Errorf("its own were set aside: %q, %v", list, err)
	}
}

// TestRenewalWithCopies takes a client that has copied its folder long ago through the renewal of the CA.
func TestRenewalWithCopies(t *testing.T) {
	dir := t.TempDir()
	apply(t, dir, wanted(t), someTime)
	copied, oldRoots := x509Of(t, dir, "client/cert.pem"), pool(t, dir, "client/ca.pem")
	now := someTime.Add(560 * day)
	if p := apply(t, dir, wanted(t), now); verbs(p) != allMade {
		t.Fatal(p)
	}
	if _, err := copied.Verify(x509.VerifyOptions{Roots: pool(t, dir, "server/ca.pem"), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("the server refuses it: %v", err)
	}
	if _, err := x509Of(t, dir, "server/cert.pem").Verify(x509.VerifyOptions{Roots: oldRoots, CurrentTime: now}); err != nil {
		t.Errorf("it refuses the server: %v", err)
	}
}

func TestExpired(t *testing.T) {
	dir := t.TempDir()
	apply(t, dir, wanted(t), someTime)
	now := someTime.AddDate(10, 0, 0)
	p, err := NewPlan(dir, wanted(t), now)
	if err != nil || verbs(p) != allMade || !strings.Contains(p.String(), "has expired on 2029-") {
		t.Fatalf("%s, %v", p, err)
	}
	apply(t, dir, wanted(t), now)
	verifyAll(t, dir, now)
}

// TestClocks starts under clocks that are wrong in every way: what is made is valid then and when the clock is right.
func TestClocks(t *testing.T) {
	for name, test := range map[string]struct {
		starts []time.Time
		valid  []time.Time // besides the last start
	}{
		"1970 at first":              {[]time.Time{epoch().Add(time.Minute)}, []time.Time{epoch().Add(time.Hour), someTime, someTime.AddDate(15, 0, 0)}},
		"1970, and then right":       {[]time.Time{epoch(), someTime}, nil},
		"right, 1970":                {[]time.Time{someTime, epoch().Add(time.Hour)}, []time.Time{someTime, someTime.AddDate(10, 0, 0)}},
		"right, 1970, right":         {[]time.Time{someTime, epoch().Add(time.Hour), someTime.AddDate(1, 0, 0)}, nil},
		"1970 again and again":       {[]time.Time{epoch(), epoch().Add(day), epoch().Add(time.Second)}, []time.Time{someTime}},
		"the kernel's own date":      {[]time.Time{clockFloor().AddDate(0, 0, -1), clockFloor().AddDate(0, 0, -1)}, []time.Time{someTime}},
		"a year back":                {[]time.Time{someTime, someTime.AddDate(0, -11, 0)}, []time.Time{someTime, someTime.AddDate(1, 0, 0)}},
		"ahead by five years, right": {[]time.Time{someTime.AddDate(5, 0, 0), someTime}, []time.Time{someTime.AddDate(5, 0, 0)}},
		"ahead by 100 years, right":  {[]time.Time{someTime.AddDate(100, 0, 0), someTime}, []time.Time{someTime.AddDate(1, 0, 0)}},
		"a minute back":              {[]time.Time{someTime, someTime.Add(-time.Minute)}, []time.Time{someTime}},
		"before 1970":                {[]time.Time{epoch().AddDate(0, 0, -1)}, []time.Time{someTime}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, now := range test.starts {
				apply(t, dir, wanted(t), now)
				if !now.Before(epoch()) {
					verifyAll(t, dir, now)
				}
			}
			for _, at := range test.valid {
				verifyAll(t, dir, at)
			}
			if c := x509Of(t, dir, "ca/cert.pem"); !c.NotBefore.Equal(epoch()) && c.NotAfter.Sub(c.NotBefore) > (10*366+825)*day {
				t.Errorf("it is valid from %v to %v", c.NotBefore, c.NotAfter)
			}
			last := test.starts[len(test.starts)-1]
			if c := x509Of(t, dir, "ca/cert.pem"); !last.Before(clockFloor()) && c.NotBefore.Equal(epoch()) {
				t.Error("what a wrong clock made is still there")
			}
		})
	}
}

func TestApplyErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, []byte("a file"), dir, "file")
	p, err := NewPlan(filepath.Join(dir, "file", "tls"), wanted(t), someTime)
	if err == nil {
		_, err = p.Apply(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "file") {
		t.Error(err)
	}
	p, err = NewPlan(filepath.Join(dir, "tls"), wanted(t), someTime)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Apply(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for name, make := range map[string]func(path string) error{
		"a folder":                  func(path string) error { return os.MkdirAll(path, 0o755) },
		"a link that leads nowhere": func(path string) error { return os.Symlink("/nonexistent", path) },
		"something endless":         func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		dir := t.TempDir()
		if err := os.Mkdir(dir+"/ca", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := make(dir + "/ca/key.pem"); err != nil {
			t.Fatal(err)
		}
		if p, err := NewPlan(dir, wanted(t), someTime); err == nil || !strings.Contains(err.Error(), "ca/key.pem") {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// TestTwoAtOnce starts several launchers on one volume.
func TestTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	done := make(chan error)
	const n = 8
	for range n {
		go func() {
			p, err := NewPlan(dir, wanted(t), someTime)
			if err == nil {
				_, err = p.Apply(context.Background())
			}
			done <- err
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	verifyAll(t, dir, someTime)
	if got := planned(t, dir, someTime); got != allKept {
		t.Error(got)
	}
}
