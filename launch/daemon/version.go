package daemon

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a release of dockerd. The zero Version means that none is known; it is older than all others in Compare,
// so ask Known first where "unknown" must not be read as "old".
type Version struct {
	Major, Minor, Patch int
	// Pre is the part that makes it a pre-release, "rc.1" or "beta.2". A pre-release comes before its release.
	Pre string
	// Dev is true for a build of no release ("dev", "library-import", "0.0.0-dev"), taken as newer than every release.
	Dev bool
}

// ParseVersion reads a version out of what `dockerd --version` prints ("Docker version 26.1.5+dfsg1, build 411e817"),
// of /version's Version member, or of the version alone ("1.13.1", "17.05.0-ce", "v27.0.0-rc.1"). A distribution's
// suffix (+dfsg1) and an edition (-ce, -ee-3) do not count. The error tells what could not be read.
//
// What dockerd prints is set in moby's dockerversion/version_lib.go, whose default is "library-import", and "dev" or
// "0.0.0-dev" in builds from a work tree (hack/make.sh).
func ParseVersion(text string) (Version, error) {
	word := strings.TrimSpace(text)
	if _, rest, ok := strings.Cut(word, "version "); ok {
		word = rest
	}
	word, _, _ = strings.Cut(word, "\n")
	word, _, _ = strings.Cut(word, ",")
	word, _, _ = strings.Cut(strings.TrimSpace(word), " ")
	fail := func(why string) (Version, error) {
		return Version{}, fmt.Errorf("reading a Docker version from %.80q: %s", text, why)
	}
	if word == "" {
		return fail("there is no word that could be one")
	}
	if word == "dev" || word == "library-import" || strings.HasPrefix(word, "0.0.0-") {
		return Version{Dev: true}, nil
	}
	numbers, suffix := word, ""
	if i := strings.IndexAny(word, "-+~"); i >= 0 {
		numbers, suffix = word[:i], word[i:]
	}
	parts := strings.Split(strings.TrimPrefix(numbers, "v"), ".")
	if len(parts) < 2 || len(parts) > 4 {
		return fail("it is not of the form 26.1.5")
	}
	var n [3]int
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return fail(fmt.Sprintf("%q is not a number", part))
		}
		if i < len(n) {
			n[i] = int(v)
		}
	}
	v := Version{Major: n[0], Minor: n[1], Patch: n[2], Pre: preRelease(suffix)}
	if v.Major == 0 && v.Minor == 0 && v.Patch == 0 {
		return Version{Dev: true}, nil
	}
	if v.Pre == "dev" {
		return Version{Dev: true}, nil
	}
	return v, nil
}

// preRelease finds the pre-release in what follows the numbers: "-ce-rc2+dfsg1" has "rc2", "-ce" and "+dfsg1" have none.
func preRelease(suffix string) string {
	suffix, _, _ = strings.Cut(suffix, "+")
	for _, part := range strings.FieldsFunc(suffix, func(r rune) bool { return r == '-' || r == '~' }) {
		for _, kind := range []string{"rc", "beta", "alpha", "tp", "dev"} {
			if strings.HasPrefix(part, kind) {
				return part
			}
		}
	}
	return ""
}

// Known reports whether a version is known at all.
func (v Version) Known() bool { return v != Version{} }

// Compare orders two versions: -1 where v is older than w, 0 where they are the same, 1 where v is newer.
func (v Version) Compare(w Version) int {
	if v.Dev || w.Dev {
		return cmp.Compare(toInt(v.Dev), toInt(w.Dev))
	}
	if c := cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch)); c != 0 {
		return c
	}
	if v.Pre == w.Pre {
		return 0
	}
	switch {
	case v.Pre == "":
		return 1
	case w.Pre == "":
		return -1
	}
	return comparePre(v.Pre, w.Pre)
}

// AtLeast reports whether v is known and is the given release or newer. The pre-releases of a release count as it: what
// 27.0 brought, 27.0.0-rc.1 has.
func (v Version) AtLeast(major, minor, patch int) bool {
	if !v.Known() {
		return false
	}
	v.Pre = ""
	return v.Compare(Version{Major: major, Minor: minor, Patch: patch}) >= 0
}

// has tells whether a daemon of this version has what appeared in since and went in until. A zero since means "always",
// a zero until "to this day"; of an unknown version it is taken that it may have everything.
func (v Version) has(since, until Version) bool {
	if !v.Known() {
		return true
	}
	if since.Known() && !v.AtLeast(since.Major, since.Minor, since.Patch) {
		return false
	}
	return !until.Known() || !v.AtLeast(until.Major, until.Minor, until.Patch)
}

// String gives the version as Docker writes it; "unknown" and "dev" for what is no release.
func (v Version) String() string {
	switch {
	case !v.Known():
		return "unknown"
	case v.Dev:
		return "dev"
	}
	text := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Major >= 17 && v.Major <= 20 { // named by year and month
		text = fmt.Sprintf("%d.%02d.%d", v.Major, v.Minor, v.Patch)
	}
	if v.Pre != "" {
		text += "-" + v.Pre
	}
	return text
}

// MarshalText writes the version as String does, so that it is one word in JSON; an unknown one is empty.
func (v Version) MarshalText() ([]byte, error) {
	if !v.Known() {
		return nil, nil
	}
	return []byte(v.String()), nil
}

// UnmarshalText is the reverse of MarshalText.
func (v *Version) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*v = Version{}
		return nil
	}
	parsed, err := ParseVersion(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// comparePre orders "beta.2", "rc.1", "rc2", "rc.10": words by letters, numbers as numbers.
func comparePre(a, b string) int {
	wordA, numberA := splitPre(a)
	wordB, numberB := splitPre(b)
	return cmp.Or(cmp.Compare(wordA, wordB), cmp.Compare(numberA, numberB), cmp.Compare(a, b))
}

func splitPre(pre string) (word string, number int) {
	i := strings.IndexAny(pre, "0123456789")
	if i < 0 {
		return pre, 0
	}
	digits := pre[i:]
	if j := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); j >= 0 {
		digits = digits[:j]
	}
	number, err := strconv.Atoi(digits)
	if err != nil {
		number = 0 // more digits than a number holds; comparePre's last word, the text, decides
	}
	return strings.TrimSuffix(pre[:i], "."), number
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
