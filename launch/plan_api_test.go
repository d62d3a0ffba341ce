package launch

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
)

// flag returns the value of a flag that the launcher adds, "" where it adds none.
func flags(p *Plan, name string) []string {
	var values []string
	for _, arg := range p.Command.Args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// addedFlags are the values of an option that the plan adds to what the user says.
func addedFlags(p *Plan, name string) []string {
	var values []string
	for _, a := range p.Command.Added {
		if value, ok := strings.CutPrefix(a.Arg, "--"+name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

func step(t *testing.T, p *Plan, name string) Step {
	t.Helper()
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no step %q", name)
	}
	return p.Steps[i]
}

// TestWhereTheAPIIs: the rules of docker:dind's entrypoint, but that no port is opened which nobody asked for.
func TestWhereTheAPIIs(t *testing.T) {
	const unixHost = "unix:///var/run/docker.sock"
	for name, c := range map[string]struct {
		daemon []string
		env    []string
		opens  []string // by the launcher
		passes []string // --host for dockerd, with a supervisor and with --exec
		exec   []string
	}{
		"nothing said":                      {nil, nil, []string{unixHost}, []string{"fd://"}, nil},
		"flags for dockerd":                 {[]string{"-s", "overlay2"}, nil, []string{unixHost}, []string{"fd://"}, nil},
		"a socket by DOCKER_HOST":           {nil, []string{"DOCKER_HOST=unix:///x.sock"}, []string{"unix:///x.sock"}, []string{"fd://"}, []string{"unix:///x.sock"}},
		"a DOCKER_HOST for clients":         {nil, []string{"DOCKER_HOST=tcp://docker:2376"}, []string{unixHost}, []string{"fd://"}, nil},
		"a folder of certificates":          {nil, []string{"DOCKER_TLS_CERTDIR=/certs"}, []string{unixHost, tlsHost}, []string{"fd://"}, []string{unixHost, tlsHost}},
		"TLS on, and certificates":          {[]string{"--tls"}, []string{"DOCKER_TLS_CERTDIR=/certs"}, []string{unixHost, tlsHost}, []string{"fd://"}, []string{unixHost, tlsHost}},
		"TLS refused, and certificates":     {[]string{"--tls=false"}, []string{"DOCKER_TLS_CERTDIR=/certs"}, []string{unixHost}, []string{"fd://"}, nil},
		"certificates of the user's":        {[]string{"--tlscert=/my.pem"}, []string{"DOCKER_TLS_CERTDIR=/certs"}, []string{unixHost, tlsHost}, []string{"fd://"}, []string{unixHost, tlsHost}},
		"any client, by the user":           {[]string{"--tlsverify=false"}, []string{"DOCKER_TLS_CERTDIR=/certs"}, []string{unixHost, tlsHost}, []string{"fd://"}, []string{unixHost, tlsHost}},
		"TLS switched off in so many words": {nil, []string{"DOCKER_TLS_CERTDIR="}, []string{unixHost, plainHost}, []string{"fd://"}, []string{unixHost, plainHost}},
		"dockerd named, and certificates":   {[]string{"dockerd"}, []string{"DOCKER_TLS_CERTDIR=/certs"}, []string{unixHost}, []string{"fd://"}, nil},
		"addresses by the user":             {[]string{"dockerd", "-H", "tcp://1.2.3.4:5"}, []string{"DOCKER_TLS_CERTDIR=/certs"}, nil, nil, nil},
		"another daemon":                    {[]string{"/opt/other"}, nil, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			config := Config{Daemon: c.daemon, Environ: environ(c.env...)}
			p := planned(t, config, prepared())
			var opens []string
			for _, s := range p.Steps {
				if l, ok := s.Action.(Listen); ok {
					for _, socket := range l.Sockets {
						opens = append(opens, socket.Host)
						if unix := strings.HasPrefix(socket.Host, "unix"); unix != (socket.Group == "docker") {
							t.Errorf("%s belongs to the group %q", socket.Host, socket.Group)
						}
					}
				}
			}
			if !slices.Equal(opens, c.opens) {
				t.Errorf("opens %q, want %q", opens, c.opens)
			}
			if got := flags(p, "host"); !slices.Equal(got, c.passes) {
				t.Errorf("dockerd gets --host %q, want %q", got, c.passes)
			}
			config.Exec = true
			if got := flags(planned(t, config, prepared()), "host"); !slices.Equal(got, c.exec) {
				t.Errorf("with --exec dockerd gets --host %q, want %q", got, c.exec)
			}
		})
	}
}

// TestNoPortInTheClear: with a folder of certificates no port is open to clients without one, whatever else is said of TLS, but
// for --tlsverify=false.
func TestNoPortInTheClear(t *testing.T) {
	for name, c := range map[string]struct {
		daemon []string
		file   string
		ca     string // of the launcher's making
		verify bool   // --tlsverify is added
		port   bool
	}{
		"asked for":                      {nil, "", "/certs/server/ca.pem", true, true},
		"with --tls":                     {[]string{"--tls"}, "", "/certs/server/ca.pem", true, true},
		"with --tls=false":               {[]string{"--tls=false"}, "", "", false, false},
		"with tls false in the file":     {nil, `{"tls": false}`, "", false, false},
		"with tls true in the file":      {nil, `{"tls": true}`, "/certs/server/ca.pem", true, true},
		"the user's own":                 {[]string{"--tlscert=/my.pem"}, "", "", true, true},
		"the user's own, not to be used": {[]string{"--tlscert=/my.pem", "--tls=false"}, "", "", false, false},
		"the user's own in the file":     {nil, `{"tlscert": "/my.pem"}`, "", true, true},
		"all of it the user's":           {[]string{"--tlsverify", "--tlscacert=/a", "--tlscert=/b", "--tlskey=/c"}, "", "", false, true},
		"any client":                     {[]string{"--tlsverify=false"}, "", "", false, true},
		"dockerd by name":                {[]string{"dockerd"}, "", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			if c.file != "" {
				var err error
				if f.Daemon.Config, err = daemon.ReadConfig(strings.NewReader(c.file)); err != nil {
					t.Fatal(err)
				}
			}
			f.Certificates.Plan = &certs.Plan{Dir: "/certs", Actions: []certs.Action{{Part: "ca", Verb: certs.Make}}}
			for _, exec := range []bool{false, true} {
				p := planned(t, Config{Daemon: c.daemon, Environ: environ("DOCKER_TLS_CERTDIR=/certs"), Exec: exec}, f)
				if got := strings.Join(addedFlags(p, "tlscacert"), " "); got != c.ca {
					t.Errorf("--tlscacert %q, want %q", got, c.ca)
				}
				if verify := len(addedFlags(p, "tlsverify")) > 0; verify != c.verify {
					t.Errorf("--tlsverify is added: %v", verify)
				}
				if off := addedFlags(p, "tls"); len(off) > 0 {
					t.Errorf("--tls=%v is added", off)
				}
				if port := slices.Contains(p.hosts, tlsHost); port != c.port {
					t.Errorf("the port is open: %v", port)
				}
				if slices.Contains(p.hosts, plainHost) {
					t.Error("a port is open in the clear")
				}
			}
		})
	}
	for _, env := range []string{"X=y", "DOCKER_TLS_CERTDIR="} {
		if p := planned(t, Config{Environ: environ(env)}, prepared()); len(addedFlags(p, "tlscacert"))+len(addedFlags(p, "tlsverify")) > 0 {
			t.Errorf("%s: dockerd gets %q", env, p.Command.Args)
		}
	}
}

// TestPlainPortDoesNotWait: dockerd sleeps before it opens a port without TLS, unless told --tls=false.
func TestPlainPortDoesNotWait(t *testing.T) {
	c := Config{Environ: environ("DOCKER_TLS_CERTDIR="), Exec: true}
	if got := flags(planned(t, c, prepared()), "tls"); !slices.Equal(got, []string{"false"}) {
		t.Errorf("--tls is %q", got)
	}
}

func TestContainerdBeforehand(t *testing.T) {
	const managed = "/var/run/docker/containerd/containerd.sock"
	for name, c := range map[string]struct {
		config  Config
		change  func(*Facts)
		started bool
		address string
	}{
		"started":                     {Config{}, func(*Facts) {}, true, managed},
		"with another exec-root":      {Config{Daemon: []string{"--exec-root=/e"}}, func(*Facts) {}, true, "/e/containerd/containerd.sock"},
		"the user's own":              {Config{Daemon: []string{"--containerd=/mine.sock"}}, func(*Facts) {}, false, ""},
		"the system's":                {Config{}, func(f *Facts) { f.ContainerdRuns = true }, false, ""},
		"left running":                {Config{}, func(f *Facts) { f.Daemon.ContainerdAnswers = true }, false, managed},
		"--exec":                      {Config{Exec: true}, func(*Facts) {}, false, ""},
		"relative data-root":          {Config{Daemon: []string{"--data-root=x"}}, func(*Facts) {}, false, ""},
		"missing":                     {Config{}, func(f *Facts) { delete(f.Programs, "containerd") }, false, ""},
		"the user's own, by the file": {Config{}, func(f *Facts) { f.Daemon.Config = readConfig(t, `{"containerd": "/mine.sock"}`) }, false, ""},
		"inside of dockerd": {
			Config{Daemon: []string{"--feature=embedded-containerd"}}, func(f *Facts) {
				f.Daemon.Version = daemon.Version{Major: 29, Minor: 7}
				delete(f.Programs, "containerd")
			}, false, "",
		},
		"inside of dockerd, by the file": {Config{}, func(f *Facts) { f.Daemon.Config = readConfig(t, `{"features": {"embedded-containerd": true}}`) }, false, ""},
		"an empty address":               {Config{Daemon: []string{"--containerd="}}, func(*Facts) {}, false, ""},
		"an empty address in the file":   {Config{}, func(f *Facts) { f.Daemon.Config = readConfig(t, `{"containerd": ""}`) }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			c.change(&f)
			c.config.Environ = environ()
			p := planned(t, c.config, f)
			if started := p.Containerd != nil; started != c.started {
				t.Errorf("started: %v", started)
			}
			var want []string
			if c.address != "" {
				want = []string{c.address}
			}
			var got []string
			for _, a := range p.Command.Added {
				if value, ok := strings.CutPrefix(a.Arg, "--containerd="); ok {
					got = append(got, value)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("adds --containerd %q, want %q", got, want)
			}
			if s := step(t, p, "program containerd"); s.Verdict == Refuse != (name == "missing") {
				t.Errorf("%+v", s)
			}
		})
	}
	// It asks for overlay when it starts, and waits for the modules where that is not in the kernel by then.
	for _, overlay := range []bool{false, true} {
		f := prepared()
		f.Modules = map[string]bool{"overlay": overlay}
		p := planned(t, Config{}, f)
		if lane := step(t, p, "containerd").Lane; lane != LaneContainerd {
			t.Errorf("containerd starts in the lane %s", lane)
		}
		after := []Lane{LaneSystem}
		if !overlay {
			after = append(after, LaneModules)
		}
		for _, l := range p.Lanes() {
			if l.Name == LaneContainerd && !slices.Equal(l.After, after) {
				t.Errorf("overlay is there: %v; containerd waits for %v", overlay, l.After)
			}
		}
	}
}

// TestBridgeByNameAndAddress: dockerd refuses --bridge and --bip together, so the launcher makes the bridge.
func TestBridgeByNameAndAddress(t *testing.T) {
	p := planned(t, Config{Daemon: []string{"dockerd", "-b", "mine", "--bip", "10.9.0.1/24", "--mtu=1400", "-D"}}, prepared())
	s := step(t, p, "bridge mine")
	if s.Verdict != Do || s.Does != "make bridge mine with address 10.9.0.1/24 and MTU 1400" {
		t.Errorf("%+v", s)
	}
	if slices.ContainsFunc(p.Command.Args, func(arg string) bool { return strings.Contains(arg, "10.9.0.1") || strings.HasPrefix(arg, "--bip") }) {
		t.Errorf("dockerd gets %q", p.Command.Args)
	}
	if !slices.Contains(p.Command.Args, "-b") || !slices.Contains(p.Command.Args, "-D") {
		t.Errorf("dockerd gets %q", p.Command.Args)
	}
	for _, bip := range []string{"nonsense", "10.9.0.0/24", "10.9.0.1"} {
		p := planned(t, Config{Daemon: []string{"dockerd", "-b", "mine", "--bip", bip}}, prepared())
		if s := step(t, p, "bridge mine"); s.Verdict != Refuse || !strings.Contains(s.Note, bip) {
			t.Errorf("%s: %+v", bip, s)
		}
	}
}
