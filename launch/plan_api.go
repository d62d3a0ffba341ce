package launch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
	"github.com/dockerlaunch/dockerlaunch/launch/sockets"
	"golang.org/x/sys/unix"
)

// The ports of the Docker API: without and with TLS (IANA).
const (
	plainHost = "tcp://0.0.0.0:2375"
	tlsHost   = "tcp://0.0.0.0:2376"
)

// Listen opens the sockets of the API. The descriptors stay with the launcher, which hands them to each daemon that it
// starts.
type Listen struct {
	Sockets []sockets.Socket `json:"sockets"`

	opened *[]int
}

// String tells what Apply does.
func (l Listen) String() string {
	names := make([]string, len(l.Sockets))
	for i, s := range l.Sockets {
		names[i] = s.Host
	}
	return "listen at " + strings.Join(names, " and ")
}

// Apply opens all sockets, or none.
func (l Listen) Apply(context.Context) (kept bool, err error) {
	var fds []int
	for _, s := range l.Sockets {
		fd, err := s.Open()
		if err != nil {
			for _, open := range fds {
				err = errors.Join(err, unix.Close(open))
			}
			return false, err
		}
		fds = append(fds, fd)
	}
	*l.opened = fds
	return false, nil
}

// StartContainerd starts the containerd that the daemon is going to use. Supervise does it; nobody else has such a step.
type StartContainerd struct {
	Containerd daemon.Containerd `json:"containerd"`
}

// String tells what Apply does.
func (s StartContainerd) String() string {
	return s.Containerd.Program + " " + strings.Join(s.Containerd.Args(), " ")
}

// Apply is the supervisor's to do.
func (s StartContainerd) Apply(context.Context) (kept bool, err error) {
	return false, errors.New("containerd is started by a supervisor alone")
}

// api plans where the daemon listens. With a supervisor the launcher opens the sockets, so that a client that comes early
// waits instead of being refused. Where the user names addresses himself, his words stand.
func (p *Plan) api(c Config, e daemon.Effective, f Facts) {
	if !e.Command.IsDockerd() {
		return
	}
	const why = "clients that come early wait for the daemon"
	if speaks, where := e.Speaks("host"); speaks {
		p.add(Step{Name: "sockets", Why: why, Verdict: Skip, Note: "dockerd opens what " + where + " names"})
		return
	}
	group := sockets.DefaultGroup
	if speaks, _ := e.Speaks("group"); speaks {
		group = e.Group()
	}
	p.hosts = c.hosts(e)
	list := make([]sockets.Socket, 0, len(p.hosts))
	for _, host := range p.hosts {
		s := sockets.Socket{Host: host}
		if strings.HasPrefix(host, "unix://") {
			s.Group, s.Groups = group, groupsToBe(f)
		}
		list = append(list, s)
	}
	if c.Exec {
		p.add(Step{Name: "sockets", Why: why, Verdict: Skip, Note: "with --exec dockerd opens them itself"})
		return
	}
	p.opened = new([]int)
	p.add(Step{Name: "sockets", Why: why, Required: true, Verdict: Do, Action: Listen{Sockets: list, opened: p.opened}})
}

// groupsToBe is what /etc/group is going to say, where it is missing.
func groupsToBe(f Facts) string {
	const path = "/etc/group"
	for _, file := range files.Expected(nil) {
		if file.Path == path && f.Files[path] == files.Absent {
			return file.Content
		}
	}
	return ""
}

// hosts are the addresses that the API is to have where the user names none with --host.
func (c Config) hosts(e daemon.Effective) []string {
	unixHost := daemon.DefaultHost
	if host := c.getenv("DOCKER_HOST"); strings.HasPrefix(host, "unix://") {
		unixHost = host
	}
	hosts := []string{unixHost}
	switch dir, set := c.lookupEnv("DOCKER_TLS_CERTDIR"); {
	case c.named():
		// Who names the daemon names its addresses: that is also how docker:dind's entrypoint has it.
	case c.securePort(e), dir == "" && e.TLS():
		hosts = append(hosts, tlsHost)
	case dir != "":
		// TLS was refused, and nobody asked for a port in the clear.
	case set:
		// Set and empty is how compose files and CI jobs ask for the port without TLS in so many words. Where the variable is
		// not set at all nobody asked, and no port is opened.
		hosts = append(hosts, plainHost)
	}
	return hosts
}

// securePort tells whether the API gets the port where clients are known by their certificates, which are the launcher's or the
// user's own. As with docker:dind's entrypoint it is --tlsverify that dockerd gets, unless the user says something of it.
func (c Config) securePort(e daemon.Effective) bool {
	refused, _ := e.RefusesTLS()
	return c.getenv("DOCKER_TLS_CERTDIR") != "" && e.Command.IsDockerd() && !c.named() && !refused
}

// named tells whether the user says which program the daemon is.
func (c Config) named() bool { return len(c.Daemon) > 0 && !strings.HasPrefix(c.Daemon[0], "-") }

// containerd plans the containerd that runs beside the daemon.
func (p *Plan) containerd(c Config, e daemon.Effective, f Facts) {
	if !e.Command.IsDockerd() || c.Exec {
		return
	}
	s := Step{Name: "containerd", Why: "with one that is up already dockerd is ready sooner, and stops a second sooner"}
	managed := e.ManagedContainerd(f.Programs["containerd"])
	spoken, where := e.Speaks("containerd")
	switch {
	case e.EmbeddedContainerd():
		s.Verdict, s.Note = Skip, "dockerd has one inside of itself, by the feature embedded-containerd"
	case e.ContainerdAddress() != "":
		s.Verdict, s.Note = Skip, "the one at "+e.ContainerdAddress()+" is used"
	case f.ContainerdRuns:
		s.Verdict, s.Note = Skip, "the one at "+daemon.SystemContainerd+" is used"
	case managed.Program == "":
		s.Verdict, s.Note = Skip, "there is none"
	case spoken:
		// dockerd cannot be told of another one beside that, and would take its socket away.
		s.Verdict, s.Note = Skip, "dockerd starts its own, as "+where+" is empty"
	case !filepath.IsAbs(managed.Root) || !filepath.IsAbs(managed.State):
		s.Verdict, s.Note = Skip, "dockerd starts its own, as the data-root or the exec-root is a relative path"
	case f.Daemon.ContainerdAnswers:
		s.Verdict, s.Note = Keep, "the one that an earlier launch left running is used"
		p.containerdAddress = managed.Address
	default:
		p.Containerd, p.containerdAddress = &managed, managed.Address
		p.add(Step{Name: "containerd's configuration", Why: s.Why, Required: true, Verdict: Do, Action: managed})
		s.Required, s.Verdict, s.Action = true, Do, StartContainerd{managed}
	}
	p.add(s)
}

// wantsCertificates returns the folder of the certificates that the API is to have; "" where nobody asks for any, or the
// user names his own.
func (c Config) wantsCertificates(e daemon.Effective) (dir string, note string) {
	dir = c.getenv("DOCKER_TLS_CERTDIR")
	if dir == "" || !e.Command.IsDockerd() || c.named() {
		return "", ""
	}
	if own, where := e.OwnCertificates(); own {
		return "", "those that " + where + " names are used"
	}
	if refused, where := e.RefusesTLS(); refused {
		return "", where + " says --tls=false, which DOCKER_TLS_CERTDIR contradicts: no port is opened. Leave out one of the two"
	}
	return dir, ""
}

// observeCertificates looks at what is there of them.
func observeCertificates(c Config, e daemon.Effective, f network.Facts) CertificateFacts {
	dir, _ := c.wantsCertificates(e)
	if dir == "" {
		return CertificateFacts{}
	}
	plan, err := planCertificates(c, dir, f)
	return CertificateFacts{Plan: plan, Err: err}
}

// planCertificates looks at those below a folder, for the names and addresses that there are now.
func planCertificates(c Config, dir string, f network.Facts) (*certs.Plan, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("asking for the host name, for the certificates: %w", err)
	}
	var addresses []netip.Addr
	for _, a := range f.Addresses {
		// A client cannot name a link-local one without an interface of its own, and it changes with the network card.
		if addr := a.Prefix.Addr(); !addr.IsLinkLocalUnicast() {
			addresses = append(addresses, addr)
		}
	}
	wanted, err := certs.NewWanted(name, addresses, c.getenv(certs.SANVar))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certs.SANVar, err)
	}
	return certs.NewPlan(dir, wanted, time.Now())
}

// certificates plans what TLS needs.
func (p *Plan) certificates(c Config, e daemon.Effective, f Facts) {
	const why = "clients on the network are known by their certificates"
	dir, note := c.wantsCertificates(e)
	if dir == "" {
		if note != "" {
			verdict := Skip
			if !c.securePort(e) {
				verdict = Warn
			}
			p.add(Step{Name: "certificates", Why: why, Verdict: verdict, Note: note})
		}
		return
	}
	s := Step{Name: "certificates", Why: why, Required: true, Verdict: Do}
	switch plan := f.Certificates.Plan; {
	case f.Certificates.Err != nil:
		s.Verdict, s.Note = Refuse, f.Certificates.Err.Error()
	case plan == nil:
		s.Verdict, s.Note = Refuse, "the certificates below "+dir+" were not looked at"
	default:
		p.tlsDir, s.Action = dir, plan
		if !slices.ContainsFunc(plan.Actions, func(a certs.Action) bool { return a.Verb == certs.Make }) {
			s.Verdict, s.Action, s.Note = Keep, nil, "those below "+dir+" are valid and fit"
		}
		for i, finding := range plan.Findings {
			found := Step{Name: fmt.Sprintf("certificates, problem %d", i+1), Why: why, Verdict: Warn, Note: finding.String()}
			if finding.Fatal {
				found.Verdict, found.Required = Refuse, true
			}
			p.add(found)
		}
	}
	p.add(s)
}
