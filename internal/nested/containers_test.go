package nested

import (
	"strconv"
	"strings"
	"testing"
)

// TestContainers runs containers of each kind that people run in the Docker of one container of the image.
func TestContainers(t *testing.T) {
	o := theOuterDocker(t)
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker").ready().guest()
	if got := d.docker("info", "--format", "{{.Driver}}"); got != "overlay2" {
		t.Errorf("on a volume the storage driver is %s", got)
	}
	t.Run("limits", func(t *testing.T) {
		d := d.with(t)
		const memory, processes = 32 << 20, 77
		for want, files := range map[int][]string{
			memory:    {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
			processes: {"/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"},
		} {
			args := append([]string{"run", "--rm", "--memory", strconv.Itoa(memory), "--pids-limit", strconv.Itoa(processes), "guest", "first"}, files...)
			if got := d.docker(args...); got != strconv.Itoa(want) {
				t.Errorf("inside the limit is %s, want %d", got, want)
			}
		}
	})
	t.Run("published port", func(t *testing.T) {
		d := d.with(t)
		d.docker("run", "-d", "--name", "web", "-p", "8080:80", "guest", "serve", ":80", "published")
		address := o.docker(t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", d.name) + ":8080"
		if got := o.docker(t, "run", "--rm", "guest", "dial", address); got != "published" {
			t.Errorf("from the outer network comes %q", got)
		}
		if got := o.docker(t, "run", "--rm", "--network", "container:"+d.name, "guest", "dial", "127.0.0.1:8080"); got != "published" {
			t.Errorf("from the same network namespace comes %q", got)
		}
	})
	t.Run("user network with DNS", func(t *testing.T) {
		d := d.with(t)
		d.docker("network", "create", "mine")
		d.docker("run", "-d", "--name", "server", "--network", "mine", "--network-alias", "other", "guest", "serve", ":80", "by its name")
		for _, host := range []string{"server", "other"} {
			if got := d.docker("run", "--rm", "--network", "mine", "guest", "dial", host+":80"); got != "by its name" {
				t.Errorf("from %s comes %q", host, got)
			}
		}
	})
	t.Run("anonymous volume", func(t *testing.T) {
		d := d.with(t)
		d.docker("run", "--name", "writer", "-v", "/data", "guest", "write", "/data/file", "kept")
		if got := d.docker("run", "--rm", "--volumes-from", "writer", "guest", "first", "/data/file"); got != "kept" {
			t.Errorf("in the volume is %q", got)
		}
		d.docker("rm", "-v", "writer")
		if got := d.docker("volume", "ls", "-q"); got != "" {
			t.Errorf("the volume is still there: %s", got)
		}
	})
	t.Run("top", func(t *testing.T) {
		d := d.with(t)
		d.docker("run", "-d", "--name", "busy", "guest", "wait")
		if got := d.docker("top", "busy"); !strings.Contains(got, "/guest wait") {
			t.Errorf("docker top says %q", got)
		}
	})
	t.Run("exit status", func(t *testing.T) {
		_, err := d.with(t).try("run", "--rm", "guest", "exit", "42")
		if e, ok := err.(*dockerError); !ok || e.status != 42 {
			t.Errorf("%v, want 42", err)
		}
	})
	t.Run("in a privileged container", func(t *testing.T) {
		d := d.with(t)
		if got := d.docker("run", "--rm", "--privileged", "guest", "first", "/proc/1/comm"); got != "guest" {
			t.Errorf("its first process is %q", got)
		}
	})
}
