package check

import (
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
)

// userSpace adds what is to be said of user space beyond that the programs of package preflight are there.
func (b *book) userSpace(r *Request, f *Facts, c *kconfig.Conditions) {
	u := &f.User
	how, note := ok, u.Daemon
	if u.Daemon == "" {
		how, note = missingFatal, u.DaemonErr
	} else if u.DockerText != "" {
		note += ", version " + u.DockerText
	}
	b.add("program.dockerd", how, note, "the daemon itself", "install docker.io")
	b.variant(r, u, c)
	if u.Bundle != "" {
		b.bundle(u)
	}
	for i := range extras {
		x := &extras[i]
		switch where := u.Extra[x.name]; {
		case where != "":
			b.add("program."+x.name, ok, where, "", "")
		case x.driver != "" && x.driver == c.StorageDriver:
			b.add("program."+x.name, missingLost, "", x.use, "install "+x.pack)
		default:
			b.add("program."+x.name, needless, "only for "+x.use, "", "")
		}
	}
	for i := range oldest {
		o := &oldest[i]
		have, ok := kconfig.ParseRelease(u.Versions[o.pack])
		if ok && before(have, o.major, o.minor) {
			b.add("program."+o.program+"-version", offLost, "version "+u.Versions[o.pack]+" is too old", o.lost, "install a newer "+o.pack)
		}
	}
}

// variant tells which iptables there is, and whether the kernel has what it needs.
func (b *book) variant(r *Request, u *UserSpace, c *kconfig.Conditions) {
	const id = "program.iptables-variant"
	switch {
	case c.Firewall == kconfig.FirewallNone || c.Firewall == kconfig.FirewallNFTables:
		b.add(id, needless, "dockerd does not call iptables", "", "")
		return
	case u.IPTables == "":
		b.add(id, needless, "there is no iptables", "", "")
		return
	case r.Variant == AnyVariant:
		b.add(id, ok, "both variants are there, and the launcher takes the one that the kernel knows", "", "")
		return
	case c.Firewall == kconfig.FirewallUnknown:
		b.add(id, unknown, u.Goal+" does not tell its variant by its name", "", "")
		return
	}
	note := u.IPTables + " is iptables-" + string(c.Firewall)
	lacking := ""
	for i := range b.list {
		f := &b.list[i]
		name, ok := strings.CutPrefix(f.ID, "kernel.CONFIG_")
		if ok && f.Bad() && string(f.Severity) == fatally && (strings.Contains(name, "NF_") || strings.HasPrefix(name, "NFT_") || strings.HasPrefix(name, "NETFILTER")) {
			lacking += " " + name
		}
	}
	if lacking == "" {
		b.add(id, ok, note+", which this kernel serves", "", "")
		return
	}
	other := "nft"
	if c.Firewall == kconfig.FirewallNFT {
		other = "legacy"
	}
	b.add(id, offFatal, note+", and the kernel lacks what it needs:"+lacking, "bridge networking",
		"mend the kernel, or take the other variant: update-alternatives --set iptables /usr/sbin/iptables-"+other)
}

func (b *book) bundle(u *UserSpace) {
	r := &u.Roots
	how, note := offLost, u.Bundle+" has "+strconv.Itoa(r.Valid)+" certificates that are valid now, of "+strconv.Itoa(r.Total+r.Broken)
	fix := "install ca-certificates anew"
	switch {
	case u.BundleErr != "":
		note = u.BundleErr
	case r.Valid > 0:
		how = ok
	case r.Early > 0 && r.Early == r.Total:
		note += ": the clock says " + u.Now.UTC().Format("2006-01-02")
		fix = "set the clock"
	case r.Total > 0:
		note += ": the last of them ended on " + r.Until.Format("2006-01-02")
	}
	b.add("program.ca-certificates-valid", how, note, "docker pull, push and login, for every registry with TLS", fix)
}

// extra is a program that a single driver or mode uses.
type extra struct{ name, use, driver, pack string }

var extras = [...]extra{
	{"zfs", "the storage driver zfs", "zfs", "zfsutils-linux"},
	{"fuse-overlayfs", "the storage driver fuse-overlayfs", "fuse-overlayfs", "fuse-overlayfs"},
	{"mkfs.xfs", "--storage-opt size= with devicemapper", "devicemapper", "xfsprogs"},
	{"mkfs.ext4", "formatting a data disk, and devicemapper", "devicemapper", "e2fsprogs"},
	{"newuidmap", "a rootless daemon", "", "uidmap"},
	{"slirp4netns", "a rootless daemon", "", "slirp4netns"},
}

// oldest are the versions that programs must have, as Docker's first documentation of what it needs has them.
var oldest = [...]struct {
	program, pack, lost string
	major, minor        int
}{
	{"iptables", "iptables", "bridge networking", 1, 4},
	{"git", "git", "docker build with a git URL", 1, 7},
	{"xz", "xz-utils", "images and archives packed with xz", 4, 9},
}
