package spdx

import (
	"regexp"
	"strings"
)

// gnuName matches the short names of GNU's licences, whose versions Debian writes with a plus for "or any later".
var gnuName = regexp.MustCompile(`^(A?GPL|LGPL|GFDL)-v?([0-9])(?:\.([0-9]))?(\+)?$`)

// gnuVersions are the versions that the SPDX list has.
var gnuVersions = map[string]bool{
	"GPL-1.0": true, "GPL-2.0": true, "GPL-3.0": true, "LGPL-2.0": true, "LGPL-2.1": true, "LGPL-3.0": true, "AGPL-3.0": true,
	"GFDL-1.1": true, "GFDL-1.2": true, "GFDL-1.3": true,
}

// names are identifiers of the SPDX licence list (https://spdx.org/licenses/) by the short names, in lower case, that Debian's
// format and its packages use. A name that stands for several texts is not among them.
var names = map[string]string{
	"0bsd": "0BSD", "apache-1.0": "Apache-1.0", "apache-1.1": "Apache-1.1", "apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0",
	"artistic-1": "Artistic-1.0", "artistic-1.0": "Artistic-1.0", "artistic-2.0": "Artistic-2.0",
	"bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause",
	"bsl-1.0": "BSL-1.0", "boost-1.0": "BSL-1.0", "cc0": "CC0-1.0", "cc0-1.0": "CC0-1.0",
	"cc-by-3.0": "CC-BY-3.0", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-3.0": "CC-BY-SA-3.0", "cc-by-sa-4.0": "CC-BY-SA-4.0",
	"cddl-1.0": "CDDL-1.0", "curl": "curl", "expat": "MIT", "fsfap": "FSFAP", "fsful": "FSFUL", "fsfullr": "FSFULLR",
	"isc": "ISC", "mit-0": "MIT-0", "mpl-1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0", "openssl": "OpenSSL", "ofl-1.1": "OFL-1.1",
	"openldap-2.8": "OLDAP-2.8", "python-2.0": "Python-2.0", "unlicense": "Unlicense", "wtfpl-2.0": "WTFPL", "x11": "X11", "zlib": "Zlib",
}

// spdxName gives the SPDX identifier of one of Debian's short names, or nothing.
func spdxName(short string) string {
	if m := gnuName.FindStringSubmatch(strings.ToUpper(short)); m != nil {
		minor := m[3]
		if minor == "" {
			minor = "0"
		}
		base := m[1] + "-" + m[2] + "." + minor
		if !gnuVersions[base] {
			return ""
		}
		if m[4] != "" {
			return base + "-or-later"
		}
		return base + "-only"
	}
	return names[strings.ToLower(short)]
}
