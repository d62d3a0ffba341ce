// Package iptables decides which of the two variants of iptables the daemon uses, through nf_tables or the older ip_tables,
// and puts it in front of PATH. Rules of both in one network namespace fight each other, so that the variant that is in use
// there already counts, as in a container that shares its host's network.
//
// iptables-legacy is never run merely to ask: that loads its kernel modules, and makes its empty tables.
package iptables

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
	// Open tells that nothing decided: the default is kept if the kernel knows it.
	Open bool `json:"open,omitempty"`
	// Missing is why the variant cannot be used; "" where it can.
	Missing string `json:"missing,omitempty"`
}

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
		return c
	default:
		c.Variant, c.Open = Nft, own == Nft && f.Legacy.Path != ""
		c.Why = "nothing in this network namespace is made with the other one"
		return c
	}
	if c.Variant == own {
		return c
	}
	c.Links = true
	if f.Of(c.Variant).Path == "" {
		c.Links, c.Missing = false, "there is no iptables-"+string(c.Variant)+" in PATH"
	}
	return c
}

// Program is where the links of the one lead that the daemon is going to run.
func (c Choice) Program(f Facts) string {
	if c.Links {
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
