package launch_test

import (
	"fmt"
	"os"
	"path/filepath"
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
