package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench/habitat"
	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/launch/certs"
)

// tlsPort is Docker's for TLS (IANA's docker-s).
const tlsPort = "2376"

// life is a habitat with the certificates that were put into it.
type life struct {
	*habitat.Habitat
	dir    string // of the certificates on the host; empty where there are none
	server []byte // the server's certificate as it was made
}

// begin starts what is to be measured. Where it is to find certificates, they are made while it is held back, because their
// names are those of its network.
func (c *config) begin(ctx context.Context, s started) (l *life, err error) {
	o := s.options
	l = &life{}
	if s.entry.tls != tlsWarm {
		l.Habitat, err = habitat.Start(ctx, o)
		return l, err
	}
	if l.dir, err = os.MkdirTemp("", "certs-"); err != nil {
		return nil, err
	}
	o.Binds = append(o.Binds[:len(o.Binds):len(o.Binds)], sandbox.Bind{Source: l.dir, Target: certDir})
	gate, open, err := habitat.Gate()
	if err == nil {
		o.Gate = gate
		l.Habitat, err = habitat.Start(ctx, o)
		if err == nil {
			err = l.certify(ctx)
		}
		err = errors.Join(err, open()) // also after an error, for what waits
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends what still runs and removes everything.
func (l *life) Close() error {
	var err error
	if l.Habitat != nil {
		err = l.Habitat.Close()
	}
	if l.dir != "" {
		err = errors.Join(err, os.RemoveAll(l.dir))
	}
	return err
}

// certify makes certificates as the launcher does, for all names that it looks for.
func (l *life) certify(ctx context.Context) error {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/if_inet6", l.PID()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // as it is where the kernel has no IPv6
		return err
	}
	addresses, err := inet6(string(list))
	if err != nil {
		return err
	}
	// Those of lo are named, because it may not be up yet.
	wanted, err := certs.NewWanted("dockerlaunch", append(addresses, netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), l.Addr()), "")
	if err != nil {
		return err
	}
	plan, err := certs.NewPlan(l.dir, wanted, time.Now())
	if err != nil {
		return err
	}
	if _, err := plan.Apply(ctx); err != nil {
		return err
	}
	l.server, err = os.ReadFile(filepath.Join(l.dir, "server/cert.pem"))
	return err
}

// inet6 reads the addresses of /proc/net/if_inet6, which stand first in its lines, as 32 hexadecimal digits.
func inet6(list string) ([]netip.Addr, error) {
	var addresses []netip.Addr
	for line := range strings.Lines(list) {
		digits, _, _ := strings.Cut(line, " ")
		raw, err := hex.DecodeString(digits)
		if err != nil || len(raw) != 16 {
			return nil, fmt.Errorf("if_inet6 has the line %q", line)
		}
		addresses = append(addresses, netip.AddrFrom16([16]byte(raw)))
	}
	return addresses, nil
}

// kept is an error where the certificates that were to be found were made anew.
func (l *life) kept() error {
	if l.dir == "" {
		return nil
	}
	now, err := os.ReadFile(filepath.Join(l.dir, "server/cert.pem"))
	if err == nil && !bytes.Equal(now, l.server) {
		err = fmt.Errorf("it has made the certificates anew that were there, whose names were %s, for %s", names(l.server), names(now))
	}
	return err
}

// names are what a certificate is for.
func names(text []byte) string {
	block, _ := pem.Decode(text)
	if block == nil {
		return "nothing"
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(c.DNSNames, c.IPAddresses)
}

// readyTLS waits until the daemon answers /_ping over TLS to a client with a certificate.
func (l *life) readyTLS(ctx context.Context, interval time.Duration) (time.Duration, error) {
	dir := l.Path(certDir + "/client")
	if l.dir != "" {
		dir = filepath.Join(l.dir, "client")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return 0, fmt.Errorf("reading the client's certificate: %w", err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return 0, fmt.Errorf("reading the client's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return 0, fmt.Errorf("there is no certificate in %s/ca.pem", dir)
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost"},
	}}
	url := "https://" + net.JoinHostPort(l.Addr().String(), tlsPort) + "/_ping"
	return l.ReadyBy(ctx, interval, func(ctx context.Context) error { return ask(ctx, &client, url) })
}

func ask(ctx context.Context, client *http.Client, url string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

// said is the last of what the program wrote.
func (l *life) said() string { return strings.Join(l.Output(), "\n") }
