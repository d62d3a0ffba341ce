package sandbox

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// A packet passes only where every chain of the forward hook lets it: Docker, ufw and others set the policy of FORWARD to
// DROP, and an accept in another table does not change that (nft(8), "accept"). So a sandbox with NAT also has rules in that
// very chain, whichever tool masquerades.

// forwardRules are what the host's FORWARD chain is given: what the sandbox sends, and answers to it. The veth alone names
// the sandbox: what others send to its subnet stays theirs to decide.
func (n *nat) forwardRules() [][]string {
	mark := []string{"-m", "comment", "--comment", n.Name, "-j", "ACCEPT"}
	return [][]string{
		append([]string{"-i", n.Link}, mark...),
		append([]string{"-o", n.Link, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"}, mark...),
	}
}

// acceptForwarding inserts the rules at the head of DOCKER-USER, which Docker keeps for others and goes through first
// (docs.docker.com, "Packet filtering and firewalls"), or of FORWARD where there is none.
func (n *nat) acceptForwarding(ctx context.Context) error {
	out, err := listFilter(ctx)
	if err != nil {
		return fmt.Errorf("listing iptables rules: %w", err)
	}
	for _, rule := range n.forwardRules() {
		if _, err := tool(ctx, "", "iptables", append([]string{"-w", "5", "-I", forwardChain(out)}, rule...)...); err != nil {
			return fmt.Errorf("letting the sandbox through the host's FORWARD chain: %w", err)
		}
	}
	return nil
}

// forwardChain chooses the chain from the rules. A DOCKER-USER that nothing jumps to, as a former Docker leaves it, is no use.
func forwardChain(rules string) string {
	for line := range strings.Lines(rules) {
		if strings.TrimSpace(line) == "-A FORWARD -j DOCKER-USER" {
			return "DOCKER-USER"
		}
	}
	return "FORWARD"
}

// listFilter lists the filter table as iptables-save does.
func listFilter(ctx context.Context) (string, error) {
	return tool(ctx, "", "iptables", "-w", "5", "-S")
}

// iptablesWorks says why the host's iptables program is of no use, or nil. One that is installed may still lack its tables
// in the kernel; then none of their rules drops anything either.
func iptablesWorks(ctx context.Context) error {
	if _, err := exec.LookPath("iptables"); err != nil {
		return err
	}
	_, err := listFilter(ctx)
	return err
}

// listForward finds the forward rules of all sandboxes by name, with what it takes to delete each.
func listForward(ctx context.Context) (map[string][][]string, error) {
	out, err := listFilter(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing iptables rules: %w", err)
	}
	return parseIPTables(out), nil
}

func removeForward(ctx context.Context, gone func(name string) bool) error {
	names, err := listForward(ctx)
	if err != nil {
		return err
	}
	for name, specs := range names {
		if !gone(name) {
			continue
		}
		for _, spec := range specs {
			if _, err := tool(ctx, "", "iptables", append([]string{"-w", "5", "-D"}, spec...)...); err != nil {
				return fmt.Errorf("removing a forward rule of a sandbox: %w", err)
			}
		}
	}
	return nil
}

// checkForward refuses NAT that the FORWARD chain would drop, where the rules that would let it through cannot be made. Another
// table's chain that drops may have rules that accept the sandbox, and is its author's to judge.
func checkForward(ctx context.Context, why error) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return nil // without nft as well there is no NAT at all
	}
	out, err := tool(ctx, "", "nft", "list", "chains")
	if err != nil {
		return fmt.Errorf("listing nft chains: %w", err)
	}
	for _, chain := range dropping(out) {
		if chain == "ip filter FORWARD" {
			return fmt.Errorf("the policy of the host's FORWARD chain (nft: %s) is drop, and the rules that let the sandbox through it "+
				"need iptables: %w: install iptables, or go without NAT", chain, why)
		}
	}
	return nil
}

// dropping finds the base chains of the forward hook whose policy is drop in what `nft list chains` prints.
func dropping(out string) []string {
	var found []string
	var table, chain string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 3 && f[0] == "table":
			table = f[1] + " " + f[2]
		case len(f) >= 2 && f[0] == "chain":
			chain = f[1]
		case len(f) > 0 && f[0] == "type" && strings.Contains(line, "hook forward ") && strings.Contains(line, "policy drop;"):
			found = append(found, table+" "+chain)
		}
	}
	return found
}
