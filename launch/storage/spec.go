package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// DefaultSpec is where the data-root is looked for unless something else is said, DataLabel the label that a formatted disk gets.
const (
	DataLabel   = "docker-data"
	DefaultSpec = "LABEL=" + DataLabel
)

// ErrSpec is what every error of ParseSpec matches.
var ErrSpec = errors.New("a disk is given as LABEL=…, UUID=…, PARTLABEL=…, PARTUUID=… or /dev/…")

// Spec names a disk or partition.
type Spec struct {
	Key   string `json:"key"`   // "LABEL", "UUID", "PARTLABEL", "PARTUUID", or "" for a path
	Value string `json:"value"` // a path is clean and below /dev
}

// ParseSpec reads a name of a disk as mount(8) and the kernel's root= have it. UUIDs are compared without regard to case.
func ParseSpec(text string) (Spec, error) {
	if strings.HasPrefix(text, "/") {
		path := filepath.Clean(text)
		if !strings.HasPrefix(path, "/dev/") {
			return Spec{}, fmt.Errorf("%q is not below /dev: %w", text, ErrSpec)
		}
		return Spec{Value: path}, nil
	}
	key, value, ok := strings.Cut(text, "=")
	if len(value) > 1 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
		value = value[1 : len(value)-1]
	}
	switch key {
	case "LABEL", "UUID", "PARTLABEL", "PARTUUID":
	default:
		ok = false
	}
	if !ok || value == "" || strings.ContainsRune(value, 0) {
		return Spec{}, fmt.Errorf("%q: %w", text, ErrSpec)
	}
	return Spec{Key: key, Value: value}, nil
}

// String gives what ParseSpec reads.
func (s Spec) String() string {
	if s.Key == "" {
		return s.Value
	}
	return s.Key + "=" + s.Value
}

// Matches tells whether a disk is meant.
func (s Spec) Matches(d Disk) bool {
	content := d.Content.Kind == Filesystem || d.Content.Kind == Member
	switch s.Key {
	case "LABEL":
		return content && d.Content.Label == s.Value
	case "UUID":
		return content && strings.EqualFold(d.Content.UUID, s.Value)
	case "PARTLABEL":
		return d.PartName == s.Value && d.Partition > 0
	case "PARTUUID":
		return strings.EqualFold(d.PartUUID, s.Value)
	case "":
		return s.Value == d.Path || d.Alias != "" && s.Value == d.Alias
	}
	return false
}
