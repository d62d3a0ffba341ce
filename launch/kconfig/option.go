package kconfig

import (
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// kind is what values an option takes.
type kind uint8

const (
	boolean  kind = iota // built in, or not at all
	tristate             // a module too
)

// Marks of an option.
const (
	// helper options have no question of their own: others select them.
	helper uint8 = 1 << iota
	// unwanted options are worse set than not.
	unwanted
	// outside options are of no mainline kernel.
	outside
	// listed options are in moby's contrib/check-config.sh under "Generally Necessary", extra ones under its other headings.
	listed
	extra
	// predate: a kernel older than the option lacks what it is for, and that counts as missing.
	predate
)

// option is one row of the table: what Docker needs an option for. Names are without CONFIG_, lists separated by blanks.
//
// Where nothing else is said, the releases were read off the configurations of kernels 2.6.27 to 7.2; an option that was in
// the oldest of them has no since.
type option struct {
	name     string
	kind     kind
	marks    uint8
	severity weight
	// when has to hold for the option to be asked for; where worse holds too, severity is worst.
	when, worse cond
	worst       weight
	group       group
	// since and until are the first and the last series that has the option. asked is the last that it is asked for in,
	// where it outlived its use.
	since, until, asked series
	// instead is what took its place.
	instead string
	// alt are options of which one that is on serves as well. "X<=3.16" does so up to that series, "X>=5.2" from it on.
	alt string
	// needs are options that have to be on for this one to be offered, with bounds like alt's.
	needs string
	// module is what the option builds where it is a module; of several names, as releases differ, one is enough.
	module string
	// probe tells how a running kernel shows the option, see Probe.
	probe string
	// lost is what does not work without it, fix what else than turning it on helps, and note what is worth knowing.
	lost, fix, note string
}

// group is the heading that an option belongs under.
type group uint8

// The groups.
const (
	grpBase group = iota
	grpNS
	grpCgroup
	grpSecurity
	grpBridge
	grpFilter
	grpLegacy
	grpNFT
	grpIPv6
	grpSwarm
	grpCrypto
	grpVLAN
	grpHelper
	grpStorage
	grpFS
	grpRootless
	grpCRIU
)

var groupNames = [...]string{
	"base system", "namespaces", "cgroups", "security", "bridge networks", "packet filter", "iptables-legacy", "nftables", "IPv6",
	"swarm and overlay networks", "encrypted overlay networks", "macvlan and ipvlan networks", "helpers for single protocols",
	"storage drivers", "filesystem of the data-root", "rootless mode", "checkpoints",
}

func (g group) String() string { return groupNames[g] }

// weight is a severity in one byte.
type weight uint8

// The weights, the least first.
const (
	informing weight = iota
	degrading
	fatally
)

func (w weight) severity() finding.Severity {
	return [...]finding.Severity{informing: info, degrading: degraded, fatally: fatal}[w]
}

const (
	fatal    = finding.Fatal
	degraded = finding.Degraded
	info     = finding.Info
)

// tables are all rows. They are data of the program, made when it is compiled.
func tables() [][]option {
	return [][]option{tableBase[:], tableCgroup[:], tableNet[:], tableFilter[:], tableNFT[:], tableOverlay[:], tableStorage[:]}
}

// find returns the row of an option, or nil.
func find(name string) *option {
	for _, table := range tables() {
		for i := range table {
			if table[i].name == name {
				return &table[i]
			}
		}
	}
	return nil
}

// Names are all options that the table has, without CONFIG_, in its order.
func Names() []string {
	var names []string
	for _, table := range tables() {
		for i := range table {
			names = append(names, table[i].name)
		}
	}
	return names
}

// Group is the heading that an option belongs under, or "" for one that the table does not have.
func Group(name string) string {
	if o := find(name); o != nil {
		return o.group.String()
	}
	return ""
}

// inRelease takes a list of options with bounds apart and keeps those that count in release r.
func inRelease(list string, r Release) []string {
	var names []string
	for _, item := range strings.Fields(list) {
		if name, bound, ok := strings.Cut(item, "<="); ok {
			if b, _ := ParseRelease(bound); r.series().Compare(b) > 0 {
				continue
			}
			item = name
		} else if name, bound, ok := strings.Cut(item, ">="); ok {
			if b, _ := ParseRelease(bound); r.series().Compare(b) < 0 {
				continue
			}
			item = name
		}
		names = append(names, item)
	}
	return names
}
