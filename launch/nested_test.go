package launch_test

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// TestImageFromScratch builds the image of the README's Dockerfile in an outer Docker, runs it there as a privileged
// container, and uses the Docker inside.
func TestImageFromScratch(t *testing.T) {
	s := startReady(t, options(t, "dockerd", "-s", "overlay2"))
	importProbe(t, s)
	if out, err := tryDocker(t, s, nil, "save", "-o", "/tmp/probe.tar", "probe"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	build(t, s, readmeDockerfile(t))

	t.Run("as the README has it", func(t *testing.T) {
		nested(t, s, "run", "--privileged", "-d", "--name", "inner", "-v", "/tmp/probe.tar:/probe.tar", "scratch")
	})
	t.Run("with the old entrypoint and command", func(t *testing.T) {
		nested(t, s, "run", "--privileged", "-d", "--name", "inner", "-v", "/tmp/probe.tar:/probe.tar",
			"--entrypoint", "/usr/bin/dockerlaunch", "scratch", "/usr/bin/docker", "-d", "-s", "overlay")
	})
	t.Run("without --privileged it says what is missing", func(t *testing.T) {
		out, err := tryDocker(t, s, nil, "run", "--rm", "scratch")
		if err == nil || !strings.Contains(out, "--privileged") {
			t.Errorf("%v\n%s", err, out)
		}
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 3 {
			t.Errorf("exit status is not 3: %v", err)
		}
	})
}

// nested runs the image as told, and a container in the Docker inside of it.
func nested(t *testing.T, s *sandbox.Sandbox, args ...string) {
	docker(t, s, args...)
	defer docker(t, s, "rm", "-f", "-v", "inner")
	inner := func(args ...string) string {
		return docker(t, s, append([]string{"exec", "inner", "docker"}, args...)...)
	}
	waitForInner(t, s)
	if got := inner("info", "--format", "{{.Driver}}"); got != "overlay2" {
		t.Errorf("the inner storage driver is %s: is the data-root no volume?", got)
	}
	inner("load", "-i", "/probe.tar")
	const limit = 32 << 20
	if got := inner("run", "--rm", "--memory", strconv.Itoa(limit), "probe", "first",
		"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"); got != strconv.Itoa(limit) {
		t.Errorf("inside the inner container the limit is %s", got)
	}
	id := inner("run", "-d", "probe", "serve", ":80", "from two levels down")
	address := inner("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
	if got := inner("run", "--rm", "probe", "dial", address+":80"); got != "from two levels down" {
		t.Errorf("over the inner bridge comes %q", got)
	}
	begin := time.Now()
	docker(t, s, "stop", "inner")
	if got := docker(t, s, "inspect", "--format", "{{.State.ExitCode}}", "inner"); got != "0" {
		t.Errorf("docker stop ends it with status %s after %v", got, time.Since(begin))
	}
}

func waitForInner(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	deadline := time.Now().Add(startLimit)
	for {
		out, err := tryDocker(t, s, nil, "exec", "inner", "docker", "version")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			logs, logErr := tryDocker(t, s, nil, "logs", "--tail", "30", "inner")
			t.Fatalf("the inner daemon does not answer: %v\n%s\n%s %v", err, out, logs, logErr)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// readmeDockerfile returns the Dockerfile that the README tells people to write.
func readmeDockerfile(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^    FROM scratch\n(?:    .*\n)+`).Find(readme)
	if found == nil {
		t.Fatal("the README has no Dockerfile any more")
	}
	return regexp.MustCompile(`(?m)^    `).ReplaceAllString(string(found), "")
}

// build builds the image "scratch" from a Dockerfile and the root tree, packed as the README says, with the launcher
// under test in it.
func build(t *testing.T, s *sandbox.Sandbox, dockerfile string) {
	t.Helper()
	dir := t.TempDir()
	tree := dir + "/rootfs.tar"
	if out, err := exec.Command("tar", "-C", rootfs(t), "-c", "-f", tree, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	if out, err := exec.Command("tar", "-r", "-f", tree, "--transform=s,.*,./usr/bin/dockerlaunch,", "-P", launcher(t)).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeContext(writer, dockerfile, tree)) }()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	// The tree's client comes without buildx, so that the daemon's own builder is used, as everywhere without it.
	cmd := s.Docker(ctx, "build", "-t", "scratch", "-")
	cmd.Env = append(cmd.Environ(), "DOCKER_BUILDKIT=0")
	cmd.Stdin = reader
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
}

func writeContext(w io.Writer, dockerfile, tree string) error {
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		return err
	}
	if _, err := io.WriteString(archive, dockerfile); err != nil {
		return err
	}
	f, err := os.Open(tree)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: "rootfs.tar", Mode: 0o644, Size: st.Size()}); err != nil {
		return err
	}
	if _, err := io.Copy(archive, f); err != nil {
		return fmt.Errorf("packing the context: %w", err)
	}
	return archive.Close()
}
