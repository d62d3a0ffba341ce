package rootfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Manifest says what a tree holds and why. It lies beside the tree, as the tree's name with .json behind it.
type Manifest struct {
	// Stamp stands for everything that the tree was made from but the launcher. It is empty while the tree is being changed.
	Stamp string `json:"stamp"`
	// Launcher is the launcher's SHA-256, in hexadecimal, or empty where the tree has none.
	Launcher string `json:"launcher,omitempty"`
	// Epoch is the modification time of everything in the tree, in seconds since 1970.
	Epoch int64 `json:"epoch"`
	// Archives are the packages that something in the tree comes from, sorted by name.
	Archives []*Archive `json:"archives"`
	// Requirements are the rows of the table, in its order.
	Requirements []Row `json:"requirements"`
	// Nodes is everything in the tree, sorted by path.
	Nodes []*Node `json:"nodes"`
}

// Row is what the table says of a requirement.
type Row struct {
	Name  string `json:"name"`
	Group Group  `json:"group"`
	Why   string `json:"why"`
}

// ManifestPath is where the manifest of the tree at out lies.
func ManifestPath(out string) string { return filepath.Clean(out) + ".json" }

// ReadManifest reads the manifest of the tree at out. Where there is none, the error is an fs.ErrNotExist.
func ReadManifest(out string) (*Manifest, error) {
	raw, err := os.ReadFile(ManifestPath(out))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no tree at %s: build it first: %w", out, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tree's manifest: %w", err)
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("reading %s: %w: remove it and the tree, and build them again", ManifestPath(out), err)
	}
	return &m, nil
}

// save writes the manifest of the tree at out.
func (m *Manifest) save(out string) error {
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("writing the tree's manifest: %w", err)
	}
	next := ManifestPath(out) + ".new"
	if err := os.WriteFile(next, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the tree's manifest: %w", err)
	}
	if err := os.Rename(next, ManifestPath(out)); err != nil {
		return fmt.Errorf("writing the tree's manifest: %w", err)
	}
	return nil
}
