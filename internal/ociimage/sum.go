package ociimage

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// Sums are a file's hashes, in hexadecimal. SHA-1 is there because SPDX asks for it (clause 8.4 of version 2.3), and nothing
// is trusted for it.
type Sums struct{ SHA1, SHA256 string }

// Sum reads every file of a plan, and gives its hashes by path.
func Sum(ctx context.Context, nodes []*rootfs.Node) (map[string]Sums, error) {
	sums := map[string]Sums{}
	for _, n := range nodes {
		if n.Kind != rootfs.KindFile {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		one, err := sum(n)
		if err != nil {
			return nil, err
		}
		sums[n.Path] = one
	}
	return sums, nil
}

func sum(n *rootfs.Node) (Sums, error) {
	r, err := n.Open()
	if err != nil {
		return Sums{}, err
	}
	defer r.Close()
	h1, h256 := sha1.New(), sha256.New()
	size, err := io.Copy(io.MultiWriter(h1, h256), r)
	if err != nil {
		return Sums{}, fmt.Errorf("reading what is to be /%s: %w", n.Path, err)
	}
	if size != n.Size {
		return Sums{}, errChanged(n, size)
	}
	return Sums{SHA1: hex.EncodeToString(h1.Sum(nil)), SHA256: hex.EncodeToString(h256.Sum(nil))}, nil
}

func errChanged(n *rootfs.Node, size int64) error {
	return fmt.Errorf("what is to be /%s has %d bytes where %d were planned: it has changed meanwhile, run this again", n.Path, size, n.Size)
}
