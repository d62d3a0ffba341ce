package iptables

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// Ask asks the kernel what it has, and links the legacy programs where they are to be used: where they are preferred, or where
// there is no nf_tables. iptables-nft is what stands without links.
type Ask struct {
	Links
	// Prefer tells that iptables-legacy is used where the kernel has its tables, and nf_tables has none in this network namespace.
	Prefer bool `json:"prefer"`
	// NftLoaded tells that nf_tables is asked for its tables; asking for them would load it.
	NftLoaded bool `json:"nft_loaded"`
	// Tables are asked for of ip_tables.
	Tables []string `json:"tables,omitempty"`
	// Config tells whether the kernel has them, if its configuration tells: asking makes them, which takes longer than all the rest.
	// It may be nil.
	Config func() (has, tells bool) `json:"-"`

	kernel kernel
	found  string
}

// kernel is what is asked; tests have others.
type kernel struct {
	hasNft, nftTables func() (bool, error)
	legacyTables      func(tables []string) (bool, error)
}

// String tells what Apply does.
func (a *Ask) String() string {
	if a.Prefer {
		return "use iptables-legacy, if the kernel has all tables of ip_tables and none of nf_tables"
	}
	return "ask the kernel for nf_tables, and use iptables-legacy where it has none"
}

// Found tells, after Apply, which variant it is, and why.
func (a *Ask) Found() string { return a.found }

// Apply asks. Where iptables-legacy is not used because it is better, but because the kernel has no nf_tables, that is its error,
// which is worth a warning.
func (a *Ask) Apply(ctx context.Context) (kept bool, err error) {
	k := a.kernel
	if k.hasNft == nil {
		k = kernel{kernelHasNft, kernelHasNftTables, hasLegacyTables}
	}
	why, prefer := neither, false
	if a.Prefer {
		if why, prefer, err = a.prefer(k); err != nil {
			return false, fmt.Errorf("%w; iptables stays as it is", err)
		}
	}
	if prefer {
		a.found = string(Legacy) + ": " + why
		return a.Links.Apply(ctx)
	}
	has, err := k.hasNft()
	if err != nil {
		return false, fmt.Errorf("%w; iptables stays as it is", err)
	}
	if has {
		a.found = string(Nft) + ": " + why
		// Those that an earlier start made, with another kernel.
		for _, name := range programs {
			err = errors.Join(err, removeLink(filepath.Join(a.Dir, name)))
		}
		return true, err
	}
	if _, err := a.Links.Apply(ctx); err != nil {
		return false, err
	}
	return false, errors.New("this kernel has no nf_tables, and iptables-legacy is used instead")
}

// prefer tells whether iptables-legacy is used although nothing speaks against the other one, and why, or why not.
func (a *Ask) prefer(k kernel) (why string, prefer bool, err error) {
	if a.NftLoaded {
		standing, err := k.nftTables()
		if err != nil {
			return "", false, err
		}
		if standing {
			return "this network namespace has tables of it", false, nil
		}
	}
	tells := false
	if a.Config != nil {
		prefer, tells = a.Config()
	}
	if !tells {
		prefer, err = k.legacyTables(a.Tables)
	}
	if err != nil || !prefer {
		return "this kernel has not all tables of ip_tables", false, err
	}
	return preferred, true, nil
}
