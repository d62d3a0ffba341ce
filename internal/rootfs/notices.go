package rootfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Control is what a package's control file says; see Debian Policy, chapter 5.
type Control struct {
	// Package is the name that dpkg knows it by, and Version the whole version with its epoch.
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	// Architecture is Debian's name of it, or "all".
	Architecture string `json:"architecture,omitempty"`
	// Source and SourceVersion name the source package that it was built from.
	Source        string `json:"source,omitempty"`
	SourceVersion string `json:"source_version,omitempty"`
	Maintainer    string `json:"maintainer,omitempty"`
	Homepage      string `json:"homepage,omitempty"`
	// BuiltUsing are the source packages whose code is linked into it, each as "NAME (= VERSION)".
	BuiltUsing []string `json:"built_using,omitempty"`
}

// readControl asks dpkg-deb for a package's control file.
func readControl(ctx context.Context, file string) (Control, error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--field", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return Control{}, fmt.Errorf("reading what %s says of itself: dpkg-deb --field: %w: %s", file, err, strings.TrimSpace(stderr.String()))
	}
	return parseControl(string(out)), nil
}

// parseControl reads the fields that are wanted; what it does not know it passes over.
func parseControl(text string) Control {
	fields := map[string]string{}
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			if last != "" {
				fields[last] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if last = strings.ToLower(name); !ok || fields[last] != "" {
			last = ""
			continue
		}
		fields[last] = strings.TrimSpace(value)
	}
	c := Control{
		Package: fields["package"], Version: fields["version"], Architecture: fields["architecture"],
		Source: fields["source"], SourceVersion: fields["version"], Maintainer: fields["maintainer"], Homepage: fields["homepage"],
	}
	// A source of another version is written as "NAME (VERSION)", and one of the package's own name is left out.
	if name, version, ok := strings.Cut(c.Source, "("); ok {
		c.Source = strings.TrimSpace(name)
		c.SourceVersion = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(version), ")"))
	}
	if c.Source == "" {
		c.Source = c.Package
	}
	for _, name := range []string{"built-using", "static-built-using"} {
		for part := range strings.SplitSeq(fields[name], ",") {
			if part = strings.TrimSpace(part); part != "" {
				c.BuiltUsing = append(c.BuiltUsing, part)
			}
		}
	}
	slices.Sort(c.BuiltUsing)
	c.BuiltUsing = slices.Compact(c.BuiltUsing)
	return c
}

// notices adds the copyright file of every package that something in the tree comes from. Packages that share one have a link
// to the other's folder, and get a file of their own, so that each layer of an image has what it needs.
func (p *planner) notices() error {
	used := map[string]bool{}
	for _, n := range p.nodes {
		used[n.Package] = true
	}
	for name := range used {
		where, it, err := p.x.copyright(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // Docker's own archive, and files that no package has
		}
		if err != nil {
			return err
		}
		n := fileNode(docFolder+name+"/copyright", it, noticesName)
		n.Package = name
		if err := p.add(n); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// copyright finds a package's copyright file. The error is an fs.ErrNotExist where it has none.
func (x *index) copyright(pkg string) (string, item, error) {
	real, _, ok, err := x.resolve(docFolder + pkg + "/copyright")
	if err != nil {
		return "", item{}, fmt.Errorf("looking for the copyright file of %s: %w", pkg, err)
	}
	if it := x.items[real]; ok && it.Kind == KindFile {
		return real, it, nil
	}
	return "", item{}, &fs.PathError{Op: "open", Path: docFolder + pkg + "/copyright", Err: fs.ErrNotExist}
}
