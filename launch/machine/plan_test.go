package machine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
)

func stepNames(steps []Step) string {
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func TestPlan(t *testing.T) {
	root, err := filepath.Abs("testdata/machine")
	must(t, err)
	facts := Observe(root)
	facts.NodeName, facts.Built, facts.Stdio = "(none)", time.Time{}, [3]Stdio{} // these are not of the tree
	want := Facts{
		Consoles: []string{"tty0", "ttyS0"}, NodeName: "(none)", ConsoleLevel: 4, DevKmsg: "ratelimit", EtcHostname: "harbour", RTC: true,
		Sysctl: SysctlFile{Settings: []Setting{{Name: "vm/swappiness", Value: "10", Source: root + "/etc/sysctl.d/10-local.conf"}}},
	}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	o := Options{Habitat: host.Machine, Hostname: "a b"}
	steps, problems := Early(o, facts)
	if got := stepNames(steps); got != "console, console flow, kernel parameters, host name" || len(problems) != 1 {
		t.Errorf("early: %s, %q", got, problems)
	}
	if got := steps[3].Action.String(); got != "set the host name harbour (from /etc/hostname)" {
		t.Error(got)
	}
	for _, s := range append(steps, WithDisk(o, facts)...) {
		if s.Why == "" || s.Lost == "" || s.Action.String() == "" {
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
	if got := stepNames(WithDisk(o, facts)); got != "clock, entropy seed" {
		t.Errorf("with the disk: %s", got)
	}
	for _, habitat := range []host.Habitat{host.Container, host.Host, ""} {
		o.Habitat, o.StateDir = habitat, filepath.Join(t.TempDir(), "state")
		early, problems := Early(o, facts)
		if len(early)+len(problems)+len(WithDisk(o, facts)) > 0 {
			t.Errorf("%q: something is planned", habitat)
		}
		must(t, Save(context.Background(), o))
		if _, err := os.Stat(o.StateDir); err == nil {
			t.Errorf("%q: something is saved", habitat)
		}
	}
}

func TestStateDir(t *testing.T) {
	for _, c := range []struct {
		option, root string
		disk         bool
		want         string
	}{
		{"/x", "/var/lib/docker", true, "/x"},
		{"", "/var/lib/docker", true, "/var/lib/docker/.dockerlaunch"},
		{"", "/var/lib/docker", false, DefaultStateDir},
		{"", "", true, DefaultStateDir},
	} {
		if got := StateDir(c.option, c.root, c.disk); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestKeepSaving(t *testing.T) {
	o := Options{Habitat: host.Machine, StateDir: filepath.Join(t.TempDir(), "state")}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		KeepSaving(ctx, o, time.Millisecond, func(err error) { t.Error(err) })
	}()
	seen := map[string]bool{}
	for len(seen) < 3 && ctx.Err() == nil {
		if data, err := os.ReadFile(o.SeedPath()); err == nil {
			if len(data) != seedSize {
				t.Errorf("half a seed: %x", data)
			}
			seen[string(data)] = true
		}
	}
	if _, err := os.Stat(o.ClockPath()); err != nil {
		t.Error(err)
	}
	cancel()
	<-done
	if len(seen) < 3 {
		t.Error("it does not go on")
	}
}

func TestLogOfFacts(t *testing.T) {
	for _, c := range []struct {
		devKmsg, words string
		on             bool
		limited, off   bool
	}{
		{"ratelimit", "", true, false, false},
		{"ratelimit", "", false, true, false},
		{"on", "", false, false, false},
		{"off", "printk.devkmsg=off", true, true, true},
		{"ratelimit", "printk.devkmsg=ratelimit", true, true, false},
		{"on", "printk.devkmsg=on", true, false, false},
	} {
		l := Facts{DevKmsg: c.devKmsg, ConsoleLevel: 7}.Log(strings.Fields(c.words), c.on)
		if l.Limited != c.limited || l.Off != c.off || l.Verbosity.Kernel != 7 || l.Kmsg != nil || l.Console != nil {
			t.Errorf("%+v: %v, %v, %+v", c, l.Limited, l.Off, l.Verbosity)
		}
	}
}
