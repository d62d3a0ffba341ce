package main

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pinged is a daemon at a socket that answers /_ping with the status.
func pinged(t *testing.T, status int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_ping" {
			t.Errorf("it asks for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return path
}

func TestReady(t *testing.T) {
	up, starting, nobody := pinged(t, 200), pinged(t, 503), filepath.Join(t.TempDir(), "docker.sock")
	for name, c := range map[string]struct {
		env, line string
		status    int
		says      string
	}{
		"an address":               {line: "unix://" + up},
		"a path":                   {line: up},
		"a socket in DOCKER_HOST":  {env: "unix://" + up},
		"wait for one that is up":  {line: "--wait " + up},
		"one that is starting":     {line: starting, status: 1, says: "503"},
		"nobody there":             {line: nobody, status: 1, says: "nobody listens"},
		"wait in vain":             {line: "--wait --timeout 20ms " + nobody, status: 1, says: "no answer in time"},
		"timeout without a wait":   {line: "--timeout=1s " + nobody, status: 1, says: "nobody listens"},
		"an address before a flag": {line: nobody + " --timeout 1s", status: 1, says: "nobody listens"},
		"two addresses":            {line: up + " " + nobody, status: 2, says: "one address"},
		"another protocol":         {line: "https://127.0.0.1:2376", status: 2, says: "TLS"},
		"an unknown flag":          {line: "--hurry", status: 2, says: "--hurry"},
		"a time without a unit":    {line: "--timeout 10", status: 2, says: "10"},
		"a time before now":        {line: "--timeout=-1s", status: 2, says: "-1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", c.env)
			var stdout, stderr bytes.Buffer
			if status := run(append([]string{"ready"}, strings.Fields(c.line)...), &stdout, &stderr); status != c.status {
				t.Errorf("exit status %d, want %d\n%s", status, c.status, stderr.String())
			}
			if !strings.Contains(stderr.String(), c.says) || stdout.Len() != 0 {
				t.Errorf("it does not say %q on standard error: %q, %q", c.says, stderr.String(), stdout.String())
			}
		})
	}
}

func TestReadyTarget(t *testing.T) {
	for env, want := range map[string]string{
		"": "unix:///run/docker.sock", "unix:///x/y.sock": "unix:///x/y.sock", "tcp://docker:2376": "unix:///run/docker.sock",
		"nonsense": "unix:///run/docker.sock", "tcp://127.0.0.1:2375": "unix:///run/docker.sock",
	} {
		if got, err := readyTarget(env, nil); err != nil || got.String() != want {
			t.Errorf("DOCKER_HOST=%s: %s, %v", env, got, err)
		}
	}
	const fallback, certificates = "unix:///run/docker.sock", "--tlsverify"
	for _, c := range []struct {
		command []string
		want    string
	}{
		{[]string{"dockerd", "--host=fd://"}, fallback},
		{[]string{"dockerd", "-H", "unix:///x.sock"}, "unix:///x.sock"},
		{[]string{"dockerd", "-H", "tcp://127.0.0.1:4", "-H", "unix:///x.sock"}, "tcp://127.0.0.1:4"},
		{[]string{"dockerd", certificates, "-H", "tcp://127.0.0.1:4", "-H", "unix:///x.sock"}, "unix:///x.sock"},
		{[]string{"dockerd", certificates, "-H", "tcp://127.0.0.1:4"}, fallback},
	} {
		if got, err := readyTarget("", c.command); err != nil || got.String() != c.want {
			t.Errorf("%q: %s, %v, want %s", c.command, got, err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "report.json")
	if got := startedDaemon(path); got != nil {
		t.Errorf("without a report: %q", got)
	}
	if err := os.WriteFile(path, []byte(`{"daemon":["dockerd","-H","unix:///x.sock"],"steps":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := startedDaemon(path); len(got) != 3 {
		t.Errorf("with a report: %q", got)
	}
}
