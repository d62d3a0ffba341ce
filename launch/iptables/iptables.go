// Package iptables decides which of the two variants of iptables the daemon uses, through nf_tables or the older ip_tables,
// and puts it in front of PATH. Rules of both in one network namespace fight each other, so that the variant that is in use
// there already counts, as in a container that shares its host's network.
//
// Where nothing is in use yet, nobody else's rules are to be expected, and the kernel has all tables of ip_tables anyway, the
// legacy variant is preferred: dockerd runs iptables some seventy times before it is ready, and each run takes about half as long.
//
// iptables-legacy is never run merely to ask, and the kernel is not asked where that would load modules of another system.
package iptables

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
)

// Variable says which variant is to be used, as in docker:dind: with a value legacy, empty nft; not set leaves it open.
const Variable = "DOCKER_IPTABLES_LEGACY"

// Variant is one of the two implementations.
type Variant string

const (
	// Nft makes rules of nf_tables; Legacy those of ip_tables.
	Nft    Variant = "nft"
	Legacy Variant = "legacy"
)

// programs are what dockerd and people call, without the variant in their names.
var programs = [...]string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"}

// Facts is what is there.
type Facts struct {
	// Tables are the tables of ip_tables in this network namespace, each with the file that names it: one is there where a
	// rule was made or asked for.
	Tables []string `json:"tables,omitempty"`
	// Goal is where the links of iptables lead; "" where there is none.
	Goal string `json:"goal,omitempty"`
	// Nft and Legacy are iptables-nft and iptables-legacy.
	Nft    Program `json:"nft,omitzero"`
	Legacy Program `json:"legacy,omitzero"`
	// LegacySafe tells that the network namespace is nobody else's, and that all tables of ip_tables are in the kernel, or come
	// from modules of this system's own.
	LegacySafe bool `json:"legacy_safe,omitempty"`
	// NftLoaded tells that nf_tables may be in the kernel, and so may have tables in this network namespace.
	NftLoaded bool `json:"nft_loaded,omitempty"`
	// Linked tells that Dir has links, of an earlier start.
	Linked bool `json:"linked,omitempty"`
}

// Program is a program in PATH and where its links lead; both are empty where there is none.
type Program struct {
	Path string `json:"path"`
	Goal string `json:"goal"`
}

// Of is the program of a variant.
func (f Facts) Of(v Variant) Program {
	if v == Legacy {
		return f.Legacy
	}
	return f.Nft
}

// tableFiles name the tables of a network namespace; they are missing where the module that they are of is not loaded.
var tableFiles = [...]string{"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names", "/proc/net/arp_tables_names"}

// Observe looks below root ("" is the running system) what is there, with programs out of path, as in PATH.
func Observe(root, path string) (Facts, error) {
	var f Facts
	for _, file := range tableFiles {
		text, err := smallfile.Read(filepath.Join("/", root, file))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTDIR) {
			continue // not loaded; or not root, who is told only in a plan; or a /proc that is none, which is told by others
		}
		if err != nil {
			return f, fmt.Errorf("looking for tables of iptables-legacy: %w", err)
		}
		for _, table := range bytes.Fields(text) {
			f.Tables = append(f.Tables, string(table)+" in "+file)
		}
	}
	// The links of an earlier start say nothing about the system.
	folders := slices.DeleteFunc(filepath.SplitList(path), func(folder string) bool { return filepath.Clean(folder) == Dir })
	path = strings.Join(folders, string(filepath.ListSeparator))
	_, err := os.Lstat(filepath.Join("/", root, Dir, "iptables"))
	f.Linked = err == nil
	plain, err := find("iptables", path)
	if err != nil {
		return f, err
	}
	f.Goal = plain.Goal
	if f.Nft, err = find("iptables-nft", path); err != nil {
		return f, err
	}
	f.Legacy, err = find("iptables-legacy", path)
	return f, err
}

// find looks for a program.
func find(name, path string) (p Program, err error) {
	if p.Path, err = host.Look(name, path); err != nil {
		return Program{}, nil // none, or none that can be executed
	}
	if p.Goal, err = filepath.EvalSymlinks(p.Path); err != nil {
		return Program{}, fmt.Errorf("following the links of %s: %w", p.Path, err)
	}
	return p, nil
}

// Choice is the variant that is used, and why.
type Choice struct {
	Variant Variant `json:"variant"`
	// Why tells what decided.
	Why string `json:"why"`
	// Links tells that the programs by the plain names are of the other variant, or of none that is known, so that links have
	// to go in front of PATH.
	Links bool `json:"links,omitempty"`
	// Open tells that nothing decided: Variant is used if the kernel knows it, as an Ask finds out.
	Open bool `json:"open,omitempty"`
	// Missing is why the variant cannot be used; "" where it can.
	Missing string `json:"missing,omitempty"`
}

const (
	neither   = "nothing in this network namespace is made with the other one"
	preferred = "nothing in this network namespace is made with either, and it makes Docker's rules in half the time"
)

// Choose decides. value is that of Variable, where it is set.
func Choose(f Facts, value string, set bool) Choice {
	var c Choice
	own := VariantOf(f.Goal)
	switch {
	case set && value != "":
		c.Variant, c.Why = Legacy, Variable+"="+value+" asks for it"
	case set:
		c.Variant, c.Why = Nft, Variable+" is set and empty, which asks for it"
	case len(f.Tables) > 0:
		c.Variant, c.Why = Legacy, "this network namespace has tables of it: "+strings.Join(f.Tables, ", ")
	case own == Legacy:
		c.Variant, c.Why = Legacy, "iptables is linked to it, and nothing speaks against it"
	case own == Nft && f.Legacy.Path != "" && f.LegacySafe:
		c.Variant, c.Open, c.Why = Legacy, true, preferred
		return c
	default:
		c.Variant, c.Open = Nft, own == Nft && f.Legacy.Path != ""
		c.Why = neither
		return c
	}
	there := f.Of(c.Variant).Path != ""
	c.Links = there && (c.Variant != own || f.Linked)
	if c.Variant != own && !there {
		c.Missing = "there is no iptables-" + string(c.Variant) + " in PATH"
	}
	return c
}

// Program is where the links of the one lead that the daemon is going to run.
func (c Choice) Program(f Facts) string {
	if c.Links || c.Open && VariantOf(f.Goal) != c.Variant {
		return f.Of(c.Variant).Goal
	}
	return f.Goal
}

// VariantOf tells a program's variant by its file's name: xtables-nft-multi or xtables-legacy-multi, or as older
// distributions have it; "" for any other.
func VariantOf(goal string) Variant {
	switch name := filepath.Base(goal); {
	case strings.Contains(name, "nft"):
		return Nft
	case strings.Contains(name, "legacy"), name == "xtables-multi":
		return Legacy
	}
	return ""
}
