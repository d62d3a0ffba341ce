package nested

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// docker runs the client of the outer Docker and returns its standard output.
func (o *outer) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := o.try(t, nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dockerError is what a client says that failed.
type dockerError struct {
	args   []string
	status int
	text   string
}

func (e *dockerError) Error() string {
	return fmt.Sprintf("docker %s: exit status %d\n%s", strings.Join(e.args, " "), e.status, e.text)
}

// try is docker for what may fail: the error is a *dockerError with all that was said.
func (o *outer) try(t *testing.T, stdin io.Reader, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := o.Docker(ctx, args...)
	cmd.Env = append(cmd.Environ(), "DOCKER_BUILDKIT=0")
	var out, all bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, io.MultiWriter(&out, &all), &all
	err := cmd.Run()
	text := strings.TrimSpace(out.String())
	if exit, ok := err.(*exec.ExitError); ok {
		return text, &dockerError{args, exit.ExitCode(), all.String()}
	}
	if err != nil {
		return text, fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, all.String())
	}
	return text, nil
}

var counter atomic.Int64

// newName makes a name for a container, a volume or a network of the outer Docker.
func newName(what string) string { return fmt.Sprintf("%s-%d", what, counter.Add(1)) }

// dind is a container of the image.
type dind struct {
	o    *outer
	t    *testing.T
	name string
	// exec is what goes before the arguments of the client inside, in the outer client's words.
	exec []string
}

// start runs the image with --privileged as the arguments of docker run have it, behind "--" come those of the launcher.
func (o *outer) start(t *testing.T, args ...string) *dind {
	t.Helper()
	return o.startImage(t, "dockerlaunch", args...)
}

// startImage is start for an image of another name.
func (o *outer) startImage(t *testing.T, name string, args ...string) *dind {
	t.Helper()
	image := []string{name}
	for i, arg := range args {
		if arg == "--" {
			args, image = args[:i], append(image, args[i+1:]...)
			break
		}
	}
	d := &dind{o: o, t: t, name: newName("inner")}
	d.exec = []string{"exec", d.name, "docker"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if t.Failed() {
			logs, err := o.Docker(ctx, "logs", "--tail", "30", d.name).CombinedOutput()
			t.Logf("%s said last: %v\n%s", d.name, err, logs)
		}
		if out, err := o.Docker(ctx, "rm", "-f", "-v", d.name).CombinedOutput(); err != nil {
			t.Errorf("removing %s: %v\n%s", d.name, err, out)
		}
	})
	o.docker(t, append(append([]string{"run", "-d", "--privileged", "--name", d.name, "-v", "/shared:/shared"}, args...), image...)...)
	return d
}

// ready waits until the daemon inside answers, as HEALTHCHECK does.
func (d *dind) ready() *dind {
	d.t.Helper()
	if _, err := d.o.try(d.t, nil, "exec", d.name, "dockerlaunch", "ready", "--wait", "--timeout", limit.String()); err != nil {
		d.t.Fatal(err)
	}
	return d
}

// docker runs the client inside.
func (d *dind) docker(args ...string) string {
	d.t.Helper()
	return d.o.docker(d.t, append(d.exec, args...)...)
}

func (d *dind) try(args ...string) (string, error) {
	d.t.Helper()
	return d.o.try(d.t, nil, append(d.exec, args...)...)
}

// with has the same container's Docker used by another test.
func (d *dind) with(t *testing.T) *dind {
	copied := *d
	copied.t = t
	return &copied
}

// guest loads the tests' own image.
func (d *dind) guest() *dind {
	d.t.Helper()
	d.docker("load", "-q", "-i", "/shared/guest-image.tar")
	return d
}

// volume makes a volume for the length of a test.
func (o *outer) volume(t *testing.T) string {
	t.Helper()
	v := newName("volume")
	o.docker(t, "volume", "create", v)
	t.Cleanup(func() { o.cleanUp(t, "volume", "rm", v) })
	return v
}

// network makes a network for the length of a test.
func (o *outer) network(t *testing.T) string {
	t.Helper()
	n := newName("network")
	o.docker(t, "network", "create", n)
	t.Cleanup(func() { o.cleanUp(t, "network", "rm", n) })
	return n
}

func (o *outer) cleanUp(t *testing.T, args ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if out, err := o.Docker(ctx, args...).CombinedOutput(); err != nil {
		t.Errorf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}
