// Command agree tries in a virtual machine whether what a check foretells is what happens: it hides one kernel module after the
// other, asks the check, and has the real dockerd start and run containers. It prints a line of JSON for each trial.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// trial is one module that is hidden, and what dockerd is told; outcome is what was foretold and what happened.
type trial struct {
	hide, variant string
	args          []string
}

type outcome struct {
	Hidden   string   `json:"hidden"`
	Variant  string   `json:"variant"`
	Args     []string `json:"args"`
	Verdict  string   `json:"verdict"`
	Fatal    []string `json:"fatal"`
	Degraded []string `json:"degraded"`
	// Starts, Runs and RunsAlone tell whether dockerd starts, and runs a container with and without a network.
	Starts    bool   `json:"starts"`
	Runs      bool   `json:"runs"`
	RunsAlone bool   `json:"runs_alone"`
	Driver    string `json:"driver"`
	Says      string `json:"says"`
	// Launch is what the launcher says where it is to start a daemon that looks at its configuration only, and Status how it ends.
	Launch  string `json:"launch"`
	Status  int    `json:"status"`
	Seconds float64
}

func main() {
	if len(os.Args) > 1 {
		os.Exit(42) // in a container
	}
	if err := run(); err != nil {
		fmt.Println("ERROR", err)
		os.Exit(1)
	}
}

func run() error {
	for _, m := range [][3]string{
		{"cgroup2", "/sys/fs/cgroup", "cgroup2"}, {"tmpfs", "/run", "tmpfs"}, {"tmpfs", "/data", "tmpfs"}, {"devpts", "/dev/pts", "devpts"}, {"tmpfs", "/dev/shm", "tmpfs"},
		{"mqueue", "/dev/mqueue", "mqueue"},
	} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m[0], m[1], m[2], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	containerd := exec.Command("/usr/bin/containerd", "--log-level", "error")
	if err := containerd.Start(); err != nil {
		return err
	}
	defer containerd.Process.Kill() //nolint:errcheck // the machine ends anyway
	base, err := loaded()
	if err != nil {
		return err
	}
	for _, t := range []trial{
		{"", "nft", nil},
		{"veth", "nft", nil}, {"overlay", "nft", nil}, {"bridge", "nft", nil}, {"nf_nat", "nft", nil}, {"xt_conntrack", "nft", nil},
		{"br_netfilter", "nft", nil}, {"br_netfilter", "nft", []string{"--icc=false"}},
		{"iptable_nat", "legacy", nil},
	} {
		begin := time.Now()
		o, err := try(t)
		if err != nil {
			return fmt.Errorf("%+v: %w", t, err)
		}
		o.Seconds = time.Since(begin).Seconds()
		line, err := json.Marshal(o)
		if err != nil {
			return err
		}
		fmt.Printf("OUTCOME %s\n", line)
		if err := unload(base); err != nil {
			return fmt.Errorf("after %+v: %w", t, err)
		}
	}
	return nil
}

func try(t trial) (*outcome, error) {
	o := &outcome{Hidden: t.hide, Variant: t.variant, Args: t.args}
	for _, name := range []string{"iptables", "ip6tables"} {
		link := "/usr/sbin/" + name
		if err := os.Remove(link); err != nil {
			return o, err
		}
		if err := os.Symlink("/usr/sbin/"+name+"-"+t.variant, link); err != nil {
			return o, err
		}
	}
	if t.hide != "" {
		back, err := hide(t.hide)
		if err != nil {
			return o, err
		}
		defer back()
	}
	data := "/data/usual"
	if t.hide == "overlay" {
		data = "/data/other" // where no driver is chosen yet
	}
	// What dockerd keeps of networks it could not make keeps the next from starting.
	if err := errors.Join(os.RemoveAll(data+"/network"), os.MkdirAll(data, 0o755)); err != nil {
		return o, err
	}
	if err := foretell(o, append([]string{"check", "--json", "--docker-version", "26.1.5", "--data-root", data, "--"}, t.args...)); err != nil {
		return o, err
	}
	if t.hide == "veth" {
		launch(o)
	}
	return o, happen(o, data)
}

// hide takes a module's file away, as if its package were not installed.
func hide(name string) (back func(), err error) {
	var file string
	err = filepath.WalkDir("/lib/modules/", func(path string, d fs.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), name+".ko") {
			file = path
		}
		return err
	})
	if err != nil || file == "" {
		return nil, fmt.Errorf("there is no module %s: %w", name, err)
	}
	away := "/data/" + name
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(away, data, 0o600), os.Remove(file)); err != nil {
		return nil, err
	}
	return func() {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			fmt.Println("ERROR", err)
		}
	}, nil
}

func foretell(o *outcome, args []string) error {
	var problems bytes.Buffer
	cmd := exec.Command("/usr/bin/dockerlaunch", args...)
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		return fmt.Errorf("%w: %s", err, problems.String())
	}
	var report struct {
		Verdict  string
		Findings []struct{ ID, Status, Severity string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return err
	}
	o.Verdict = report.Verdict
	for _, f := range report.Findings {
		switch bad := f.Status == "missing" || f.Status == "disabled"; {
		case bad && f.Severity == "fatal":
			o.Fatal = append(o.Fatal, f.ID)
		case bad && f.Severity == "degraded":
			o.Degraded = append(o.Degraded, f.ID)
		}
	}
	return nil
}

// launch has the launcher start a daemon, which it is to refuse.
func launch(o *outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/dockerlaunch", "/usr/bin/dockerd", "--validate")
	out, _ := cmd.CombinedOutput() // how it ended is its status
	o.Launch, o.Status = string(out), cmd.ProcessState.ExitCode()
}

// happen starts dockerd in a network namespace of its own, so that its rules and bridges go with it.
func happen(o *outcome, data string) error {
	var log bytes.Buffer
	daemon := exec.Command("/usr/bin/dockerd", append([]string{
		"--data-root", data, "--containerd", "/run/containerd/containerd.sock", "--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout", "3",
	}, o.Args...)...)
	daemon.Env = append(os.Environ(), "DOCKER_RAMDISK=true")
	daemon.Stdout, daemon.Stderr = &log, &log
	daemon.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := daemon.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	if o.Starts = answers(ended); o.Starts {
		if err := use(o); err != nil {
			return err
		}
		if err := daemon.Process.Signal(unix.SIGTERM); err != nil {
			return err
		}
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = daemon.Process.Kill() // it has had its time
			<-ended
		}
		return nil
	}
	text := strings.TrimSpace(log.String())
	o.Says = text[max(0, len(text)-600):]
	return nil
}

// answers waits until dockerd's API does, and is false where dockerd ends.
func answers(ended chan error) bool {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			return false
		default:
		}
		if call("GET", "/_ping", nil, nil) == nil {
			return true
		}
	}
	return false
}

// api is dockerd's, which costs a small part of what its client does on a machine that is emulated.
var api = http.Client{Timeout: time.Minute, Transport: &http.Transport{
	DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", "/run/docker.sock") }, DisableKeepAlives: true,
}}

// call is one call of the API.
func call(method, path string, body any, answer any) error {
	var text io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case io.Reader:
		text, kind = b, "application/x-tar"
	default:
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(data)
	}
	request, err := http.NewRequest(method, "http://docker"+path, text)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	response, err := api.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, data)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}

// use runs containers. The image is there already where the data-root is one of an earlier trial.
func use(o *outcome) error {
	if call("GET", "/images/agree/json", nil, nil) != nil {
		image, err := archive()
		if err != nil {
			return err
		}
		if err := call("POST", "/images/create?fromSrc=-&repo=agree", image, nil); err != nil {
			return err
		}
	}
	var info struct{ Driver string }
	if err := call("GET", "/info", nil, &info); err != nil {
		return err
	}
	o.Driver = info.Driver
	err := container("default")
	o.Runs, o.RunsAlone = err == nil, true
	if err != nil {
		o.Says = err.Error()
		o.RunsAlone = container("none") == nil
	}
	return nil
}

// container runs a container on a network, with a published port where that is one.
func container(network string) error {
	host := map[string]any{"NetworkMode": network}
	if network == "default" {
		host["PortBindings"] = map[string]any{"80/tcp": []any{map[string]string{"HostPort": "8080"}}}
	}
	var made struct{ ID string }
	if err := call("POST", "/containers/create", map[string]any{
		"Image": "agree", "Entrypoint": []string{"/agree"}, "Cmd": []string{"inside"}, "ExposedPorts": map[string]any{"80/tcp": map[string]any{}}, "HostConfig": host,
	}, &made); err != nil {
		return err
	}
	begun := call("POST", "/containers/"+made.ID+"/start", nil, nil)
	var end struct{ StatusCode int }
	if begun == nil {
		if begun = call("POST", "/containers/"+made.ID+"/wait", nil, &end); begun == nil && end.StatusCode != 42 {
			begun = fmt.Errorf("the container ended with %d", end.StatusCode)
		}
	}
	return errors.Join(begun, call("DELETE", "/containers/"+made.ID+"?force=1", nil, nil))
}

// archive packs this program for docker import.
func archive() (*bytes.Buffer, error) {
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "agree", Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	return &b, w.Close()
}

// loaded are the modules in the kernel.
func loaded() (map[string]bool, error) {
	data, err := os.ReadFile("/proc/modules")
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, " ")
		names[name] = true
	}
	return names, nil
}

// unload removes all modules but those of the beginning. Namespaces go a moment after their last process, and so do their uses.
func unload(base map[string]bool) error {
	// Volumes and layers keep overlay in use while they are mounted.
	deadline := time.Now().Add(20 * time.Second)
	for {
		now, err := loaded()
		if err != nil {
			return err
		}
		var left []string
		for name := range now {
			if !base[name] {
				left = append(left, name)
				_ = unix.DeleteModule(name, unix.O_NONBLOCK) // what is in use still is tried again
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still in use: %v", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
