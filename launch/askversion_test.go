package launch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
)

// A flag that not every dockerd knows is given to one whose version a hint tells, or the program itself, which is then not
// asked again.
func TestVersionOfRealDaemon(t *testing.T) {
	const cache = daemon.VersionCache
	info, err := os.Stat(filepath.Join(rootfs(t), "usr/bin/dockerd"))
	if err != nil {
		t.Fatal(err)
	}
	// The version of the hint is none that there is, so that it shows where the launcher has it from.
	hint := daemon.Hint(info.Size(), daemon.Version{Major: 24, Minor: 0, Patch: 77})
	other := daemon.Hint(info.Size()+1, daemon.Version{Major: 20, Minor: 10, Patch: 77})
	for _, test := range []struct {
		name, hint string
		mtu        int
		asked      bool // the program itself
		flag       bool
	}{
		{"a hint", hint, 1400, false, true},
		{"a hint about another program", other, 1400, true, true},
		{"nothing depends on it", other, 0, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t)
			o.MTU = test.mtu
			o.Files = []sandbox.File{{Path: daemon.VersionHint, Data: []byte(test.hint), Mode: 0o644}}
			s := startReady(t, o)
			cached, err := os.ReadFile(inside(s, cache))
			if test.asked != (err == nil) {
				t.Errorf("the cache: %q, %v", cached, err)
			}
			if want := fmt.Sprintf(`"size":%d`, info.Size()); test.asked && !strings.Contains(string(cached), want) {
				t.Errorf("the cache has no %s: %s", want, cached)
			}
			pid := child(t, s, "dockerd")
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(line), "--default-network-opt=bridge=com.docker.network.driver.mtu=1400"); got != test.flag {
				t.Errorf("the daemon's command line is %q", line)
			}
		})
	}
}

// What the program said once is taken from the file under /run as long as the program is the same, and asked again where it is not.
func TestVersionIsAskedOnce(t *testing.T) {
	const flag = "--default-network-opt=bridge=com.docker.network.driver.mtu=1400"
	o := options(t)
	o.MTU = 1400
	o.Files = []sandbox.File{{Path: daemon.VersionHint, Data: []byte(daemon.Hint(1, daemon.Version{Major: 1})), Mode: 0o644}}
	run := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	// On the overlay of a sandbox a file has another device number each time.
	o.Binds = []sandbox.Bind{{Source: run, Target: "/run"}, {Source: filepath.Join(o.Root, "usr/bin/dockerd"), Target: "/usr/bin/dockerd", ReadOnly: true}}
	given := func(s *sandbox.Sandbox) bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child(t, s, "dockerd")))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(line), flag)
	}
	s := startReady(t, o)
	if !given(s) {
		t.Fatal("the first start does not know the version, so that this test shows nothing")
	}
	stop(t, s)

	// A version that the flag is not for shows whether the file is believed.
	cache := filepath.Join(run, strings.TrimPrefix(daemon.VersionCache, "/run/"))
	data, err := os.ReadFile(cache)
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile(`"version":"[^"]*"`).ReplaceAll(data, []byte(`"version":"20.10.77"`))
	for _, c := range []struct {
		name string
		file []byte
		want bool
	}{
		{"the same program", old, false},
		{"another time", regexp.MustCompile(`"mtime_ns":\d`).ReplaceAll(old, []byte(`"mtime_ns":9`)), true},
	} {
		if err := os.WriteFile(cache, c.file, 0o644); err != nil {
			t.Fatal(err)
		}
		s := startReady(t, o)
		if given(s) != c.want {
			t.Errorf("%s: the flag is given: %v", c.name, !c.want)
		}
		stop(t, s)
	}
}
