package network

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestLoopback(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() error {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
	if dial() == nil {
		t.Fatal("127.0.0.1 answers before lo is up: this test shows nothing")
	}
	for _, want := range []bool{false, true} {
		if kept, err := (Loopback{}).Apply(context.Background()); err != nil || kept != want {
			t.Fatalf("Apply: kept %v, %v; want kept %v", kept, err, want)
		}
	}
	if err := dial(); err != nil {
		t.Fatalf("lo is up and does not answer: %v", err)
	}
}

func TestForwarding(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	if err := os.WriteFile(forwardFile, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{false, true} {
		if kept, err := (Forwarding{}).Apply(context.Background()); err != nil || kept != want {
			t.Fatalf("Apply: kept %v, %v; want kept %v", kept, err, want)
		}
		if data, err := os.ReadFile(forwardFile); err != nil || strings.TrimSpace(string(data)) != "1" {
			t.Fatalf("%s reads %q, %v", forwardFile, data, err)
		}
	}
}
