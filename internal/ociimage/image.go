package ociimage

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// Variant is how much an image has.
type Variant string

// The variants.
const (
	VariantFull    Variant = "full"    // with git and ssh, for builds from git URLs
	VariantMinimal Variant = "minimal" // without
)

// Options say what an image is made of.
type Options struct {
	// Plan is the tree, from rootfs.Plan, and Sums the hashes of its files, from Sum. The tree must have the launcher.
	Plan *rootfs.Manifest
	Sums map[string]Sums
	// Cache is a folder where packed layers are kept, and found again by the next run.
	Cache   string
	Variant Variant
	// Created is when the image is said to have been made, in seconds since 1970: the time of the commit. It is part of the bytes.
	Created int64
	// Latest is the latest time that anything in the image may have, in seconds since 1970, or 0: what SOURCE_DATE_EPOCH asks for.
	Latest int64
	// Version and Revision are those of the launcher, for the labels; either may be empty.
	Version, Revision string
}

// Image is an image whose layers lie packed in a cache.
type Image struct {
	image  v1.Image
	layers []*packed
	config []byte
}

// Build packs the layers that are not packed yet, and makes an image of them.
func Build(ctx context.Context, o Options) (*Image, error) {
	architecture, err := launcherArchitecture(o.Plan)
	if err != nil {
		return nil, err
	}
	i := &Image{}
	for _, l := range Split(o.Plan, o.Created, o.Latest) {
		p, err := pack(ctx, l, o.Sums, o.Cache)
		if err != nil {
			return nil, err
		}
		i.layers = append(i.layers, p)
	}
	if i.config, err = o.config(architecture, i.layers); err != nil {
		return nil, err
	}
	if i.image, err = partial.CompressedToImage(i.core()); err != nil {
		return nil, fmt.Errorf("making the image: %w", err)
	}
	return i, nil
}

// Image gives the image as go-containerregistry knows it.
func (i *Image) Image() v1.Image { return i.image }

// ID is the digest of the image's configuration, "sha256:…", which docker prints as the image's ID.
func (i *Image) ID() string { return "sha256:" + digest(i.config) }

// LayerInfo says what a layer of an image weighs.
type LayerInfo struct {
	Name LayerName
	// Digest is that of the compressed layer, "sha256:…".
	Digest string
	// Size and Compressed are what its files have, and what it is as a file, in bytes.
	Size, Compressed int64
}

// Layers lists the layers, the lowest first.
func (i *Image) Layers() []LayerInfo {
	var out []LayerInfo
	for _, p := range i.layers {
		info := LayerInfo{Name: p.Name, Digest: "sha256:" + p.Digest, Compressed: p.Size}
		for _, n := range p.Nodes {
			info.Size += n.Size
		}
		out = append(out, info)
	}
	return out
}

// Prune removes the packed layers of cache that none of the images has.
func Prune(cache string, images ...*Image) error {
	var keep []string
	for _, i := range images {
		for _, p := range i.layers {
			keep = append(keep, p.file, p.file+".json")
		}
	}
	entries, err := os.ReadDir(cache)
	if err != nil {
		return fmt.Errorf("listing the packed layers: %w", err)
	}
	for _, e := range entries {
		name := cache + string(os.PathSeparator) + e.Name()
		if !slices.Contains(keep, name) {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("removing a packed layer that is no longer wanted: %w", err)
			}
		}
	}
	return nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// core is what the library makes an image of.
type core struct {
	config, manifest []byte
	layers           map[string]*packed // by digest
}

func (i *Image) core() *core {
	c := &core{config: i.config, layers: map[string]*packed{}}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(i.config)), Digest: sha256Hash(digest(i.config))},
	}
	for _, p := range i.layers {
		c.layers["sha256:"+p.Digest] = p
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.OCILayer, Size: p.Size, Digest: sha256Hash(p.Digest)})
	}
	c.manifest = mustJSON(m)
	return c
}

// mustJSON is for values that have no part which JSON lacks.
func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func (c *core) RawConfigFile() ([]byte, error)      { return c.config, nil }
func (c *core) RawManifest() ([]byte, error)        { return c.manifest, nil }
func (c *core) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (c *core) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	p, ok := c.layers[h.String()]
	if !ok {
		return nil, fmt.Errorf("the image has no layer %s", h)
	}
	return &compressedLayer{p}, nil
}

// compressedLayer gives a packed layer the methods that the library asks for; some have the names of its fields.
type compressedLayer struct{ p *packed }

func (l *compressedLayer) Digest() (v1.Hash, error)            { return sha256Hash(l.p.Digest), nil }
func (l *compressedLayer) DiffID() (v1.Hash, error)            { return sha256Hash(l.p.DiffID), nil }
func (l *compressedLayer) Size() (int64, error)                { return l.p.Size, nil }
func (l *compressedLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *compressedLayer) Compressed() (io.ReadCloser, error)  { return os.Open(l.p.file) }

func sha256Hash(hexadecimal string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: hexadecimal} }

// goArchitectures are the names that images use, which are Go's, by ELF machine.
var goArchitectures = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_RISCV: "riscv64", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x",
}

// launcherArchitecture reads the launcher's ELF header.
func launcherArchitecture(plan *rootfs.Manifest) (string, error) {
	at := slices.IndexFunc(plan.Nodes, func(n *rootfs.Node) bool { return n.Path == rootfs.LauncherPath })
	if at < 0 {
		return "", errors.New("the tree has no launcher, which is the image's entrypoint: name one")
	}
	r, err := plan.Nodes[at].Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	at256, ok := r.(io.ReaderAt)
	if !ok {
		return "", fmt.Errorf("the launcher cannot be read at will: %T", r)
	}
	f, err := elf.NewFile(at256)
	if err != nil {
		return "", fmt.Errorf("reading the launcher's header: %w", err)
	}
	name := goArchitectures[f.Machine]
	if name == "" {
		return "", fmt.Errorf("the launcher is for %s, which images have no name for here", f.Machine)
	}
	return name, nil
}
