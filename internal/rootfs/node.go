package rootfs

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open opens a file's bytes where the packages, or the launcher, have them. A node that was read from a manifest has none.
func (n *Node) Open() (io.ReadCloser, error) {
	switch {
	case n.Kind != KindFile:
		return nil, fmt.Errorf("%s is a %s and has no bytes: %w", n.Path, n.Kind, fs.ErrInvalid)
	case n.source != "":
		f, err := os.Open(n.source)
		if err != nil {
			return nil, fmt.Errorf("opening what is to be /%s: %w", n.Path, err)
		}
		return f, nil
	case n.content == nil && n.Size > 0:
		return nil, fmt.Errorf("%s was read from a manifest, which has no bytes: %w", n.Path, fs.ErrInvalid)
	}
	return io.NopCloser(bytes.NewReader(n.content)), nil
}

// FileNode is a node with the bytes of the file source, for what is laid into an archive beside a plan.
func FileNode(path, source string, mode fs.FileMode) (*Node, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, fmt.Errorf("looking at what is to be /%s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s, which is to be /%s, is no file: %w", source, path, fs.ErrInvalid)
	}
	return &Node{Path: path, Kind: KindFile, Mode: mode, Size: info.Size(), source: source}, nil
}

// ContentNode is a node with the bytes of content.
func ContentNode(path string, mode fs.FileMode, content []byte) *Node {
	return &Node{Path: path, Kind: KindFile, Mode: mode, Size: int64(len(content)), content: content}
}
