package spdx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The specification's forms: clauses 3.2, 6.5, 6.8, 7.10 and 10.1.
var (
	elementID  = regexp.MustCompile(`^SPDXRef-[a-zA-Z0-9.-]+$`)
	licenceRef = regexp.MustCompile(`^LicenseRef-[a-zA-Z0-9.-]+$`)
	creator    = regexp.MustCompile(`^(Person|Organization|Tool): \S`)
	licenceID  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
	hashForms  = map[string]*regexp.Regexp{
		"SHA1": regexp.MustCompile(`^[0-9a-f]{40}$`), "SHA256": regexp.MustCompile(`^[0-9a-f]{64}$`),
	}
	relationships = map[string]bool{
		"DESCRIBES": true, "CONTAINS": true, "GENERATED_FROM": true, "EXPANDED_FROM_ARCHIVE": true, "STATIC_LINK": true,
	}
)

// checker collects what is wrong with a document.
type checker struct {
	doc      Document
	ids      map[string]string // what each ID is
	licences map[string]bool   // extracted ones, and whether one is used
	errs     []error
}

func (c *checker) complain(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// Check holds a document to the rules of SPDX 2.3 for the parts of it that documents made here have: what is mandatory, the
// forms of IDs, hashes, times and licence expressions, that every reference leads to something, that the image's verification
// code is that of its files. Fields that are not known here are refused.
func Check(raw []byte) error {
	c := &checker{ids: map[string]string{}, licences: map[string]bool{}}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c.doc); err != nil {
		return fmt.Errorf("the SPDX document: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the SPDX document goes on behind its end")
	}
	c.head()
	for _, l := range c.doc.ExtractedLicences {
		if _, twice := c.licences[l.LicenseID]; twice || !licenceRef.MatchString(l.LicenseID) || l.ExtractedText == "" || l.Name == "" {
			c.complain("extracted licence %q is there twice, or has a wrong name, or no text", l.LicenseID)
		}
		c.licences[l.LicenseID] = false
	}
	for _, p := range c.doc.Packages {
		c.pkg(p)
	}
	for _, f := range c.doc.Files {
		c.file(f)
	}
	c.relations()
	for id, used := range c.licences {
		if !used {
			c.complain("extracted licence %s is used by nothing", id)
		}
	}
	return errors.Join(c.errs...)
}

func (c *checker) head() {
	doc := c.doc
	if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || doc.SPDXID != documentID || doc.Name == "" {
		c.complain("the head is %q, %q, %q, %q", doc.SPDXVersion, doc.DataLicense, doc.SPDXID, doc.Name)
	}
	if u, err := url.Parse(doc.DocumentNamespace); err != nil || u.Scheme == "" || strings.Contains(doc.DocumentNamespace, "#") {
		c.complain("the namespace %q is no URI without a fragment (%v)", doc.DocumentNamespace, err)
	}
	if at, err := time.Parse("2006-01-02T15:04:05Z", doc.CreationInfo.Created); err != nil {
		c.complain("the time %q: %w", doc.CreationInfo.Created, err)
	} else if at.Year() < 1970 {
		c.complain("the time %q is before 1970", doc.CreationInfo.Created)
	}
	if len(doc.CreationInfo.Creators) == 0 {
		c.complain("nobody has made the document")
	}
	for _, who := range doc.CreationInfo.Creators {
		if !creator.MatchString(who) {
			c.complain("the creator %q", who)
		}
	}
	c.id(documentID, "document")
}

func (c *checker) id(id, what string) {
	if !elementID.MatchString(id) {
		c.complain("%s: the ID %q", what, id)
	}
	if old, ok := c.ids[id]; ok {
		c.complain("%s: the ID %s is that of %s too", what, id, old)
	}
	c.ids[id] = what
}

func (c *checker) hashes(what string, sums []Checksum) map[string]string {
	by := map[string]string{}
	for _, s := range sums {
		if form := hashForms[s.Algorithm]; form == nil || !form.MatchString(s.Value) || by[s.Algorithm] != "" {
			c.complain("%s: the hash %s %q", what, s.Algorithm, s.Value)
		}
		by[s.Algorithm] = s.Value
	}
	return by
}

func (c *checker) pkg(p Package) {
	what := "package " + p.Name
	c.id(p.SPDXID, what)
	if p.Name == "" || p.DownloadLocation == "" || p.CopyrightText == "" {
		c.complain("%s lacks its name, download location or copyright text", what)
	}
	for _, who := range []string{p.Supplier, p.Originator} {
		if who != "" && (!creator.MatchString(who) || strings.HasPrefix(who, "Tool:")) {
			c.complain("%s: %q is nobody", what, who)
		}
	}
	c.hashes(what, p.Checksums)
	c.expression(what, p.LicenseConcluded)
	c.expression(what, p.LicenseDeclared)
	for _, l := range p.LicenseInfoFromFiles {
		c.expression(what, l)
	}
	for _, r := range p.ExternalRefs {
		if r.Category != "PACKAGE-MANAGER" || r.Type != "purl" || !strings.HasPrefix(r.Locator, "pkg:") || strings.ContainsAny(r.Locator, " +") {
			c.complain("%s: the reference %+v", what, r)
		}
	}
	if p.FilesAnalyzed != (p.VerificationCode != nil) || p.FilesAnalyzed != (len(p.LicenseInfoFromFiles) > 0) {
		c.complain("%s: with files there have to be a verification code and their licences, and without neither", what)
	}
}

func (c *checker) file(f File) {
	what := "file " + f.FileName
	c.id(f.SPDXID, what)
	if !strings.HasPrefix(f.FileName, "./") || f.CopyrightText == "" || len(f.LicenseInfoInFiles) == 0 {
		c.complain("%s is not relative, or lacks its licences or copyright text", what)
	}
	if by := c.hashes(what, f.Checksums); by["SHA1"] == "" {
		c.complain("%s lacks its SHA-1", what)
	}
	c.expression(what, f.LicenseConcluded)
}

// relations checks what belongs to what: the document describes something, and what each package holds gives its code.
func (c *checker) relations() {
	sums := map[string]string{} // of files
	for _, f := range c.doc.Files {
		for _, s := range f.Checksums {
			if s.Algorithm == "SHA1" {
				sums[f.SPDXID] = s.Value
			}
		}
	}
	held := map[string][]string{}
	described, inside := 0, map[string]bool{}
	seen := map[Relationship]bool{}
	for _, r := range c.doc.Relationships {
		if c.ids[r.Element] == "" || c.ids[r.Related] == "" || !relationships[r.Type] || seen[r] {
			c.complain("the relationship %+v is there twice, is of no known type, or leads to nothing", r)
		}
		seen[r] = true
		switch r.Type {
		case "DESCRIBES":
			described++
		case "CONTAINS":
			if sum, ok := sums[r.Related]; ok {
				held[r.Element] = append(held[r.Element], sum)
				inside[r.Related] = true
			}
		}
	}
	if described == 0 {
		c.complain("the document describes nothing")
	}
	for _, f := range c.doc.Files {
		if !inside[f.SPDXID] {
			c.complain("file %s is in no package", f.FileName)
		}
	}
	for _, p := range c.doc.Packages {
		switch {
		case p.VerificationCode == nil && len(held[p.SPDXID]) > 0:
			c.complain("package %s holds files, which were not analyzed", p.Name)
		case p.VerificationCode != nil && p.VerificationCode.Value != verificationCode(held[p.SPDXID]):
			c.complain("package %s has another verification code than its files", p.Name)
		}
	}
}

// expression checks a licence expression (annex D): names with AND and OR between them, and brackets.
func (c *checker) expression(what, text string) {
	if text == NoAssertion || text == "NONE" {
		return
	}
	tokens := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text))
	depth, operand := 0, true // whether an operand comes next
	for _, t := range tokens {
		ok := true
		switch {
		case t == "(":
			ok = operand
			depth++
		case t == ")":
			ok = !operand && depth > 0
			depth--
		case t == "AND" || t == "OR":
			ok, operand = !operand, true
		case strings.HasPrefix(t, "LicenseRef-"):
			_, known := c.licences[t]
			ok, operand = operand && known, false
			if known {
				c.licences[t] = true
			}
		default:
			ok, operand = operand && licenceID.MatchString(t), false
		}
		if !ok {
			c.complain("%s: the licence expression %q, at %s", what, text, t)
			return
		}
	}
	if operand || depth != 0 {
		c.complain("%s: the licence expression %q does not end", what, text)
	}
}
