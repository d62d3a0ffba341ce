package preload

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/ready"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	sandbox.Init() // before all else: this binary is also the stages of its sandboxes
	os.Exit(m.Run())
}

const startLimit = 90 * time.Second

// TestRealDaemon waits for a real dockerd, loads archives of every kind into it, and looks that what was deleted stays so.
func TestRealDaemon(t *testing.T) {
	testenv.NeedRoot(t)
	root := os.Getenv("DOCKERLAUNCH_TEST_ROOTFS")
	if root == "" {
		root = filepath.Join("..", "..", "build", "rootfs")
	}
	if _, err := os.Stat(filepath.Join(root, "usr", "bin")); err != nil {
		testenv.Missing(t, fmt.Sprintf("there is no root tree (make rootfs): %v", err))
	}
	dir := t.TempDir()
	launcher := filepath.Join(dir, "dockerlaunch")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", launcher, "../../cmd/dockerlaunch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	command(t, build)

	s, err := sandbox.Start(t.Context(), sandbox.Options{
		Root: root, Launcher: launcher, Argv: []string{"dockerd", "-s", "overlay2"},
		State: filepath.Join(dir, "state"), Network: sandbox.NetworkNone,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stopping the sandbox: %v", err)
		}
	})
	target, err := ready.ParseTarget(s.DockerHost())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if err := ready.Wait(ctx, target, 10*time.Millisecond); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(s.Output(), "\n"))
	}

	archives, dataRoot := filepath.Join(dir, "archives"), t.TempDir()
	if err := os.Mkdir(archives, 0o755); err != nil {
		t.Fatal(err)
	}
	docker := func(stdin io.Reader, args ...string) string {
		cmd := s.Docker(ctx, args...)
		cmd.Stdin = stdin
		return command(t, cmd)
	}
	kinds := []string{"", ".gz", ".xz", ".zst"}
	version, err := daemon.ParseVersion(docker(nil, "version", "--format", "{{.Server.Version}}"))
	if err != nil {
		t.Fatal(err)
	}
	if version.Major < 23 {
		kinds = kinds[:3]
	}
	for _, kind := range kinds {
		name := "image" + strings.TrimPrefix(kind, ".")
		docker(layer(t, name), "import", "-", name)
		save(t, s, ctx, name, filepath.Join(archives, name+".tar"))
		docker(nil, "rmi", name)
		compress(t, filepath.Join(archives, name+".tar"), kind)
	}
	write(t, archives+"/broken.tar", strings.Repeat("no archive ", 1000))

	got, err := run(t, ctx, archives, dataRoot, target)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1+len(kinds) || got[0].says == "" {
		t.Errorf("the broken one: %+v", got)
	}
	images := strings.Fields(docker(nil, "images", "--format", "{{.Repository}}"))
	for _, o := range got[1:] {
		name, _, _ := strings.Cut(o.name, ".")
		if o.says != "" || o.images != name+":latest" || !strings.Contains(strings.Join(images, " ")+" ", name+" ") {
			t.Errorf("%+v; images are %q", o, images)
		}
	}
	docker(nil, "rmi", "imagegz")
	want := []outcome{{name: "broken.tar", says: got[0].says}, {name: "image.tar", kept: true}, {name: "imagegz.tar.gz", kept: true}, {name: "imagexz.tar.xz", kept: true}, {name: "imagezst.tar.zst", kept: true}}
	if got, err = run(t, ctx, archives, dataRoot, target); err != nil || cmp.Diff(want[:1+len(kinds)], got, cmp.AllowUnexported(outcome{})) != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if images := docker(nil, "images", "--format", "{{.Repository}}"); strings.Contains(images, "imagegz") {
		t.Error("what the user had deleted is back")
	}
}

func command(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// save writes an image's archive to the host.
func save(t *testing.T, s *sandbox.Sandbox, ctx context.Context, image, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := s.Docker(ctx, "save", image)
	cmd.Stdout = f
	if err := cmd.Run(); err != nil {
		t.Fatalf("docker save %s: %v", image, err)
	}
}

func compress(t *testing.T, path, kind string) {
	t.Helper()
	switch kind {
	case ".gz":
		command(t, exec.Command("gzip", path))
	case ".xz":
		command(t, exec.Command("xz", path))
	case ".zst":
		command(t, exec.Command("zstd", "-q", "--rm", path))
	}
}

// layer is an archive with one small file.
func layer(t *testing.T, text string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}
