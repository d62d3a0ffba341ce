package preflight

import (
	"fmt"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// Finding is the verdict in the form that all checks share. What stops the launch is fatal, in the words of Text.
func (f Finding) Finding() finding.Finding {
	r := f.Requirement
	out := finding.Finding{ID: "program." + r.Name, Area: finding.Program, Severity: r.severity()}
	switch f.Level {
	case Fine:
		out.Status, out.Note = finding.OK, f.Text
	case Needless:
		out.Status, out.Note = finding.NotApplicable, f.Text
	case Waived:
		out = r.missing()
		out.Fix = ""
		if out.Severity == finding.Fatal {
			out.Severity = finding.Degraded
		}
	default:
		out = r.missing()
	}
	return out
}

// missing is the finding for a requirement that is not there.
func (r Requirement) missing() finding.Finding {
	f := finding.Finding{
		ID: "program." + r.Name, Area: finding.Program, Status: finding.Missing, Severity: r.severity(), Lost: r.Lost,
		Note: r.Name + " is missing, Docker uses it to " + r.For,
		Fix:  fmt.Sprintf("install %s (%s)", r.Package, r.places()),
	}
	if r.How != "" {
		f.Fix += ", or do without: " + r.How
	}
	if !r.Ignorable {
		f.Fix += ". To start all the same: dockerlaunch --without " + r.Name
	}
	return f
}

// severity is fatal for what stops the launch. Of the rest, builds from a git URL and packings that went out of use are for few.
func (r Requirement) severity() finding.Severity {
	switch r.Name {
	case "nft", "xz", "git", "git-clone", "git-submodule", "git-checkout", "ssh":
		return finding.Info
	}
	if r.Ignorable {
		return finding.Degraded
	}
	return finding.Fatal
}
