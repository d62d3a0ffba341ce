package rootfs

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestGitWithSubmodules(t *testing.T) {
	builtTree(t)
	if !testenv.InNamespaces(t, allNamespaces) {
		return
	}
	e := enter(t)
	e.needGit(t)
	script(t, e, `
		git config --global protocol.file.allow always
		git config --global user.name Name
		git config --global user.email name@example.org
		git config --global init.defaultBranch main
		git init -q /root/inner; cd /root/inner; echo inner > inner.txt; git add .; git commit -q -m inner
		git init -q /root/middle; cd /root/middle; git submodule --quiet add file:///root/inner in; git commit -q -m middle
		git init -q /root/outer; cd /root/outer; echo outer > outer.txt; git submodule --quiet add file:///root/middle mid; git add .; git commit -q -m outer
		git clone -q --recurse-submodules file:///root/outer /root/clone
	`)
	// As dockerd's builder does it (moby, daemon/builder/remotecontext/git/gitutils.go).
	script(t, e, `
		git init -q /root/build; cd /root/build
		git remote add origin file:///root/outer
		git fetch -q --depth 1 origin -- main
		git checkout -q FETCH_HEAD
		git submodule update --init --recursive --depth=1
	`)
	for _, name := range []string{"clone/outer.txt", "clone/mid/in/inner.txt", "build/outer.txt", "build/mid/in/inner.txt"} {
		if _, err := os.Stat(filepath.Join(e.root, "root", name)); err != nil {
			t.Error(err)
		}
	}
	// A mistake must be told, not swallowed for want of a tool.
	out, err := e.command("git", "-C", "/root/build", "submodule", "nonsense").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "usage: git submodule") || strings.Contains(string(out), "not found") {
		t.Errorf("git submodule nonsense: %v\n%s", err, out)
	}
	if out := e.run(t, "ssh", "-V"); !strings.Contains(out, "OpenSSH") {
		t.Errorf("ssh -V: %s", out)
	}
	cmd := e.command("git", "clone", "-q", "ssh://127.0.0.1:1/x", "/root/never")
	cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "ssh: connect to host 127.0.0.1") {
		t.Errorf("git over ssh did not get as far as connecting: %v\n%s", err, out)
	}
}

// script runs a shell script in the tree, and stops at the first command that fails or is not found.
func script(t *testing.T, e entered, text string) {
	t.Helper()
	out, err := e.command("sh", "-e", "-c", text).CombinedOutput()
	if err != nil || strings.Contains(string(out), "not found") {
		t.Fatalf("%s\n%v\n%s", text, err, out)
	}
}

// git over https works, and trusts the bundle and nothing else.
func TestGitOverHTTPS(t *testing.T) {
	builtTree(t)
	if !testenv.InNamespaces(t, allNamespaces) {
		return
	}
	e := enter(t)
	e.needGit(t)
	loopbackUp(t)
	script(t, e, `
		git config --global user.name Name
		git config --global user.email name@example.org
		git init -q /root/work; cd /root/work; echo text > text; git add .; git commit -q -m text
		git clone -q --bare file:///root/work /root/served.git
		git -C /root/served.git update-server-info
	`)
	server := httptest.NewTLSServer(http.FileServer(http.Dir(filepath.Join(e.root, "root"))))
	defer server.Close()
	out, err := e.command("git", "clone", "-q", server.URL+"/served.git", "/root/untrusted").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "verification failed") {
		t.Errorf("an unknown authority: %v\n%s", err, out)
	}
	bundle, err := os.OpenFile(filepath.Join(e.root, CertificateBundle), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = pem.Encode(bundle, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if closeErr := bundle.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
	e.run(t, "git", "clone", "-q", server.URL+"/served.git", "/root/trusted")
	if content, err := os.ReadFile(filepath.Join(e.root, "root/trusted/text")); err != nil || string(content) != "text\n" {
		t.Errorf("cloned %q, %v", content, err)
	}
}
