package spdx

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// launcherID is the launcher's package.
const launcherID = "SPDXRef-dockerlaunch"

// launcher enters the launcher, and the Go modules that are linked into it, as it says itself.
func (d *describer) launcher() error {
	n := d.nodes[rootfs.LauncherPath]
	if n == nil {
		return errors.New("describing the image: it has no launcher")
	}
	r, err := n.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	at, ok := r.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("describing the image: the launcher cannot be read at will: %T", r)
	}
	info, err := buildinfo.Read(at)
	if err != nil {
		return fmt.Errorf("describing the image: reading which modules the launcher is made of: %w", err)
	}
	p := module(launcherID, info.Main.Path, d.Version)
	p.Name, p.LicenseDeclared, p.PrimaryPackagePurpose = "dockerlaunch", "Apache-2.0", "APPLICATION"
	p.Supplier = "Organization: dockerlaunch"
	d.doc.Packages = append(d.doc.Packages, p)
	d.relate(imageID, "CONTAINS", launcherID)
	d.relate(fileID(n.Path), "GENERATED_FROM", launcherID)
	enter := func(path, version, sum string) {
		m := module("SPDXRef-go-"+clean(path), path, version)
		if sum != "" {
			m.Comment = "go.sum " + sum
		}
		d.doc.Packages = append(d.doc.Packages, m)
		d.relate(launcherID, "STATIC_LINK", m.SPDXID)
	}
	enter("stdlib", strings.TrimPrefix(info.GoVersion, "go"), "")
	for _, dep := range info.Deps { // sorted by path, as the linker writes them
		if dep.Replace != nil {
			dep = dep.Replace
		}
		enter(dep.Path, dep.Version, dep.Sum)
	}
	return nil
}

// module is the package of a Go module.
func module(id, path, version string) Package {
	locator := "pkg:golang/" + strings.ReplaceAll(escape(path), "%2F", "/")
	if version != "" {
		locator += "@" + escape(version)
	}
	return Package{
		SPDXID: id, Name: path, VersionInfo: version, DownloadLocation: NoAssertion,
		LicenseConcluded: NoAssertion, LicenseDeclared: NoAssertion, CopyrightText: NoAssertion,
		ExternalRefs: []ExternalRef{purl(locator)}, PrimaryPackagePurpose: "LIBRARY",
	}
}
