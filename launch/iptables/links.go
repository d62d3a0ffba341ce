package iptables

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the folder with the links that goes in front of PATH.
const Dir = "/run/dockerlaunch/iptables"

// Links has programs by the plain names be of one variant for whoever has Dir in front of PATH.
type Links struct {
	Dir     string  `json:"dir"`
	Variant Variant `json:"variant"`
	// Program is iptables-VARIANT, beside which the others lie.
	Program string `json:"program"`
}

// String tells what Apply does.
func (l Links) String() string {
	return fmt.Sprintf("link iptables and ip6tables in %s to %s", l.Dir, filepath.Dir(l.Program)+"/*-"+string(l.Variant))
}

// Apply makes the links. Those that lead elsewhere are replaced; what is no link is an error.
func (l Links) Apply(context.Context) (kept bool, err error) {
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return false, fmt.Errorf("making the folder of iptables: %w", err)
	}
	kept = true
	for _, name := range programs {
		target := l.target(name)
		path := filepath.Join(l.Dir, name)
		if found, err := os.Readlink(path); err == nil && found == target {
			continue
		}
		kept = false
		if err := removeLink(path); err != nil {
			return false, err
		}
		if err := os.Symlink(target, path); err != nil {
			return false, fmt.Errorf("linking iptables: %w", err)
		}
	}
	return kept, nil
}

// target is the program of the variant: iptables-legacy-save for iptables-save.
func (l Links) target(name string) string {
	family, tail := name[:len("iptables")], name[len("iptables"):]
	if name[:3] == "ip6" {
		family, tail = name[:len("ip6tables")], name[len("ip6tables"):]
	}
	return filepath.Join(filepath.Dir(l.Program), family+"-"+string(l.Variant)+tail)
}

// removeLink removes a link that may be there.
func removeLink(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking at a link of iptables: %w", err)
	case st.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s should be a link to a variant of iptables, and is something else (%s): move it away", path, st.Mode())
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing a link of iptables: %w", err)
	}
	return nil
}
