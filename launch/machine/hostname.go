package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultHostname is the name of a machine that nobody named.
const DefaultHostname = "dockerlaunch"

// maxNodeName is what sethostname(2) takes, HOST_NAME_MAX of limits.h; maxName is the length of a whole name and maxLabel that
// of a part, by hostname(7).
const (
	maxNodeName = 64
	maxName     = 253
	maxLabel    = 63
)

// Name is a host name and its domain.
type Name struct {
	// Host is the first label: what the kernel is told.
	Host string `json:"host"`
	// Domain is the rest, perhaps empty: for /etc/hosts and the search list of resolv.conf. setdomainname(2) is not told:
	// that is the NIS domain, which containers would inherit.
	Domain string `json:"domain,omitempty"`
	// Source tells where the name comes from.
	Source string `json:"source"`
}

// FQDN is the name with its domain.
func (n Name) FQDN() string {
	if n.Domain == "" {
		return n.Host
	}
	return n.Host + "." + n.Domain
}

// ParseHostname checks a name by hostname(7): labels of letters, digits and hyphens, 63 at most, no hyphen at an end, 253
// characters in all. One dot at the end is taken off. Underscores are let through, as gethostbyname and others do: machines
// with such names are about.
func ParseHostname(text string) (Name, error) {
	text = strings.TrimSuffix(text, ".")
	if text == "" {
		return Name{}, errors.New("a host name may not be empty")
	}
	if len(text) > maxName {
		return Name{}, fmt.Errorf("the host name %q... is longer than %d characters", text[:40], maxName)
	}
	for label := range strings.SplitSeq(text, ".") {
		bad := strings.IndexFunc(label, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
		})
		switch {
		case label == "" || len(label) > maxLabel:
			return Name{}, fmt.Errorf("the host name %q has a part that is empty or longer than %d characters", text, maxLabel)
		case bad >= 0:
			return Name{}, fmt.Errorf("the host name %q has a character in it that is no letter, digit or hyphen", text)
		case label[0] == '-' || label[len(label)-1] == '-':
			return Name{}, fmt.Errorf("the host name %q has a part that begins or ends with a hyphen", text)
		}
	}
	host, domain, _ := strings.Cut(text, ".")
	return Name{Host: host, Domain: domain}, nil
}

// EtcHostname finds the name in a text of the form of /etc/hostname, by hostname(5): the first line that is neither empty nor
// a comment. It is "" where there is none.
func EtcHostname(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}

// Names are the host names that somebody has for this machine, "" where one has none.
type Names struct {
	Option string // the launcher's own option
	Etc    string // /etc/hostname
	DHCP   string // the server's
	Kernel string // what the kernel was told by hostname= or ip=, from uname(2)
}

// Choose takes the first that is valid, in the order of the fields, and else DefaultHostname. problems tell why others before
// it were not.
func (n Names) Choose() (name Name, problems []string) {
	for _, c := range []struct{ text, source string }{
		{n.Option, "the option hostname"},
		{n.Etc, "/etc/hostname"},
		{n.DHCP, "the DHCP server"},
		{n.Kernel, "the kernel"},
	} {
		switch c.text {
		case "", "(none)", "localhost", "localhost.localdomain":
			continue // nobody's name: what the kernel and images say who have none
		}
		name, err := ParseHostname(c.text)
		if err == nil {
			name.Source = c.source
			return name, problems
		}
		problems = append(problems, fmt.Sprintf("%s: %v: it is not used", c.source, err))
	}
	return Name{Host: DefaultHostname, Source: "the launcher"}, problems
}

// SetHostname tells the kernel the host name.
type SetHostname struct {
	Name Name
}

// String tells what Apply does.
func (h SetHostname) String() string {
	return fmt.Sprintf("set the host name %s (from %s)", h.Name.Host, h.Name.Source)
}

// Apply sets it.
func (h SetHostname) Apply(context.Context) (kept bool, err error) {
	now, err := nodeName()
	if err != nil {
		return false, err
	}
	if now == h.Name.Host {
		return true, nil
	}
	if len(h.Name.Host) > maxNodeName {
		return false, fmt.Errorf("the host name %s is longer than the %d characters that the kernel takes", h.Name.Host, maxNodeName)
	}
	if err := unix.Sethostname([]byte(h.Name.Host)); err != nil {
		return false, fmt.Errorf("sethostname(%s): %w", h.Name.Host, err)
	}
	return false, nil
}

func nodeName() (string, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	name, _, _ := bytes.Cut(uts.Nodename[:], []byte{0})
	return string(name), nil
}
