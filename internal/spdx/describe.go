package spdx

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/ociimage"
	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// Subject is what a document is about.
type Subject struct {
	// Name and Version are the image's and the launcher's.
	Name, Version string
	// Digest is that of the image's manifest, "sha256:…".
	Digest string
	// Created is the document's time, in seconds since 1970.
	Created int64
	// Plan is the image's tree, with the packages' copyright files in it, and Sums are the hashes of its files.
	Plan *rootfs.Manifest
	Sums map[string]ociimage.Sums
}

const (
	documentID = "SPDXRef-DOCUMENT"
	imageID    = "SPDXRef-image"
	// namespace is where documents' names begin; nothing has to be there.
	namespace = "https://github.com/dockerlaunch/dockerlaunch/spdx/"
)

// describer collects a document.
type describer struct {
	Subject
	doc      Document
	nodes    map[string]*rootfs.Node
	licences map[string]ExtractedLicence // by ID
}

// Describe writes the document of an image.
func Describe(s Subject) ([]byte, error) {
	d := &describer{Subject: s, nodes: map[string]*rootfs.Node{}, licences: map[string]ExtractedLicence{}}
	for _, n := range s.Plan.Nodes {
		d.nodes[n.Path] = n
	}
	created := time.Unix(s.Created, 0).UTC().Format(time.RFC3339)
	d.doc = Document{
		SPDXID: documentID, SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", Name: s.Name,
		CreationInfo: CreationInfo{Created: created, Creators: []string{"Organization: dockerlaunch", "Tool: mkimage-" + orNone(s.Version)}},
	}
	d.relate(documentID, "DESCRIBES", imageID)
	if err := d.image(); err != nil {
		return nil, err
	}
	for _, a := range s.Plan.Archives {
		if err := d.archive(a); err != nil {
			return nil, err
		}
	}
	if err := d.launcher(); err != nil {
		return nil, err
	}
	for _, id := range sortedKeys(d.licences) {
		d.doc.ExtractedLicences = append(d.doc.ExtractedLicences, d.licences[id])
	}
	return d.finish()
}

// finish gives the document a name of its own, which follows from all that is in it, and its bytes.
func (d *describer) finish() ([]byte, error) {
	raw, err := encode(d.doc)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	d.doc.DocumentNamespace = namespace + hex.EncodeToString(sum[:16])
	return encode(d.doc)
}

func encode(doc Document) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("writing the SPDX document: %w", err)
	}
	return b.Bytes(), nil
}

func (d *describer) relate(element, kind, related string) {
	d.doc.Relationships = append(d.doc.Relationships, Relationship{element, kind, related})
}

// image enters the image and its files.
func (d *describer) image() error {
	var sums []string
	for _, n := range d.Plan.Nodes {
		if n.Kind != rootfs.KindFile {
			continue
		}
		s, ok := d.Sums[n.Path]
		if !ok {
			return fmt.Errorf("describing the image: %s was not hashed", n.Path)
		}
		f := File{
			SPDXID: fileID(n.Path), FileName: "./" + n.Path,
			Checksums:        []Checksum{{"SHA1", s.SHA1}, {"SHA256", s.SHA256}},
			LicenseConcluded: NoAssertion, LicenseInfoInFiles: []string{NoAssertion}, CopyrightText: NoAssertion,
		}
		d.doc.Files = append(d.doc.Files, f)
		d.relate(imageID, "CONTAINS", f.SPDXID)
		sums = append(sums, s.SHA1)
	}
	d.doc.Packages = append(d.doc.Packages, Package{
		SPDXID: imageID, Name: d.Name, VersionInfo: d.Version, Supplier: "Organization: dockerlaunch", DownloadLocation: NoAssertion,
		FilesAnalyzed: true, VerificationCode: &VerificationCode{verificationCode(sums)},
		LicenseConcluded: NoAssertion, LicenseInfoFromFiles: []string{NoAssertion}, LicenseDeclared: NoAssertion, CopyrightText: NoAssertion,
		ExternalRefs:          []ExternalRef{purl("pkg:oci/dockerlaunch@" + escape(d.Digest))},
		PrimaryPackagePurpose: "CONTAINER",
	})
	return nil
}

// verificationCode is the SHA-1 of the files' SHA-1 in their order; see clause 7.9.
func verificationCode(sums []string) string {
	slices.Sort(sums)
	h := sha1.Sum([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(h[:])
}

// archive enters a Debian package, or Docker's own archive, and what the image has of it.
func (d *describer) archive(a *rootfs.Archive) error {
	id := "SPDXRef-archive-" + clean(a.Name)
	p := Package{
		SPDXID: id, Name: a.Name, VersionInfo: a.Version, PackageFileName: a.File(), DownloadLocation: NoAssertion,
		Checksums:        []Checksum{{"SHA256", a.SHA256}},
		LicenseConcluded: NoAssertion, LicenseDeclared: NoAssertion, CopyrightText: NoAssertion,
	}
	if c := a.Control; c.Package != "" {
		p.Name, p.VersionInfo, p.Homepage = c.Package, c.Version, c.Homepage
		p.Supplier = "Organization: Debian"
		p.Originator = originator(c.Maintainer)
		p.SourceInfo = "built from the source package " + c.Source + " " + c.SourceVersion
		if len(c.BuiltUsing) > 0 {
			p.SourceInfo += ", with code of " + strings.Join(c.BuiltUsing, ", ")
		}
		p.ExternalRefs = []ExternalRef{purl(fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&upstream=%s",
			escape(c.Package), escape(c.Version), escape(c.Architecture), escape(c.Source+"@"+c.SourceVersion)))}
		declared, err := d.declared(c.Package)
		if err != nil {
			return err
		}
		p.LicenseDeclared = declared
	}
	d.doc.Packages = append(d.doc.Packages, p)
	d.relate(imageID, "CONTAINS", id)
	for _, n := range d.Plan.Nodes {
		if n.Kind != rootfs.KindFile || n.Package != a.Name {
			continue
		}
		if n.Path == rootfs.CertificateBundle { // one file made of many
			d.relate(fileID(n.Path), "GENERATED_FROM", id)
			continue
		}
		d.relate(fileID(n.Path), "EXPANDED_FROM_ARCHIVE", id)
	}
	return nil
}

// maxCopyright bounds a copyright file, in bytes; Debian's longest have about a million.
const maxCopyright = 8 << 20

// declared is the licence expression that a package's copyright file gives.
func (d *describer) declared(pkg string) (string, error) {
	n := d.nodes["usr/share/doc/"+pkg+"/copyright"]
	if n == nil {
		return NoAssertion, nil
	}
	r, err := n.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxCopyright))
	if err != nil {
		return "", fmt.Errorf("reading the copyright file of %s: %w", pkg, err)
	}
	c, err := parseCopyright(string(raw))
	if errors.Is(err, errNotMachineReadable) {
		return NoAssertion, nil
	}
	if err != nil {
		return "", fmt.Errorf("the copyright file of %s: %w", pkg, err)
	}
	expression, refs := c.expression("LicenseRef-" + clean(pkg) + "-")
	for _, ref := range refs {
		d.licences[ref.LicenseID] = ref
	}
	return expression, nil
}

// originator writes a maintainer, "NAME <ADDRESS>", as clause 7.6 wants it.
func originator(maintainer string) string {
	name, address, ok := strings.Cut(maintainer, "<")
	name = strings.TrimSpace(name)
	if name == "" {
		return ""
	}
	kind := "Person: "
	if lower := strings.ToLower(name); strings.Contains(lower, "maintainers") || strings.Contains(lower, "team") || strings.Contains(lower, "packagers") {
		kind = "Organization: "
	}
	if !ok {
		return kind + name
	}
	return kind + name + " (" + strings.TrimSuffix(strings.TrimSpace(address), ">") + ")"
}

func purl(locator string) ExternalRef { return ExternalRef{"PACKAGE-MANAGER", "purl", locator} }

// escape percent-encodes what a package URL's parts may not have; see the purl specification, "Character encoding".
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~:", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// fileID names a file of the image. Its path has characters that an ID may not have.
func fileID(path string) string {
	sum := sha256.Sum256([]byte(path))
	return "SPDXRef-file-" + hex.EncodeToString(sum[:10])
}

// clean makes a part of an ID, which has letters, digits, dots and hyphens alone (clause 3.2). Others are written as their
// numbers, so that two names stay two.
func clean(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '-' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, ".%02x.", c)
	}
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
