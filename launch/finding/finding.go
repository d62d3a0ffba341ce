// Package finding is what every check of a system speaks: one thing that was looked at, how it stands, what is lost by it and
// what mends it. The JSON of a Finding is part of the program's interface: names and values stay.
package finding

import "strings"

// Area is the part of the system that a finding is about.
type Area string

// The areas.
const (
	Kernel   Area = "kernel"
	Cgroup   Area = "cgroup"
	Storage  Area = "storage"
	Program  Area = "program"
	Limit    Area = "limit"
	Security Area = "security"
)

// Status is how the thing stands.
type Status string

// The statuses.
const (
	// OK is there and usable.
	OK Status = "ok"
	// Missing is not there.
	Missing Status = "missing"
	// Disabled is there and switched off, or switched to something that is in the way.
	Disabled Status = "disabled"
	// Unknown cannot be told from what could be read.
	Unknown Status = "unknown"
	// NotApplicable is not asked for on this system.
	NotApplicable Status = "not-applicable"
)

// Severity is how bad it is where the thing is missing or disabled. It says nothing where the status is another.
type Severity string

// The severities.
const (
	// Fatal keeps the daemon from starting, or ordinary containers from running.
	Fatal Severity = "fatal"
	// Degraded takes a feature away that many use.
	Degraded Severity = "degraded"
	// Info takes a feature away that few use.
	Info Severity = "info"
)

// Finding is the result of one check.
type Finding struct {
	// ID is stable, for example kernel.CONFIG_VETH.
	ID       string   `json:"id"`
	Area     Area     `json:"area"`
	Status   Status   `json:"status"`
	Severity Severity `json:"severity"`
	// Lost is what does not work where the thing is missing or disabled.
	Lost string `json:"lost,omitempty"`
	// Fix is what a person can do about it.
	Fix string `json:"fix,omitempty"`
	// Note tells why the verdict is what it is.
	Note string `json:"note,omitempty"`
}

// Bad tells whether something is lost.
func (f Finding) Bad() bool { return f.Status == Missing || f.Status == Disabled }

// Sentence tells the finding in one line: why, what is lost and what to do.
func (f Finding) Sentence() string {
	text := f.Note
	if text == "" {
		text = f.ID + ": " + string(f.Status)
	}
	if f.Lost != "" {
		text += ". Lost: " + f.Lost
	}
	if f.Fix != "" {
		text += ". " + strings.ToUpper(f.Fix[:1]) + f.Fix[1:]
	}
	return text
}

// Conclusion sums findings up.
type Conclusion string

// The conclusions.
const (
	// WillRun is for a system where nothing that matters is lost.
	WillRun Conclusion = "ok"
	// WithLoss is for one where Docker runs without some feature, or where something that it cannot do without could not be told.
	WithLoss Conclusion = "degraded"
	// WillFail is for one where Docker does not run.
	WillFail Conclusion = "fail"
)

// Verdict is fail where something fatal is missing or disabled, degraded where something else of weight is or where something
// fatal is unknown, and ok otherwise: what is only worth knowing does not count.
func Verdict(findings []Finding) Conclusion {
	verdict := WillRun
	for _, f := range findings {
		switch {
		case f.Bad() && f.Severity == Fatal:
			return WillFail
		case f.Bad() && f.Severity == Degraded, f.Status == Unknown && f.Severity == Fatal:
			verdict = WithLoss
		}
	}
	return verdict
}
