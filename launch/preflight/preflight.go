package preflight

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
)

// Found tells where each requirement was found; one that is not there has no entry.
type Found map[string]string

// Look searches root for everything in the table. search is the value of PATH.
func Look(table []Requirement, search string) Found {
	found := Found{}
	for _, r := range table {
		if where := r.look(search); where != "" {
			found[r.Name] = where
		}
	}
	return found
}

// look returns where the requirement is, or "". Why a candidate does not serve (missing, no execute permission) makes no
// difference to the verdict.
func (r Requirement) look(search string) string {
	for _, file := range r.Files {
		if FileExists(file) {
			return "/" + file
		}
	}
	if len(r.Files) > 0 {
		return ""
	}
	if r.Libexec {
		for _, dir := range LibexecDirs {
			if where, err := host.Look(path.Join("/", dir, r.Name), ""); err == nil {
				return where
			}
		}
	}
	where, err := host.Look(r.Name, search)
	if err != nil {
		return ""
	}
	return where
}

// FileExists tells whether a file, given relative to the root, is there and not empty.
func FileExists(name string) bool {
	st, err := os.Stat("/" + name)
	return err == nil && st.Mode().IsRegular() && st.Size() > 0
}

// Level is how bad a finding is.
type Level string

const (
	// Fine is a requirement that is met.
	Fine Level = "fine"
	// Needless is one that the conditions make superfluous.
	Needless Level = "needless"
	// Waived is one that is missing and that the user said to do without.
	Waived Level = "waived"
	// Warning is one that is missing and that Docker runs without.
	Warning Level = "warning"
	// Refusal is one that is missing and that stops the launch.
	Refusal Level = "refusal"
)

// Finding is the verdict on one requirement.
type Finding struct {
	Requirement Requirement `json:"requirement"`
	Level       Level       `json:"level"`
	// Text is a sentence for the user: where it was found, or what is lost and what to do.
	Text string `json:"text"`
}

// CheckNames looks whether all names are in the table. One that is not is a typing error, which would otherwise stop a boot later on.
func CheckNames(table []Requirement, names []string) error {
	for _, name := range names {
		if strings.Contains(name, ".") {
			continue // the ID of a finding that is none of this table's
		}
		if !slices.ContainsFunc(table, func(r Requirement) bool { return r.Name == name }) {
			return fmt.Errorf("--without %s: there is no such requirement; the names are %s", name, strings.Join(Names(table), ", "))
		}
	}
	return nil
}

// Judge compares the table with what was found. without names the requirements that the user said to do without; the error is that
// of CheckNames.
func Judge(table []Requirement, found Found, c Conditions, without []string) ([]Finding, error) {
	if err := CheckNames(table, without); err != nil {
		return nil, err
	}
	findings := make([]Finding, 0, len(table))
	for _, r := range table {
		findings = append(findings, r.judge(found[r.Name], c, slices.Contains(without, r.Name)))
	}
	return findings, nil
}

func (r Requirement) judge(where string, c Conditions, waived bool) Finding {
	if where != "" {
		return Finding{r, Fine, where}
	}
	if r.needless != nil {
		if why := r.needless(c); why != "" {
			return Finding{r, Needless, "not needed: " + why}
		}
	}
	if waived {
		return Finding{r, Waived, fmt.Sprintf("%s is missing, as --without %s allows. Lost: %s", r.Name, r.Name, r.Lost)}
	}
	level := Refusal
	if r.Ignorable {
		level = Warning
	}
	return Finding{r, level, r.missing().Sentence()}
}

// places tells where the requirement is looked for.
func (r Requirement) places() string {
	if len(r.Files) > 0 {
		return "/" + r.Files[0]
	}
	return "looked for in PATH"
}

// Names lists the names of the table.
func Names(table []Requirement) []string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.Name
	}
	return names
}
