package spdx

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerlaunch/dockerlaunch/internal/ociimage"
	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

const copyrightText = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: 2020 Somebody
License: Expat

Files: debian/*
Copyright: 2021 Somebody Else
License: GPL-2+ or Artistic, and BSD-3-clause

Files: odd
License: GPL-2+ with Odd exception
 This odd text.
 .
 And more.

License: Artistic
 The Artistic text.
`

func TestCopyright(t *testing.T) {
	c, err := parseCopyright(copyrightText)
	if err != nil {
		t.Fatal(err)
	}
	got, refs := c.expression("LicenseRef-x-")
	want := "((GPL-2.0-or-later OR LicenseRef-x-Artistic) AND BSD-3-Clause) AND LicenseRef-x-GPL-2.2b.-with-Odd-exception AND MIT"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	texts := map[string]string{}
	for _, r := range refs {
		texts[r.Name] = r.ExtractedText
	}
	if diff := cmp.Diff(map[string]string{"Artistic": "The Artistic text.", "GPL-2+ with Odd exception": "This odd text.\n\nAnd more."}, texts); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "This package was debianized by hand.\n\nLicense: GPL-2\n", "Format: https://example.org/\n\nFiles: *\nLicense: Expat\n", "Format: x/copyright-format/1.0/\n"} {
		if c, err := parseCopyright(text); err == nil {
			t.Errorf("%q gives %+v", text, c)
		}
	}
}

func TestConvert(t *testing.T) {
	name := func(short string) string {
		if id := spdxName(short); id != "" {
			return id
		}
		return "?" + strings.ReplaceAll(short, " ", "_")
	}
	for synopsis, want := range map[string]string{
		"GPL-2":                             "GPL-2.0-only",
		"LGPL-2.1+":                         "LGPL-2.1-or-later",
		"gpl-3.0+":                          "GPL-3.0-or-later",
		"GPL-9+":                            "?GPL-9+",
		"LGPL":                              "?LGPL",
		"Expat or GPL-2+ and ISC":           "MIT OR GPL-2.0-or-later AND ISC",
		"A, or B, and C":                    "(?A OR ?B) AND ?C",
		"A or B, C":                         "(?A OR ?B) AND ?C",
		"and":                               "?and",
		"GPL-2 or":                          "GPL-2.0-only",
		"or or GPL-2":                       "GPL-2.0-only",
		"GPL-2+ with X exception, and Zlib": "?GPL-2+_with_X_exception AND Zlib",
	} {
		if got := convert(synopsis, name); got != want {
			t.Errorf("%s: got %s, want %s", synopsis, got, want)
		}
	}
}

// Whatever stands in a copyright file, the expression is sound and every licence it names has a text.
func FuzzCopyright(f *testing.F) {
	f.Add(copyrightText)
	f.Add("Format: copyright-format\n\nFiles: *\nLicense: a, or , and b or\n")
	f.Add("Format: dep5\n\nFiles: *\nLicense: ()\n x\n\nLicense: and\n\ty")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCopyright(text)
		if err != nil {
			return
		}
		expression, refs := c.expression("LicenseRef-p-")
		k := &checker{ids: map[string]string{}, licences: map[string]bool{}}
		for _, r := range refs {
			k.licences[r.LicenseID] = false
			if !licenceRef.MatchString(r.LicenseID) || r.ExtractedText == "" {
				t.Errorf("%+v", r)
			}
		}
		if k.expression("p", expression); len(k.errs) > 0 {
			t.Error(k.errs)
		}
		for id, used := range k.licences {
			if !used {
				t.Errorf("%s is not in %s", id, expression)
			}
		}
	})
}

func subject(t *testing.T) Subject {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	launcher, err := rootfs.FileNode(rootfs.LauncherPath, self, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	file := func(path, pkg, content string) *rootfs.Node {
		n := rootfs.ContentNode(path, 0o644, []byte(content))
		n.Package = pkg
		return n
	}
	plan := &rootfs.Manifest{
		Archives: []*rootfs.Archive{
			{Name: "x", Version: "1", SHA256: strings.Repeat("a", 64), Control: rootfs.Control{
				Package: "x", Version: "2:1+b", Architecture: "amd64", Source: "xsrc", SourceVersion: "2:1",
				Maintainer: "X Team <x@example.org>", BuiltUsing: []string{"go (= 1)"},
			}},
			{Name: "docker-27.tgz", SHA256: strings.Repeat("b", 64)},
		},
		Nodes: []*rootfs.Node{
			{Path: "usr", Kind: rootfs.KindFolder}, launcher, file("usr/bin/x", "x", "x"), file("usr/bin/dockerd", "docker-27.tgz", "d"),
			file("usr/share/doc/x/copyright", "x", copyrightText), file(rootfs.CertificateBundle, "x", "c"),
		},
	}
	sums, err := ociimage.Sum(context.Background(), plan.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	return Subject{Name: "x:latest", Version: "1", Digest: "sha256:" + strings.Repeat("c", 64), Created: 1_700_000_000, Plan: plan, Sums: sums}
}

func TestDescribe(t *testing.T) {
	s := subject(t)
	raw, err := Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(raw); err != nil {
		t.Error(err)
	}
	if again, err := Describe(s); err != nil || string(again) != string(raw) {
		t.Errorf("the second time it is another document (%v)", err)
	}
	var doc Document
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.CreationInfo.Created != "2023-11-14T22:13:20Z" || len(doc.Files) != 5 {
		t.Errorf("%+v, %d files", doc.CreationInfo, len(doc.Files))
	}
	packages := map[string]Package{}
	for _, p := range doc.Packages {
		packages[p.Name] = p
	}
	x := packages["x"]
	if x.VersionInfo != "2:1+b" || x.Originator != "Organization: X Team (x@example.org)" || x.ExternalRefs[0].Locator != "pkg:deb/debian/x@2:1%2Bb?arch=amd64&upstream=xsrc%402:1" ||
		x.SourceInfo != "built from the source package xsrc 2:1, with code of go (= 1)" || !strings.Contains(x.LicenseDeclared, "MIT") {
		t.Errorf("%+v", x)
	}
	if packages["docker-27.tgz"].LicenseDeclared != NoAssertion || packages["stdlib"].Name == "" {
		t.Errorf("packages %+v", packages)
	}
	kinds := map[string]int{}
	for _, r := range doc.Relationships {
		kinds[r.Type]++
	}
	if kinds["DESCRIBES"] != 1 || kinds["EXPANDED_FROM_ARCHIVE"] != 3 || kinds["GENERATED_FROM"] != 2 || kinds["STATIC_LINK"] < 1 {
		t.Errorf("relationships %v", kinds)
	}
}

func TestDescribeRefuses(t *testing.T) {
	s := subject(t)
	delete(s.Sums, "usr/bin/x")
	if _, err := Describe(s); err == nil || !strings.Contains(err.Error(), "was not hashed") {
		t.Errorf("a file without a hash: %v", err)
	}
	s = subject(t)
	s.Plan.Nodes[1] = rootfs.ContentNode(rootfs.LauncherPath, 0o755, []byte("no program"))
	s.Sums[rootfs.LauncherPath] = s.Sums["usr/bin/x"]
	if _, err := Describe(s); err == nil {
		t.Error("a launcher that is no program is described")
	}
	s.Plan.Nodes = s.Plan.Nodes[2:]
	if _, err := Describe(s); err == nil || !strings.Contains(err.Error(), "no launcher") {
		t.Errorf("without a launcher: %v", err)
	}
}

// Each rule catches its breach.
func TestCheckRefuses(t *testing.T) {
	raw, err := Describe(subject(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Document){
		"version":              func(d *Document) { d.SPDXVersion = "SPDX-2.2" },
		"namespace":            func(d *Document) { d.DocumentNamespace = "x#y" },
		"time":                 func(d *Document) { d.CreationInfo.Created = "2023-11-14T22:13:20+01:00" },
		"creators":             func(d *Document) { d.CreationInfo.Creators = nil },
		"creator":              func(d *Document) { d.CreationInfo.Creators = []string{"me"} },
		"ID":                   func(d *Document) { d.Packages[1].SPDXID = "SPDXRef-a_b" },
		"same ID":              func(d *Document) { d.Packages[1].SPDXID = d.Packages[2].SPDXID },
		"hash":                 func(d *Document) { d.Files[0].Checksums[0].Value = "00" },
		"no SHA-1":             func(d *Document) { d.Files[0].Checksums = d.Files[0].Checksums[1:] },
		"another SHA-1":        func(d *Document) { d.Files[0].Checksums[0].Value = strings.Repeat("0", 40) },
		"absolute name":        func(d *Document) { d.Files[0].FileName = "/etc" },
		"no verification code": func(d *Document) { d.Packages[0].VerificationCode = nil },
		"unknown licence":      func(d *Document) { d.Packages[1].LicenseDeclared = "LicenseRef-nobody" },
		"expression":           func(d *Document) { d.Packages[1].LicenseDeclared = "MIT AND" },
		"brackets":             func(d *Document) { d.Packages[1].LicenseDeclared = "(MIT" },
		"no text":              func(d *Document) { d.ExtractedLicences[0].ExtractedText = "" },
		"unused licence":       func(d *Document) { d.Packages[1].LicenseDeclared = "MIT" },
		"supplier":             func(d *Document) { d.Packages[1].Supplier = "Debian" },
		"dangling":             func(d *Document) { d.Relationships[1].Related = "SPDXRef-nobody" },
		"relationship":         func(d *Document) { d.Relationships[1].Type = "LIKES" },
		"nothing described":    func(d *Document) { d.Relationships = d.Relationships[1:] },
		"lost file":            func(d *Document) { d.Relationships = append(d.Relationships[:1:1], d.Relationships[2:]...) },
	} {
		var doc Document
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		change(&doc)
		changed, err := encode(doc)
		if err != nil {
			t.Fatal(err)
		}
		if Check(changed) == nil {
			t.Errorf("%s: the breach passes", name)
		}
	}
	for _, text := range []string{"", "{", `{"x":1}`, string(raw) + "{}"} {
		if Check([]byte(text)) == nil {
			t.Errorf("%.20q passes", text)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"SPDXID":"SPDXRef-DOCUMENT","packages":[{"licenseDeclared":"(MIT"}],"files":[{}],"relationships":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) { _ = Check(raw) })
}
