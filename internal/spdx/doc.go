// Package spdx describes an image as a software bill of materials: an SPDX 2.3 document in JSON
// (https://spdx.github.io/spdx-spec/v2.3/). It is build tooling; the launcher does not use it.
//
// The document has a package for the image, for each Debian package that a file comes from, for the launcher and for each Go
// module in it; every file of the image with its hashes; and what belongs to what:
//
//	document DESCRIBES image
//	image CONTAINS packages and files
//	file EXPANDED_FROM_ARCHIVE Debian package, or GENERATED_FROM package
//	launcher STATIC_LINK Go modules
//
// Licences are what the packages' copyright files say, where those can be read by machine, and NOASSERTION elsewhere. The
// same image gives the same bytes.
package spdx
