package runtime

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	sandbox.Init() // before all else: this binary is also the stages of its sandboxes
	os.Exit(m.Run())
}

const startLimit = 90 * time.Second

func rootfs(t *testing.T) string {
	t.Helper()
	testenv.NeedRoot(t)
	dir := os.Getenv("DOCKERLAUNCH_TEST_ROOTFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "build", "rootfs")
	}
	if _, err := os.Stat(filepath.Join(dir, "usr", "bin")); err != nil {
		testenv.Missing(t, fmt.Sprintf("there is no root tree (make rootfs): %v", err))
	}
	return dir
}

func build(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(dir))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", dir, err, out)
	}
	return path
}

// TestPrivileged runs privileged containers, and privileged commands in a container, where the bounding set lacks
// capabilities: with the wrapper first in PATH, as a runtime of another name, as the launcher puts it there, and without it.
func TestPrivileged(t *testing.T) {
	root := rootfs(t)
	launcher, wrapper, probe := build(t, "../../cmd/dockerlaunch"), build(t, "../testdata/runtime"), build(t, "../testdata/probe")
	byName, _ := Fragment("/opt/wrapper/" + AltName)
	for _, test := range []struct {
		name, at string
		args     []string
		works    bool
	}{
		{"first in PATH", "/opt/wrapper/runc", nil, true},
		{"by another name", "/opt/wrapper/" + AltName, byName, true},
		{"by the launcher itself", "", nil, true},
		{"without it", "", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			o := sandbox.Options{
				Root: root, Launcher: launcher, Argv: append([]string{"dockerd", "-s", "overlay2"}, test.args...),
				State: filepath.Join(t.TempDir(), "state"), Network: sandbox.NetworkNone,
				DropCaps: []int{unix.CAP_SYS_RESOURCE, unix.CAP_WAKE_ALARM},
				Env:      []string{"PATH=/opt/wrapper:/usr/sbin:/usr/bin:/sbin:/bin"},
				Files:    bundle(t, probe),
			}
			itself := test.at == "" && test.works
			if !itself {
				o.Argv = append([]string{"--no-runtime-wrapper"}, o.Argv...)
			}
			if test.at != "" {
				o.Binds = []sandbox.Bind{{Source: wrapper, Target: test.at}}
			}
			s := startSandbox(t, o, &log)
			privileged(t, s, probe, test.works)
			if !itself {
				bare(t, s, test.at)
			}
		})
	}
}

func startSandbox(t *testing.T, o sandbox.Options, log *bytes.Buffer) *sandbox.Sandbox {
	t.Helper()
	o.Stdout, o.Stderr = log, log
	s, err := sandbox.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stopping the sandbox: %v", err)
		}
		if t.Failed() {
			t.Logf("what the daemon said:\n%s", log)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

func privileged(t *testing.T, s *sandbox.Sandbox, probe string, works bool) {
	docker := func(stdin io.Reader, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), startLimit)
		defer cancel()
		cmd := s.Docker(ctx, args...)
		cmd.Stdin = stdin
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := docker(archive(t, probe), "import", "--change", `ENTRYPOINT ["/probe"]`, "-", "probe"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	id, err := docker(nil, "run", "-d", "probe", "wait")
	if err != nil {
		t.Fatalf("a container without privileges: %v\n%s", err, id)
	}
	version, err := docker(nil, "version", "--format", "{{.Server.Version}}")
	v, parseErr := daemon.ParseVersion(version)
	if err != nil || parseErr != nil {
		t.Fatalf("%v, %v: %s", err, parseErr, version)
	}
	calls := map[string][]string{
		"run":  {"run", "--rm", "--privileged", "probe"},
		"exec": {"exec", "--privileged", id, "/probe"},
	}
	if v.Major < DaemonKnows {
		calls["added capability"] = []string{"run", "--rm", "--cap-add", "SYS_RESOURCE", "--cap-add", "SYS_ADMIN", "probe"}
	} else {
		works = true
	}
	for name, args := range calls {
		out, err := docker(nil, append(args, "cat", "/proc/self/status")...)
		judge(t, name, out, err, works)
	}
	// A plain exec gets what the container has, and no more.
	if out, err := docker(nil, "exec", id, "/probe", "cat", "/proc/self/status"); err != nil || !strings.Contains(out, "CapEff:\t00000000a80425fb") {
		t.Errorf("a plain exec: %v\n%s", err, out)
	}
	if out, err := docker(nil, "info", "--format", "{{.RuncCommit.ID}}|{{.DefaultRuntime}}"); err != nil || strings.HasPrefix(out, "N/A") {
		t.Errorf("docker info does not know runc's version: %s, %v", out, err)
	}
}

// judge looks at the capabilities of a process, or at why it did not start.
func judge(t *testing.T, name, out string, err error, works bool) {
	t.Helper()
	if !works {
		if err == nil || !strings.Contains(out, "apply caps") {
			t.Errorf("%s goes without the wrapper, so that this test shows nothing: %v\n%s", name, err, out)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
		return
	}
	_, line, _ := strings.Cut(out, "CapEff:")
	set, err := strconv.ParseUint(strings.Fields(line + " x")[0], 16, 64)
	if err != nil || set&(1<<unix.CAP_SYS_ADMIN) == 0 || set&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		t.Errorf("%s has the capabilities %x, %v", name, set, err)
	}
}

// bundle is one for runc itself, whose container asks for what cannot be given.
func bundle(t *testing.T, probe string) []sandbox.File {
	t.Helper()
	data, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	const caps = `"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_SYS_RESOURCE"],"effective":["CAP_SYS_ADMIN","CAP_SYS_RESOURCE"],"permitted":["CAP_SYS_ADMIN","CAP_SYS_RESOURCE"]}`
	config := `{"ociVersion":"1.0.2","root":{"path":"root"},"mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
		"process":{"args":["/probe","wait"],"cwd":"/","user":{"uid":0,"gid":0},` + caps + `},
		"linux":{"namespaces":[{"type":"mount"},{"type":"pid"}]}}`
	process := `{"args":["/probe","cat","/proc/self/status"],"cwd":"/","user":{"uid":0,"gid":0},` + caps + `}`
	return []sandbox.File{
		{Path: "/bundle/config.json", Data: []byte(config)}, {Path: "/bundle/process.json", Data: []byte(process)},
		{Path: "/bundle/root/probe", Mode: 0o755, Data: data}, {Path: "/bundle/root/proc/.keep"},
	}
}

// bare runs runc as containerd's shim does, without a dockerd that may leave out what cannot be given.
func bare(t *testing.T, s *sandbox.Sandbox, at string) {
	program := at
	if program == "" {
		program = Name
	}
	runc := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), startLimit)
		defer cancel()
		// A file and no pipe, which the container would hold open.
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd := s.Command(ctx, program, append([]string{"--root", "/run/bare", "--log-format", "json"}, args...)...)
		cmd.Stdout, cmd.Stderr = out, out
		err = cmd.Run()
		data, readErr := os.ReadFile(out.Name())
		return string(data), errors.Join(err, readErr)
	}
	if out, err := runc("features"); err != nil && !strings.Contains(out, "No help topic") {
		t.Errorf("runc features: %v\n%s", err, out)
	}
	out, err := runc("create", "--bundle", "/bundle", "bare")
	if at == "" {
		judge(t, "runc create", out, err, false)
		return
	}
	if err != nil {
		t.Fatalf("runc create: %v\n%s", err, out)
	}
	if out, err := runc("start", "bare"); err != nil {
		t.Errorf("runc start: %v\n%s", err, out)
	}
	out, err = runc("exec", "--process", "/bundle/process.json", "bare")
	judge(t, "runc exec", out, err, true)
	if out, err := runc("delete", "--force", "bare"); err != nil {
		t.Errorf("runc delete: %v\n%s", err, out)
	}
}

func archive(t *testing.T, program string) io.Reader {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}
