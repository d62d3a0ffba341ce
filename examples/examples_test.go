// Package examples_test holds the examples to what the image and its launcher promise.
package examples_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

const (
	certDir  = "/certs"
	dataRoot = "/var/lib/docker"
)

// read decodes an example. With strict types, a field that they lack is an error: a misspelt one would do nothing.
func read(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		t.Errorf("%s has more than one document: %v", name, err)
	}
}

var readyCommand = []string{"/usr/bin/dockerlaunch", "ready"}

// client checks the variables of whoever talks to the daemon, which is at host, and whose certificates are in path.
func client(t *testing.T, env map[string]string, host, path string) {
	t.Helper()
	if env["DOCKER_HOST"] != "tcp://"+host+":2376" || env["DOCKER_TLS_VERIFY"] != "1" || env["DOCKER_CERT_PATH"] != path {
		t.Errorf("the client's variables are %v", env)
	}
	// The names that every server certificate is for.
	if host != "docker" && host != "localhost" {
		t.Errorf("the server's certificate is not for %s", host)
	}
}

func TestCompose(t *testing.T) {
	var c struct {
		Services map[string]struct {
			Image               string
			Privileged          bool
			Environment         map[string]string
			Volumes, Entrypoint []string
			Command             []string
			StopGracePeriod     string                                `yaml:"stop_grace_period"`
			DependsOn           map[string]struct{ Condition string } `yaml:"depends_on"`
			Healthcheck         struct {
				Test              []string
				Interval, Timeout string
				StartPeriod       string `yaml:"start_period"`
			}
		}
		Volumes map[string]any
	}
	read(t, "compose.yaml", &c)
	d, cl := c.Services["docker"], c.Services["client"]
	if !d.Privileged || d.Environment["DOCKER_TLS_CERTDIR"] != certDir || !slices.Equal(d.Healthcheck.Test, append([]string{"CMD"}, readyCommand...)) {
		t.Errorf("the daemon is %+v", d)
	}
	client(t, cl.Environment, "docker", certDir+"/client")
	if cl.DependsOn["docker"].Condition != "service_healthy" {
		t.Errorf("the client waits for %v", cl.DependsOn)
	}
	mounts := map[string]string{}
	for _, s := range c.Services {
		for _, v := range s.Volumes {
			name, target, _ := strings.Cut(v, ":")
			mounts[strings.TrimSuffix(target, ":ro")] = name
			if _, ok := c.Volumes[name]; !ok {
				t.Errorf("the volume %s is not declared", name)
			}
		}
	}
	if mounts[dataRoot] == "" || mounts[certDir+"/client"] == "" {
		t.Errorf("mounts %v", mounts)
	}
}

// Compose itself reads the file, where it was fetched.
func TestComposeItself(t *testing.T) {
	program, err := filepath.Abs("../build/compose/docker-compose")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		testenv.Missing(t, "build/compose/docker-compose is not there (make test fetches it)")
	}
	out, err := exec.Command(program, "--file", "compose.yaml", "config").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "condition: service_healthy") {
		t.Errorf("docker-compose config: %v\n%s", err, out)
	}
}

func TestGitLab(t *testing.T) {
	var c struct {
		Build struct {
			Image    string
			Services []struct {
				Name, Alias string
				Variables   map[string]string
			}
			Variables map[string]string
			Script    []string
		}
	}
	read(t, "gitlab-ci.yml", &c)
	if c.Build.Variables["DOCKER_TLS_CERTDIR"] != certDir || len(c.Build.Services) != 1 || len(c.Build.Script) == 0 {
		t.Errorf("%+v", c)
	}
	if c.Build.Services[0].Variables["HEALTHCHECK_TCP_PORT"] != "2376" {
		t.Errorf("the runner waits for %v", c.Build.Services[0].Variables)
	}
	client(t, c.Build.Variables, c.Build.Services[0].Alias, certDir+"/client")
}

func TestGitHub(t *testing.T) {
	var c struct {
		Name, On    string
		Permissions map[string]string
		Jobs        map[string]struct {
			RunsOn   string `yaml:"runs-on"`
			Services map[string]struct {
				Image, Options string
				Env            map[string]string
				Ports, Volumes []string
			}
			Env   map[string]string
			Steps []struct{ Uses, Run string }
		}
	}
	read(t, "github-actions.yml", &c)
	job := c.Jobs["build"]
	d := job.Services["docker"]
	if d.Options != "--privileged" || d.Env["DOCKER_TLS_CERTDIR"] != certDir || !slices.Equal(d.Ports, []string{"127.0.0.1:2376:2376"}) {
		t.Errorf("the service is %+v", d)
	}
	client(t, job.Env, "localhost", job.Env["DOCKER_CERT_PATH"])
	if !slices.Contains(d.Volumes, job.Env["DOCKER_CERT_PATH"]+":"+certDir+"/client") || !slices.ContainsFunc(d.Volumes, func(v string) bool { return strings.HasSuffix(v, ":"+dataRoot) }) {
		t.Errorf("volumes %q", d.Volumes)
	}
}

type probe struct {
	Exec                                            struct{ Command []string }
	PeriodSeconds, TimeoutSeconds, FailureThreshold int
}

type container struct {
	Name, Image, RestartPolicy  string
	Command                     []string
	SecurityContext             struct{ Privileged bool }
	Env                         []struct{ Name, Value string }
	StartupProbe, LivenessProbe probe
	VolumeMounts                []struct {
		Name, MountPath string
		ReadOnly        bool
	}
}

func (c container) env() map[string]string {
	m := map[string]string{}
	for _, e := range c.Env {
		m[e.Name] = e.Value
	}
	return m
}

// Kubernetes writes its fields in mixed case, and yaml.v3 expects lower case where no tag says otherwise.
var mixedCase = regexp.MustCompile(`(?m)^(\s*(?:- )?)([a-z]+[A-Z][A-Za-z]*):`)

func TestKubernetes(t *testing.T) {
	raw, err := os.ReadFile("kubernetes-pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lower := filepath.Join(t.TempDir(), "pod.yaml")
	if err := os.WriteFile(lower, mixedCase.ReplaceAllFunc(raw, bytes.ToLower), 0o644); err != nil {
		t.Fatal(err)
	}
	var p struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			RestartPolicy                 string
			TerminationGracePeriodSeconds int
			InitContainers, Containers    []container
			Volumes                       []struct {
				Name     string
				EmptyDir map[string]string
			}
		}
	}
	read(t, lower, &p)
	if len(p.Spec.InitContainers) != 1 || len(p.Spec.Containers) != 1 {
		t.Fatalf("%+v", p)
	}
	d := p.Spec.InitContainers[0]
	if !d.SecurityContext.Privileged || d.env()["DOCKER_TLS_CERTDIR"] != certDir || d.RestartPolicy != "Always" ||
		!slices.Equal(d.StartupProbe.Exec.Command, readyCommand) || !slices.Equal(d.LivenessProbe.Exec.Command, readyCommand) {
		t.Errorf("the daemon is %+v", d)
	}
	client(t, p.Spec.Containers[0].env(), "localhost", certDir+"/client")
	volumes := map[string]bool{}
	for _, v := range p.Spec.Volumes {
		volumes[v.Name] = true
	}
	at := map[string]string{}
	for _, m := range append(d.VolumeMounts, p.Spec.Containers[0].VolumeMounts...) {
		if at[m.MountPath] = m.Name; !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	if at[dataRoot] == "" || at[certDir+"/client"] == "" {
		t.Errorf("mounts %v", at)
	}
}

// The page for those who come from docker:dind leads to files that are there, and speaks of every variable.
func TestPage(t *testing.T) {
	raw, err := os.ReadFile("../docs/coming-from-docker-dind.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllSubmatch(raw, -1) {
		if _, err := os.Stat(filepath.Join("../docs", string(m[1]))); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"DOCKER_TLS_CERTDIR", "DOCKER_TLS_SAN", "DOCKER_HOST", "DOCKER_IPTABLES_LEGACY", "DOCKER_LAUNCH_DEBUG", "DOCKER_LAUNCH_REAP", "--preload"} {
		if !bytes.Contains(raw, []byte("`"+name)) && !bytes.Contains(raw, []byte(name+"`")) {
			t.Errorf("it does not speak of %s", name)
		}
	}
	examples, err := filepath.Glob("*.y*ml")
	if err != nil || len(examples) != 4 {
		t.Fatalf("%q, %v", examples, err)
	}
	for _, name := range examples {
		if !bytes.Contains(raw, []byte("../examples/"+name)) {
			t.Errorf("it does not lead to %s", name)
		}
	}
}
