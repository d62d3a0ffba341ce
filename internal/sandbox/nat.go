package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

const ipForward = "/proc/sys/net/ipv4/ip_forward"

// nat lets a sandbox out: one masquerade rule, IPv4 forwarding, and rules that accept what is forwarded.
type nat struct {
	// Name marks the rule: an nft table, or the comment of an iptables rule. It ends in what forwarding was before, so that a
	// later sandbox can restore it after this one's owner was killed.
	Name   string
	Tool   string // "nft" or "iptables"
	Subnet netip.Prefix
	Link   string // the host's end of the veth pair
	Filter bool   // the host's iptables works, so that forward rules are made
}

// newNAT chooses the tool; it changes nothing.
func newNAT(ctx context.Context, o owner, v *veth) (*nat, error) {
	n := &nat{Subnet: v.Subnet, Link: v.Name}
	for _, tool := range []string{"iptables", "nft"} {
		if _, err := exec.LookPath(tool); err == nil {
			n.Tool = tool
		}
	}
	if n.Tool == "" {
		return nil, errors.New("NAT needs nft or iptables on the host, and neither is in PATH: install one, or go without NAT")
	}
	b, err := os.ReadFile(ipForward)
	if err != nil {
		return nil, fmt.Errorf("finding out whether the host forwards: %w", err)
	}
	was := strings.TrimSpace(string(b))
	names, err := listNAT(ctx, n.Tool)
	if err != nil {
		return nil, err
	}
	for name := range names {
		// Another sandbox turned it on: whoever goes last turns it off.
		if _, before, _ := parseNAT(name); before == "0" {
			was = "0"
		}
	}
	n.Name = o.String() + "-" + was
	why := iptablesWorks(ctx)
	if n.Filter = why == nil; !n.Filter {
		if err := checkForward(ctx, why); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// table is the nft table's name: a dash is no letter of an nft identifier.
func (n *nat) table() string { return strings.ReplaceAll(n.Name, "-", "_") }

// create adds the rules and turns forwarding on.
func (n *nat) create(ctx context.Context) error {
	var err error
	if n.Tool == "nft" {
		_, err = tool(ctx, n.ruleset(), "nft", "-f", "-")
	} else {
		_, err = tool(ctx, "", "iptables", append([]string{"-w", "5", "-t", "nat", "-A"}, n.rule()...)...)
	}
	if err != nil {
		return fmt.Errorf("masquerading the sandbox: %w", err)
	}
	if n.Filter {
		if err := n.acceptForwarding(ctx); err != nil {
			return err
		}
	}
	if err := os.WriteFile(ipForward, []byte("1"), 0); err != nil {
		return fmt.Errorf("turning on forwarding: %w", err)
	}
	return nil
}

func (n *nat) ruleset() string {
	return fmt.Sprintf(`table ip %s {
	chain postrouting {
		type nat hook postrouting priority 100; policy accept;
		ip saddr %s oifname != "%s" masquerade
	}
}
`, n.table(), n.Subnet, n.Link)
}

func (n *nat) rule() []string {
	return []string{"POSTROUTING", "-s", n.Subnet.String(), "!", "-o", n.Link, "-m", "comment", "--comment", n.Name, "-j", "MASQUERADE"}
}

// remove takes the rules away, and forwarding where this sandbox turned it on and no other one needs it.
func (n *nat) remove(ctx context.Context) error {
	return n.removeWhere(ctx, func(name string) bool { return name == n.Name })
}

// removeWhere tries both kinds of rules, as one that cannot be removed does not excuse the other.
func (n *nat) removeWhere(ctx context.Context, gone func(name string) bool) error {
	var err error
	if n.Filter {
		err = removeForward(ctx, gone)
	}
	return errors.Join(err, removeNAT(ctx, n.Tool, gone))
}

// collect removes the rules whose owner has ended. It is called only where NAT is asked for: merely listing rules makes
// the legacy iptables load its modules.
func (n *nat) collect(ctx context.Context, pidns uint64) error {
	return n.removeWhere(ctx, func(name string) bool {
		o, _, ok := parseNAT(name)
		return ok && o.dead(pidns)
	})
}

// parseNAT takes a nat's name apart into its owner and what forwarding was.
func parseNAT(name string) (owner, string, bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return owner{}, "", false
	}
	o, ok := parseOwner(name[:i])
	return o, name[i+1:], ok
}

func removeNAT(ctx context.Context, program string, gone func(name string) bool) error {
	names, err := listNAT(ctx, program)
	if err != nil {
		return err
	}
	var restore string
	others := false
	for name, specs := range names {
		if !gone(name) {
			others = true
			continue
		}
		for _, spec := range specs {
			if program == "nft" {
				_, err = tool(ctx, "", "nft", "delete", "table", "ip", spec[0])
			} else {
				_, err = tool(ctx, "", "iptables", append([]string{"-w", "5", "-t", "nat", "-D"}, spec...)...)
			}
			if err != nil {
				return fmt.Errorf("removing the masquerade rule of a sandbox: %w", err)
			}
		}
		if _, was, ok := parseNAT(name); ok && was == "0" {
			restore = was
		}
	}
	if restore == "" || others {
		return nil
	}
	if err := os.WriteFile(ipForward, []byte(restore), 0); err != nil {
		return fmt.Errorf("turning forwarding off again: %w", err)
	}
	return nil
}

// listNAT finds the rules of all sandboxes by name, with what it takes to delete each.
func listNAT(ctx context.Context, program string) (map[string][][]string, error) {
	if program == "nft" {
		out, err := tool(ctx, "", "nft", "list", "tables", "ip")
		if err != nil {
			return nil, fmt.Errorf("listing nft tables: %w", err)
		}
		return parseNFT(out), nil
	}
	out, err := tool(ctx, "", "iptables", "-w", "5", "-t", "nat", "-S", "POSTROUTING")
	if err != nil {
		return nil, fmt.Errorf("listing iptables rules: %w", err)
	}
	return parseIPTables(out), nil
}

// parseNFT reads lines like "table ip NAME".
func parseNFT(out string) map[string][][]string {
	found := map[string][][]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "table" {
			continue
		}
		name := strings.ReplaceAll(f[2], "_", "-")
		if _, _, ok := parseNAT(name); ok {
			found[name] = [][]string{{f[2]}}
		}
	}
	return found
}

// parseIPTables reads lines like "-A POSTROUTING ... --comment NAME -j MASQUERADE", of which a name may have several.
func parseIPTables(out string) map[string][][]string {
	found := map[string][][]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		for i := 1; i < len(f); i++ {
			if f[i-1] != "--comment" || f[0] != "-A" {
				continue
			}
			name := strings.Trim(f[i], `"`)
			if _, _, ok := parseNAT(name); ok {
				f[i] = name
				found[name] = append(found[name], f[1:])
			}
		}
	}
	return found
}

// tool runs a program of the host and returns its output; the error has what it said.
func tool(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}
