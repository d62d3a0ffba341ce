// Package resolv reads and writes resolv.conf(5), and decides which resolver the containers of a Docker that itself runs in a
// container can use.
package resolv

import (
	"bufio"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Path is where every resolver looks.
const Path = "/etc/resolv.conf"

// maxSize bounds what is read of a resolv.conf, in bytes.
const maxSize = 64 << 10

// Config is the content of a resolv.conf, as far as it is understood.
type Config struct {
	Nameservers []netip.Addr `json:"nameservers,omitempty"`
	Search      []string     `json:"search,omitempty"`
	Options     []string     `json:"options,omitempty"`
	// Outer are the name servers behind 127.0.0.11, which Docker since 25 notes in a comment
	// ("# ExtServers: [host(192.168.1.1)]", moby daemon/libnetwork/internal/resolvconf).
	Outer []Server `json:"outer,omitempty"`
	// Invalid are the addresses of nameserver lines that are none.
	Invalid []string `json:"invalid,omitempty"`
	// Ours tells that the launcher made the file.
	Ours bool `json:"ours,omitempty"`
}

// Server is a name server behind Docker's own.
type Server struct {
	Addr netip.Addr `json:"addr"`
	// Host tells that the outer Docker asks it from the host's network namespace.
	Host bool `json:"host,omitempty"`
}

// marker in the comment that a file begins with makes it ours. That of package launch/files, for a file without name
// servers, has it too.
const marker = "dockerlaunch made this file"

// Parse reads a resolv.conf. Lines that are not understood are skipped, as resolvers do; the error is the reader's.
func Parse(r io.Reader) (Config, error) {
	var c Config
	text, err := io.ReadAll(io.LimitReader(r, maxSize))
	if err != nil {
		return c, err
	}
	c.Ours = isOurs(string(text))
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	lines.Buffer(nil, maxSize+1)
	for lines.Scan() {
		c.line(lines.Text())
	}
	return c, lines.Err()
}

func (c *Config) line(line string) {
	if rest, ok := strings.CutPrefix(line, "# ExtServers:"); ok {
		c.outer(rest)
		return
	}
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return
	}
	switch fields[0] {
	case "nameserver":
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			c.Nameservers = append(c.Nameservers, addr.Unmap())
		} else {
			c.Invalid = append(c.Invalid, fields[1])
		}
	case "search", "domain":
		c.Search = slices.Clone(fields[1:]) // the last one counts
	case "options":
		c.Options = append(c.Options, fields[1:]...)
	}
}

func (c *Config) outer(list string) {
	for _, word := range strings.Fields(strings.Trim(strings.TrimSpace(list), "[]")) {
		inside, host := strings.CutPrefix(word, "host(")
		if addr, err := netip.ParseAddr(strings.TrimSuffix(inside, ")")); err == nil {
			c.Outer = append(c.Outer, Server{addr.Unmap(), host})
		}
	}
}

// Text is the content of a resolv.conf that is ours. Resolvers use the first three name servers (MAXNS); the others are
// written too, as Docker takes all.
func (c Config) Text() string {
	var b strings.Builder
	b.WriteString("# " + marker + " and keeps it up to date. Take this line out and it is yours.\n")
	for _, addr := range c.Nameservers {
		b.WriteString("nameserver " + addr.String() + "\n")
	}
	if len(c.Search) > 0 {
		b.WriteString("search " + strings.Join(c.Search, " ") + "\n")
	}
	if len(c.Options) > 0 {
		b.WriteString("options " + strings.Join(c.Options, " ") + "\n")
	}
	return b.String()
}

// isOurs tells whether a content may be replaced: it is empty, or begins with a comment of the launcher.
func isOurs(text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(text) == "" || strings.HasPrefix(first, "#") && strings.Contains(first, marker)
}
