package nested

import (
	"testing"
)

// TestThreeLevels runs the image in the image in the outer Docker, and a container in the innermost one.
func TestThreeLevels(t *testing.T) {
	o := theOuterDocker(t)
	second := o.start(t, "-v", o.volume(t)+":/var/lib/docker", "-v", "/image.tar:/image.tar:ro").ready()
	second.docker("load", "-q", "-i", "/image.tar")
	second.docker("run", "-d", "--privileged", "--name", "third", "-v", "/var/lib/docker", "-v", "/shared:/shared", "dockerlaunch")
	second.docker("exec", "third", "dockerlaunch", "ready", "--wait", "--timeout", limit.String())
	third := *second
	third.exec = append(append([]string{}, second.exec...), "exec", "third", "docker")
	third.guest()
	if got := third.docker("info", "--format", "{{.Driver}}"); got != "overlay2" {
		t.Errorf("the storage driver on the third level is %s", got)
	}
	for _, args := range [][]string{{"run", "--rm"}, {"run", "--rm", "--privileged"}, {"run", "--rm", "--memory", "64m", "--pids-limit", "50"}} {
		if got := third.docker(append(args, "guest", "first", "/proc/1/comm")...); got != "guest" {
			t.Errorf("%q on the third level says %q", args, got)
		}
	}
	// The networks of the levels must not hide each other.
	seen := map[string]bool{}
	for level, gateway := range map[string]string{
		"first":  o.docker(t, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"),
		"second": second.docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"),
		"third":  third.docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"),
	} {
		if seen[gateway] {
			t.Errorf("the %s level has a network of another: %s", level, gateway)
		}
		seen[gateway] = true
	}
	third.docker("run", "-d", "-p", "8080:80", "guest", "serve", ":80", "from three levels down")
	address := second.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "third") + ":8080"
	if got := o.docker(t, "run", "--rm", "--network", "container:"+second.name, "guest", "dial", address); got != "from three levels down" {
		t.Errorf("over the networks of all levels comes %q", got)
	}
	second.docker("stop", "third")
	if got := second.docker("inspect", "--format", "{{.State.ExitCode}}", "third"); got != "0" {
		t.Errorf("the third level ends with status %s", got)
	}
}
