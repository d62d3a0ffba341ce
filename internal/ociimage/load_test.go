package ociimage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestMain(m *testing.M) {
	sandbox.Init() // before all else: this binary is also the stages of its sandboxes
	os.Exit(m.Run())
}

// built is a file that `make image` made.
func built(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", "build", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		testenv.Missing(t, fmt.Sprintf("there is no image (make image): %v", err))
	} else if err != nil {
		t.Fatal(err)
	}
	return file
}

// Both variants are loaded into a real Docker, which shows the configuration, shares the layers, and runs the launcher.
func TestLoad(t *testing.T) {
	testenv.NeedRoot(t)
	archives := map[string]string{"latest": built(t, "image.tar"), "minimal": built(t, "image-minimal.tar")}
	root := built(t, "rootfs")
	var binds []sandbox.Bind
	for tag, file := range archives {
		binds = append(binds, sandbox.Bind{Source: file, Target: "/images/" + tag + ".tar", ReadOnly: true})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var log bytes.Buffer
	s, err := sandbox.Start(ctx, sandbox.Options{Root: root, Argv: []string{"dockerd", "-s", "overlay2"}, Binds: binds, Stdout: &log, Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(stop); err != nil {
			t.Errorf("stopping the sandbox: %v", err)
		}
		if t.Failed() {
			t.Logf("the daemon said:\n%s", log.String())
		}
	}()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	docker := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		cmd := s.Docker(ctx, args...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("docker %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
		}
		return strings.TrimSpace(out.String())
	}
	layers := map[string][]string{}
	for _, tag := range []string{"latest", "minimal"} {
		name := "dockerlaunch:" + tag
		if got := docker("load", "-i", "/images/"+tag+".tar"); got != "Loaded image: "+name {
			t.Errorf("docker load says %q", got)
		}
		var images []struct {
			Config struct {
				Entrypoint, Env []string
				ExposedPorts    map[string]struct{}
				Volumes         map[string]struct{}
				Labels          map[string]string
				StopSignal      string
				Healthcheck     struct {
					Test                  []string
					Interval, StartPeriod time.Duration
				}
			}
			RootFS struct{ Layers []string }
			Size   int64
		}
		if err := json.Unmarshal([]byte(docker("inspect", name)), &images); err != nil || len(images) != 1 {
			t.Fatalf("docker inspect: %v", err)
		}
		c := images[0].Config
		layers[tag] = images[0].RootFS.Layers
		_, tls := c.ExposedPorts["2376/tcp"]
		_, plain := c.ExposedPorts["2375/tcp"]
		_, volume := c.Volumes["/var/lib/docker"]
		if !slices.Equal(c.Entrypoint, []string{"/usr/bin/dockerlaunch"}) || !tls || !plain || !volume || c.StopSignal != "SIGTERM" ||
			!slices.Contains(c.Env, "DOCKER_TLS_CERTDIR=/certs") || c.Labels["org.opencontainers.image.title"] != "dockerlaunch" ||
			!slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/bin/dockerlaunch", "ready"}) || c.Healthcheck.Interval != healthInterval {
			t.Errorf("%s is configured as %+v", name, c)
		}
		// A program that reads the machine on its own must run in it; a privileged container needs more of the host than this.
		if got := docker("run", "--rm", "--network", "none", name, "version"); !strings.HasPrefix(got, "dockerlaunch ") {
			t.Errorf("%s version says %q", name, got)
		}
		if got := docker("run", "--rm", "--network", "none", "--entrypoint", "docker", name, "--version"); !strings.Contains(got, "version") {
			t.Errorf("docker --version in %s says %q", name, got)
		}
	}
	if len(layers["latest"]) != 4 || len(layers["minimal"]) != 3 || !slices.Equal(layers["latest"][:2], layers["minimal"][:2]) || layers["latest"][3] != layers["minimal"][2] {
		t.Errorf("layers %q", layers)
	}
	hasGit := func(tag string) bool {
		err := s.Docker(ctx, "run", "--rm", "--network", "none", "--entrypoint", "git", "dockerlaunch:"+tag, "--version").Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
		return err == nil
	}
	if !hasGit("latest") || hasGit("minimal") {
		t.Error("git is not where it should be: in latest, and not in minimal")
	}
}
