package kconfig

import (
	"strconv"
	"strings"
)

// Release is a kernel's version as numbers, for example 6.12.43 or 2.6.32. What follows the numbers is the vendor's and not
// kept. The zero value is an unknown release.
type Release struct {
	Major, Minor, Patch int
}

// ParseRelease reads the numbers at the beginning of a release such as 6.12.43+deb13-amd64, as uname(2) and the header of a
// configuration give them. ok is false where there are not at least two of them.
func ParseRelease(text string) (r Release, ok bool) {
	for i, part := range []*int{&r.Major, &r.Minor, &r.Patch} {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		n, err := strconv.Atoi(text[:digits])
		if err != nil || n > 1<<16 { // no number here, or one that is no version
			return r, i >= 2
		}
		*part, text = n, text[digits:]
		if i < 2 {
			rest, dot := strings.CutPrefix(text, ".")
			if !dot {
				return r, i >= 1
			}
			text = rest
		}
	}
	return r, true
}

// Known is false for the zero value.
func (r Release) Known() bool { return r != Release{} }

func (r Release) String() string {
	return strconv.Itoa(r.Major) + "." + strconv.Itoa(r.Minor) + "." + strconv.Itoa(r.Patch)
}

// Compare orders releases, -1, 0 or 1.
func (r Release) Compare(o Release) int {
	for _, d := range [...]int{r.Major - o.Major, r.Minor - o.Minor, r.Patch - o.Patch} {
		if d < 0 {
			return -1
		} else if d > 0 {
			return 1
		}
	}
	return 0
}

// series is the number that a feature comes or goes with: 6.12.43 belongs to 6.12, and 2.6.32.61 to 2.6.32.
func (r Release) series() Release {
	if r.Major == 2 {
		return r
	}
	return Release{r.Major, r.Minor, 0}
}

// series is a bound as the table writes it: 6_12 is 6.12, and 2_6_32 is 2.6.32. 0 is no bound. Majors have one digit.
type series uint16

func (s series) release() Release {
	major, scale := int(s), 1
	for major >= 10 {
		major, scale = major/10, scale*10
	}
	rest := int(s) - major*scale
	if major == 2 { // always 2.6
		return Release{2, 6, rest - 6*scale/10}
	}
	return Release{major, rest, 0}
}

func (s series) String() string {
	r := s.release()
	if r.Major == 2 {
		return r.String()
	}
	return strconv.Itoa(r.Major) + "." + strconv.Itoa(r.Minor)
}

// before tells whether r is of an older series than bound. No bound is the beginning of time.
func (r Release) before(bound series) bool {
	return bound != 0 && r.series().Compare(bound.release()) < 0
}

// after tells whether r is of a newer series than bound. No bound is the end of time.
func (r Release) after(bound series) bool {
	return bound != 0 && r.series().Compare(bound.release()) > 0
}
