package spdx

// NoAssertion says that nothing is said.
const NoAssertion = "NOASSERTION"

// Document is an SPDX document. The fields are those of the specification's JSON schema, and stand in its order.
type Document struct {
	SPDXID            string             `json:"SPDXID"`
	SPDXVersion       string             `json:"spdxVersion"`
	CreationInfo      CreationInfo       `json:"creationInfo"`
	Name              string             `json:"name"`
	DataLicense       string             `json:"dataLicense"`
	DocumentNamespace string             `json:"documentNamespace"`
	Comment           string             `json:"comment,omitempty"`
	ExtractedLicences []ExtractedLicence `json:"hasExtractedLicensingInfos,omitempty"`
	Packages          []Package          `json:"packages"`
	Files             []File             `json:"files"`
	Relationships     []Relationship     `json:"relationships"`
}

// CreationInfo is who made the document, and when.
type CreationInfo struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

// ExtractedLicence is the text of a licence that the SPDX list does not have.
type ExtractedLicence struct {
	LicenseID     string `json:"licenseId"`
	Name          string `json:"name"`
	ExtractedText string `json:"extractedText"`
}

// Package is a package of the document.
type Package struct {
	SPDXID                string            `json:"SPDXID"`
	Name                  string            `json:"name"`
	VersionInfo           string            `json:"versionInfo,omitempty"`
	PackageFileName       string            `json:"packageFileName,omitempty"`
	Supplier              string            `json:"supplier,omitempty"`
	Originator            string            `json:"originator,omitempty"`
	DownloadLocation      string            `json:"downloadLocation"`
	FilesAnalyzed         bool              `json:"filesAnalyzed"`
	VerificationCode      *VerificationCode `json:"packageVerificationCode,omitempty"`
	Checksums             []Checksum        `json:"checksums,omitempty"`
	Homepage              string            `json:"homepage,omitempty"`
	SourceInfo            string            `json:"sourceInfo,omitempty"`
	LicenseConcluded      string            `json:"licenseConcluded"`
	LicenseInfoFromFiles  []string          `json:"licenseInfoFromFiles,omitempty"`
	LicenseDeclared       string            `json:"licenseDeclared"`
	CopyrightText         string            `json:"copyrightText"`
	Comment               string            `json:"comment,omitempty"`
	ExternalRefs          []ExternalRef     `json:"externalRefs,omitempty"`
	PrimaryPackagePurpose string            `json:"primaryPackagePurpose,omitempty"`
}

// VerificationCode stands for all of a package's files.
type VerificationCode struct {
	Value string `json:"packageVerificationCodeValue"`
}

// Checksum is a hash, in hexadecimal.
type Checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

// ExternalRef leads to a package elsewhere, here by a package URL (https://github.com/package-url/purl-spec).
type ExternalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

// File is a file of the image.
type File struct {
	SPDXID             string     `json:"SPDXID"`
	FileName           string     `json:"fileName"`
	Checksums          []Checksum `json:"checksums"`
	LicenseConcluded   string     `json:"licenseConcluded"`
	LicenseInfoInFiles []string   `json:"licenseInfoInFiles"`
	CopyrightText      string     `json:"copyrightText"`
}

// Relationship says what two elements are to each other.
type Relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}
