package check

import (
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// book collects findings.
type book struct{ list []finding.Finding }

// stand is a status and the severity that goes with it.
type stand uint8

const (
	ok stand = iota
	needless
	unknown
	missingFatal
	missingLost
	missingMinor
	offFatal
	offLost
	offMinor
)

// missing and off give the stand for a severity.
func missing(s finding.Severity) stand { return missingFatal + level(s) }
func off(s finding.Severity) stand     { return offFatal + level(s) }

func level(s finding.Severity) stand {
	switch s {
	case finding.Fatal:
		return 0
	case finding.Degraded:
		return 1
	}
	return 2
}

// add adds a finding. Its ID begins with its area.
//
//go:noinline
func (b *book) add(id string, s stand, note, lost, fix string) {
	area, _, _ := strings.Cut(id, ".")
	f := finding.Finding{ID: id, Area: finding.Area(area), Status: finding.OK, Severity: finding.Info, Note: note}
	switch {
	case s == needless:
		f.Status = finding.NotApplicable
	case s == unknown:
		f.Status, f.Fix = finding.Unknown, fix
	case s >= offFatal:
		f.Status, f.Lost, f.Fix = finding.Disabled, lost, fix
		s -= offFatal - missingFatal
	case s >= missingFatal:
		f.Status, f.Lost, f.Fix = finding.Missing, lost, fix
	}
	switch s {
	case missingFatal:
		f.Severity = finding.Fatal
	case missingLost:
		f.Severity = finding.Degraded
	}
	b.list = append(b.list, f)
}
