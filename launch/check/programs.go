package check

import (
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
)

// userSpaceFindings are those about user space beyond that the programs of package preflight are there. earlier are those about
// the kernel, by which the iptables variant works or not.
func userSpaceFindings(f *Facts, c kconfig.Conditions, earlier []finding.Finding) []finding.Finding {
	u := f.User
	dockerd := finding.Finding{ID: "program.dockerd", Area: finding.Program, Status: finding.OK, Severity: finding.Fatal, Note: u.Daemon}
	if u.Daemon == "" {
		dockerd.Status, dockerd.Note = finding.Missing, u.DaemonErr
		dockerd.Lost, dockerd.Fix = "the daemon itself", "install docker.io"
	} else if u.DockerText != "" {
		dockerd.Note += ", version " + u.DockerText
	}
	list := []finding.Finding{dockerd, variantFinding(u, c, earlier)}
	if u.Bundle != "" || u.BundleErr != "" {
		list = append(list, bundleFinding(u))
	}
	return append(list, extraFindings(u, c)...)
}

// variantFinding tells which iptables there is, and whether the kernel has what it needs.
func variantFinding(u UserSpace, c kconfig.Conditions, earlier []finding.Finding) finding.Finding {
	out := finding.Finding{ID: "program.iptables-variant", Area: finding.Program, Status: finding.OK, Severity: finding.Fatal}
	switch {
	case c.Firewall == kconfig.FirewallNone:
		out.Status, out.Note = finding.NotApplicable, "--iptables=false"
		return out
	case c.Firewall == kconfig.FirewallNFTables:
		out.Status, out.Note = finding.NotApplicable, "dockerd makes its rules with nftables"
		return out
	case u.IPTables == "":
		out.Status, out.Note = finding.NotApplicable, "there is no iptables"
		return out
	case c.Firewall == kconfig.FirewallUnknown:
		out.Status, out.Severity, out.Note = finding.Unknown, finding.Info, u.Goal+" does not tell its variant by its name"
		return out
	}
	out.Note = u.IPTables + " is iptables-" + string(c.Firewall)
	if v := iptablesVersion(u.IPTablesText); v != "" {
		out.Note += " " + v
		if r, ok := kconfig.ParseRelease(v); ok && before(r, 1, 4) {
			out.Status, out.Note = finding.Disabled, out.Note+", and Docker needs 1.4 or later"
			out.Lost, out.Fix = "bridge networking", "install a newer iptables"
			return out
		}
	}
	var lacking []string
	for _, f := range earlier {
		name, ok := strings.CutPrefix(f.ID, "kernel.CONFIG_")
		filter := strings.Contains(name, "NF_") || strings.HasPrefix(name, "NFT_") || strings.HasPrefix(name, "NETFILTER")
		if ok && filter && f.Bad() && f.Severity == finding.Fatal {
			lacking = append(lacking, name)
		}
	}
	if lacking == nil {
		out.Note += ", which this kernel serves"
		return out
	}
	other := "iptables-nft"
	if c.Firewall == kconfig.FirewallNFT {
		other = "iptables-legacy"
	}
	out.Status, out.Lost = finding.Disabled, "bridge networking"
	out.Note += ", and the kernel lacks what it needs: " + strings.Join(lacking, ", ")
	out.Fix = "mend the kernel, or take the other variant: update-alternatives --set iptables /usr/sbin/" + other
	return out
}

// iptablesVersion reads what `iptables --version` prints, "iptables v1.8.11 (nf_tables)".
func iptablesVersion(text string) string {
	_, rest, ok := strings.Cut(text, " v")
	if !ok {
		return ""
	}
	word, _, _ := strings.Cut(rest, " ")
	return strings.TrimSpace(word)
}

func bundleFinding(u UserSpace) finding.Finding {
	out := finding.Finding{ID: "program.ca-certificates-valid", Area: finding.Program, Status: finding.OK, Severity: finding.Degraded}
	r := u.Roots
	out.Note = u.Bundle + " has " + strconv.Itoa(r.Valid) + " certificates that are valid now, of " + strconv.Itoa(r.Total+r.Broken)
	if u.BundleErr == "" && r.Valid > 0 {
		return out
	}
	out.Status, out.Lost, out.Fix = finding.Disabled, "docker pull, push and login, for every registry with TLS", "install ca-certificates anew, and run update-ca-certificates"
	switch {
	case u.BundleErr != "":
		out.Note = u.BundleErr
	case r.Total == 0:
		out.Note = u.Bundle + " holds no certificate that can be read"
	case r.Early == r.Total:
		out.Note = "the clock says " + u.Now.UTC().Format("2006-01-02") + ", when no certificate of " + u.Bundle + " was valid yet"
		out.Fix = "set the clock"
	default:
		out.Note += "; the last of them ended on " + r.Until.Format("2006-01-02")
	}
	return out
}

// extra is a program that a single driver or mode uses.
type extra struct{ name, use, driver, pack string }

func extras() []extra {
	return []extra{
		{"zfs", "the storage driver zfs", "zfs", "zfsutils-linux"},
		{"fuse-overlayfs", "the storage driver fuse-overlayfs", "fuse-overlayfs", "fuse-overlayfs"},
		{"mkfs.xfs", "--storage-opt size= with devicemapper", "devicemapper", "xfsprogs"},
		{"mkfs.ext4", "formatting a data disk, and devicemapper", "devicemapper", "e2fsprogs"},
		{"newuidmap", "a rootless daemon", "", "uidmap"},
		{"slirp4netns", "a rootless daemon", "", "slirp4netns"},
	}
}

func extraFindings(u UserSpace, c kconfig.Conditions) []finding.Finding {
	var list []finding.Finding
	for _, x := range extras() {
		out := good("program."+x.name, finding.Program, u.Extra[x.name])
		if out.Note == "" {
			out.Status, out.Note = finding.NotApplicable, "only for "+x.use
			if x.driver != "" && x.driver == c.StorageDriver {
				out.Status, out.Severity, out.Lost = finding.Missing, finding.Degraded, x.use
				out.Note, out.Fix = x.name+" is missing", "install "+x.pack
			}
		}
		list = append(list, out)
	}
	return list
}
