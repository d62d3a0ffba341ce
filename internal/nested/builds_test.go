package nested

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBuilds builds images in the Docker inside: from a folder, and from a git URL with a submodule.
func TestBuilds(t *testing.T) {
	o := theOuterDocker(t)
	network := o.network(t)
	here, certs := o.shared(t)
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker", "-v", certs+":/certs", "--network", network, "--network-alias", "docker").ready().guest()
	// Both ways of reaching it: its own socket, and TLS from another container.
	for how, client := range map[string]*dind{"inside": d, "over TLS": d.overTLS(network, certs)} {
		t.Run("a Dockerfile, "+how, func(t *testing.T) {
			d := client.with(t)
			context := here + "/context"
			write(t, context+"/Dockerfile", "FROM guest\nCOPY file /file\nRUN [\"/guest\", \"write\", \"/made\", \"by RUN\"]\n")
			write(t, context+"/file", "by COPY")
			if err := pack(here+"/context.tar", context, "Dockerfile", "file"); err != nil {
				t.Fatal(err)
			}
			archive, err := os.Open(here + "/context.tar")
			if err != nil {
				t.Fatal(err)
			}
			defer archive.Close()
			tag := newName("built")
			args := append(append([]string{d.exec[0], "-i"}, d.exec[1:]...), "build", "-q", "-t", tag, "-")
			if _, err := o.try(t, archive, args...); err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string]string{"/file": "by COPY", "/made": "by RUN"} {
				if got := d.docker("run", "--rm", tag, "first", file); got != want {
					t.Errorf("%s holds %q", file, got)
				}
			}
		})
	}
	url := o.gitServer(t)
	t.Run("a git URL with a submodule", func(t *testing.T) {
		d := d.with(t)
		d.docker("build", "-q", "-t", "from-git", url)
		if got := d.docker("run", "--rm", "from-git", "first", "/file"); got != "of the submodule" {
			t.Errorf("the file of the submodule holds %q", got)
		}
	})
	t.Run("a branch and a folder of a git URL", func(t *testing.T) {
		d := d.with(t)
		d.docker("build", "-q", "-t", "from-branch", url+"#other:folder")
		if got := d.docker("run", "--rm", "from-branch", "first", "/file"); got != "of the branch" {
			t.Errorf("the file of the branch holds %q", got)
		}
	})
}

// TestArchives: docker load takes archives packed with xz and gzip; dockerd runs the image's xz for the first.
func TestArchives(t *testing.T) {
	o := theOuterDocker(t)
	here, there := o.shared(t)
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker").ready()
	for _, packer := range []string{"xz", "gzip"} {
		out, err := exec.Command(packer, "-k", "-c", filepath.Join(o.dir, "shared/guest-image.tar")).Output()
		if err != nil {
			t.Fatalf("%s: %v", packer, err)
		}
		write(t, here+"/image.tar."+packer, string(out))
		if got := d.docker("load", "-q", "-i", there+"/image.tar."+packer); got != "Loaded image: guest:latest" {
			t.Errorf("packed with %s: %q", packer, got)
		}
		d.docker("run", "--rm", "--network", "none", "guest", "exit", "0")
		d.docker("rmi", "guest")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// gitServer serves a repository with a submodule on the network between the host and the outer Docker, and returns its URL.
func (o *outer) gitServer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// git's settings and credentials of whoever runs the tests are none of theirs.
	environ := append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Env = environ
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	port := freePort(t, o.HostAddr().String())
	base := fmt.Sprintf("git://%s", net.JoinHostPort(o.HostAddr().String(), port))
	for _, repo := range []string{"module", "main"} {
		git("init", "-q", "-b", "master", dir+"/"+repo)
	}
	write(t, dir+"/module/file", "of the submodule")
	git("-C", dir+"/module", "add", ".")
	git("-C", dir+"/module", "commit", "-q", "-m", "a file")

	ctx, stop := context.WithCancel(context.Background())
	daemon := exec.CommandContext(ctx, "git", "daemon", "--reuseaddr", "--export-all", "--base-path="+dir,
		"--listen="+o.HostAddr().String(), "--port="+port, dir)
	daemon.Env, daemon.WaitDelay = environ, time.Second
	// It answers by children of its own, which a kill would leave.
	daemon.Cancel = func() error { return daemon.Process.Signal(os.Interrupt) }
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = daemon.Wait() // it ends by the signal
	})
	eventually(t, "git is served", func() bool {
		cmd := exec.Command("git", "ls-remote", base+"/module")
		cmd.Env = environ
		return cmd.Run() == nil
	})
	write(t, dir+"/main/Dockerfile", "FROM guest\nCOPY sub/file /file\n")
	git("-C", dir+"/main", "submodule", "-q", "add", base+"/module", "sub")
	git("-C", dir+"/main", "add", ".")
	git("-C", dir+"/main", "commit", "-q", "-m", "a submodule")
	git("-C", dir+"/main", "checkout", "-q", "-b", "other")
	write(t, dir+"/main/folder/Dockerfile", "FROM guest\nCOPY file /file\n")
	write(t, dir+"/main/folder/file", "of the branch")
	git("-C", dir+"/main", "add", ".")
	git("-C", dir+"/main", "commit", "-q", "-m", "a folder")
	git("-C", dir+"/main", "checkout", "-q", "master")
	return base + "/main"
}

// freePort finds a port that nobody listens at.
func freePort(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
