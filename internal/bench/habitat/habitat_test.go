package habitat

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

func TestHabitat(t *testing.T) {
	// The program that uses the package in earnest; it is static, as a stage must be, and built once.
	stage := vm.GoBuild(t, "./cmd/bench", "build")
	for name, test := range map[string]func(*testing.T, string){"stub": testStub, "ends": testEnds, "daemon": testDaemon} {
		t.Run(name, func(t *testing.T) { test(t, stage) })
	}
}

// options are for a habitat on build/rootfs.
func options(t *testing.T, stage string, argv ...string) Options {
	t.Helper()
	testenv.NeedRoot(t)
	root, err := filepath.Abs("../../../build/rootfs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); err != nil {
		testenv.Missing(t, "there is no root tree (run make rootfs)")
	}
	return Options{Root: root, Launcher: filepath.Join(root, sandbox.LauncherPath), Argv: argv, Stage: stage}
}

func start(t *testing.T, ctx context.Context, o Options) *Habitat {
	t.Helper()
	h, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(h.dir); err == nil {
			t.Errorf("%s is still there", h.dir)
		}
	})
	return h
}

// The stub is executed at once, and not before the gate is open.
func testStub(t *testing.T, stage string) {
	o := options(t, stage, "/usr/bin/stub")
	o.Files = []sandbox.File{{Path: "/usr/bin/stub", Mode: 0o755, Data: Stub()}}
	gate, open, err := Gate()
	if err != nil {
		t.Fatal(err)
	}
	o.Gate = gate
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := start(t, ctx, o)
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	if took, err := h.Stubbed(short); err == nil {
		t.Errorf("before the gate was open, the stub came after %v", took)
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	took, err := h.Stubbed(ctx)
	if err != nil || took <= 0 || took > 30*time.Second {
		t.Errorf("%v, %v", took, err)
	}
	if n, err := h.Resident(); err != nil || n <= 0 || n > 1<<20 {
		t.Errorf("a stub has %d bytes, %v", n, err)
	}
}

// A program that ends, or that is not there, is an error and not a wait.
func testEnds(t *testing.T, stage string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, argv := range [][]string{{"/usr/bin/none"}, {"/usr/bin/dockerd", "--no-such-flag"}} {
		h := start(t, ctx, options(t, stage, argv...))
		if took, err := h.Ready(ctx, time.Millisecond); err == nil || ctx.Err() != nil {
			t.Errorf("%q: ready after %v, %v", argv, took, err)
		}
	}
}

// A bare daemon lives, answers and stops in it.
func testDaemon(t *testing.T, stage string) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	h := start(t, ctx, options(t, stage, "/usr/bin/dockerd"))
	ready, err := h.Ready(ctx, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	n, err := h.Resident()
	if err != nil || n < 8<<20 {
		t.Errorf("dockerd has %d bytes, %v", n, err)
	}
	stop, err := h.Stop(ctx)
	if err != nil || stop <= 0 {
		t.Errorf("stopped in %v, %v", stop, err)
	}
	t.Logf("ready in %v, stopped in %v, %d MiB", ready, stop, n>>20)
}
