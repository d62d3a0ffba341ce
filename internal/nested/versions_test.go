package nested

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestVersions runs images with other versions of Docker than trixie's 26.1, which all other tests have: the oldest that is
// looked after, and the newest that Debian has.
func TestVersions(t *testing.T) {
	o := theOuterDocker(t)
	for suite, version := range map[string]string{"bookworm": "20.10.", "sid": ""} {
		t.Run(suite, func(t *testing.T) {
			archive := built(t, filepath.Join("other", suite, "image-minimal.tar"))
			o.loadAs(t, archive, suite)
			network := o.network(t)
			_, certs := o.shared(t)
			d := o.startImage(t, "dockerlaunch:"+suite, "-v", o.volume(t)+":/var/lib/docker", "-v", certs+":/certs", "--network", network, "--network-alias", "docker").ready().guest()
			got := d.docker("version", "--format", "{{.Server.Version}}")
			t.Logf("Docker %s", got)
			if !strings.HasPrefix(got, version) {
				t.Errorf("it is Docker %s, want %s", got, version)
			}
			if driver := d.docker("info", "--format", "{{.Driver}}"); driver != "overlay2" && driver != "overlayfs" {
				t.Errorf("the storage driver is %s", driver)
			}
			const memory = 32 << 20
			if got := d.docker("run", "--rm", "--memory", strconv.Itoa(memory), "guest", "first",
				"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"); got != strconv.Itoa(memory) {
				t.Errorf("the limit inside is %s", got)
			}
			if got := d.docker("run", "--rm", "--privileged", "guest", "first", "/proc/1/comm"); got != "guest" {
				t.Errorf("a privileged container says %q", got)
			}
			d.docker("network", "create", "mine")
			id := d.docker("run", "-d", "--name", "server", "--network", "mine", "-p", "8080:80", "guest", "serve", ":80", "by its name")
			if got := d.docker("run", "--rm", "--network", "mine", "guest", "dial", "server:80"); got != "by its name" {
				t.Errorf("from server comes %q", got)
			}
			if got := o.docker(t, "run", "--rm", "--network", network, "guest", "dial", "docker:8080"); got != "by its name" {
				t.Errorf("from the published port comes %q", got)
			}
			if got := d.docker("top", id); !strings.Contains(got, "/guest serve") {
				t.Errorf("docker top says %q", got)
			}
			if got := d.overTLS(network, certs).docker("ps", "-q"); !strings.HasPrefix(id, got) || got == "" {
				t.Errorf("over TLS docker ps says %q", got)
			}
			o.docker(t, "stop", d.name)
			if got := o.docker(t, "inspect", "--format", "{{.State.ExitCode}}", d.name); got != "0" {
				t.Errorf("docker stop ends it with status %s", got)
			}
		})
	}
}

// loadAs loads an archive of the image under another tag than its own.
func (o *outer) loadAs(t *testing.T, archive, tag string) {
	t.Helper()
	here, there := o.shared(t)
	if err := copyFile(archive, here+"/image.tar"); err != nil {
		t.Fatal(err)
	}
	loaded := strings.TrimPrefix(o.docker(t, "load", "-q", "-i", there+"/image.tar"), "Loaded image: ")
	o.docker(t, "tag", loaded, "dockerlaunch:"+tag)
	o.docker(t, "rmi", loaded)
	t.Cleanup(func() { o.cleanUp(t, "rmi", "dockerlaunch:"+tag) })
}
