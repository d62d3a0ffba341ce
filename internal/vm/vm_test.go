package vm

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// One boot shows what the harness promises of every command.
func TestRun(t *testing.T) {
	const probe = "/bin/probe"
	results := Run(t, Options{
		Kernel: KernelNamed(t, "6.12"),
		Memory: 512,
		Files: []File{
			{Path: "/extra/file", Data: []byte("content")},
			{Path: "/extra/link", Link: "file"},
		},
		Commands: []Command{
			{Program: "./internal/vm/testdata/probe", Args: []string{"look"}, Dir: "/extra/work", Env: []string{"A=b c"}},
			{Path: probe, Args: []string{"status"}},
			{Path: probe, Args: []string{"signal"}},
			{Path: probe, Args: []string{"hang"}, Limit: time.Second},
			{Path: probe, Args: []string{"much"}},
			{Path: probe, Args: []string{"orphan"}},
			{Path: "/no/such"},
			{Test: "./internal/vm", Args: []string{"-test.v", "-test.run=^TestInitramfsOrder$"}},
		},
	})
	wants := []struct {
		status int
		output string
	}{
		{0, "stdin 0 <nil>\ndir /extra/work <nil>\n/proc 0 true\n/sys 0 true\n/dev 1 false\n" +
			"/extra/file \"content\" <nil>\n/extra/link \"content\" <nil>\nenv b c 1\n"},
		{7, "out\nerr\n"},
		{128 + 15, ""},
		{128 + 9, "\nvm init: ended after 1s\n"},
		{0, strings.Repeat("\n\r\x04\x11\x13\xff", 50_000)},
		{0, ""},
		{127, ""},
	}
	for i, want := range wants {
		got := results[i]
		if got.Status != want.status || got.Output != want.output {
			t.Errorf("%s: status %d, %d bytes %.300q; want %d, %d bytes %.300q", got.Name, got.Status,
				len(got.Output), got.Output, want.status, len(want.output), want.output)
		}
	}
	if !strings.Contains(results[6].Message, "no such file") {
		t.Errorf("a missing program's message: %q", results[6].Message)
	}
	results[7].CheckTest(t, "TestInitramfsOrder")
}

// The other way in: an init of one's own, the console and the monitor.
func TestStart(t *testing.T) {
	m := Start(t, Options{
		Kernel: KernelNamed(t, "6.1"), Memory: 512, Cmdline: []string{"hang"},
		Init: GoBuild(t, "./internal/vm/testdata/probe", "build"),
		Args: []string{"-device", "virtio-net-pci"},
	})
	// The kernel hands an argument it does not know to init.
	if _, err := m.WaitFor(`Run /init as init process`, 100*time.Millisecond); err == nil {
		t.Error("a quiet kernel told of its init")
	}
	deadline := time.Now().Add(time.Minute)
	for {
		answer, err := m.Monitor("info status")
		if err == nil {
			if !strings.Contains(answer, "running") {
				t.Errorf("info status: %q", answer)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if answer, err := m.Monitor("quit"); err != nil && answer != "" {
		t.Errorf("quit: %q, %v", answer, err)
	}
	if err := m.Wait(); err != nil {
		t.Errorf("after quit: %v", err)
	}
	if _, err := m.WaitFor("never printed", time.Minute); !errors.Is(err, errEnded) {
		t.Errorf("waiting on a machine that has ended: %v", err)
	}
}

func TestInitramfsOrder(t *testing.T) {
	a := newInitramfs()
	for _, f := range []File{{Path: "/a/b/c", Data: []byte("1")}, {Path: "a-b"}, {Path: "/a/b/c", Data: []byte("22")}} {
		if err := a.file(f); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.records) != 4 || a.records["a/b/c"].FileSize != 2 {
		t.Errorf("records: %+v", a.records)
	}
	for _, dir := range []string{"a", "a/b"} {
		if a.records[dir].Mode&0o170000 != 0o040000 {
			t.Errorf("%s is no folder: %o", dir, a.records[dir].Mode)
		}
	}
}
