package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// selfVar makes the test binary the program itself.
const selfVar = "DOCKERLAUNCH_TEST_SANDBOX"

func TestMain(m *testing.M) {
	// main calls sandbox.Init; the stages that the program starts have an empty environment and come here by their name.
	if os.Getenv(selfVar) != "" || strings.HasPrefix(os.Args[0], "dockerlaunch-sandbox-") {
		main()
		os.Exit(0)
	}
	code := m.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir) // in the temporary folder, if it stays
	}
	os.Exit(code)
}

func TestParse(t *testing.T) {
	for line, want := range map[string]config{
		"": {root: "build/rootfs", state: "build/run", timeout: time.Minute},
		"--root r --state s --launcher l --hello h --nat --verbose --timeout 5s": {
			root: "r", state: "s", launcher: "l", hello: "h", nat: true, verbose: true, timeout: 5 * time.Second},
		"--root r -- --debug dockerd": {root: "r", state: "build/run", timeout: time.Minute, args: []string{"--debug", "dockerd"}},
		"-- a -- b":                   {root: "build/rootfs", state: "build/run", timeout: time.Minute, args: []string{"a", "--", "b"}},
		"--":                          {root: "build/rootfs", state: "build/run", timeout: time.Minute},
	} {
		got, err := parse(strings.Fields(line), io.Discard)
		same := got.root == want.root && got.state == want.state && got.launcher == want.launcher && got.hello == want.hello &&
			got.nat == want.nat && got.verbose == want.verbose && got.timeout == want.timeout && slices.Equal(got.args, want.args)
		if err != nil || !same {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"dockerd", "--root r dockerd", "dockerd -- x", "--no-such-flag", "--timeout 0s", "--timeout soon", "--root"} {
		if got, err := parse(strings.Fields(line), io.Discard); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
	var usage bytes.Buffer
	if _, err := parse([]string{"--help"}, &usage); !errors.Is(err, flag.ErrHelp) || !strings.Contains(usage.String(), "-launcher") {
		t.Errorf("--help: %v, %s", err, usage.String())
	}
}

func TestHelloLayer(t *testing.T) {
	r, err := helloLayer([]byte("a program"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(bytes.NewReader(first))
	h, err := tr.Next()
	if err != nil || h.Name != "hello" || h.Mode != 0o755 || h.Typeflag != tar.TypeReg {
		t.Fatalf("%+v, %v", h, err)
	}
	if b, err := io.ReadAll(tr); err != nil || string(b) != "a program" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := tr.Next(); err != io.EOF {
		t.Errorf("more than one file: %v", err)
	}
	r, err = helloLayer([]byte("a program"))
	if err != nil {
		t.Fatal(err)
	}
	if second, err := io.ReadAll(r); err != nil || !bytes.Equal(first, second) {
		t.Errorf("not the same bytes again, %v", err)
	}
}

func TestIndent(t *testing.T) {
	if got := indent("a\n\n b\n"); got != "  | a\n  | \n  |  b" {
		t.Errorf("%q", got)
	}
}
