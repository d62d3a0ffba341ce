package ociimage

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// packFormat is part of a packed layer's key, and changes when the way of packing does.
const packFormat = "tar+gzip 1"

// gzipLevel is a compromise: of dockerd, the highest level takes off three hundredths more, and ten times as long.
const gzipLevel = 6

// packed is a layer as a file: a gzip-compressed tar archive. docker load takes gzip in every release; zstd only from 23.0 on.
type packed struct {
	Layer `json:"-"`
	file  string
	// Digest and DiffID are the SHA-256 of the file and of the archive in it, in hexadecimal.
	Digest string `json:"digest"`
	DiffID string `json:"diff_id"`
	// Size is the file's, in bytes.
	Size int64 `json:"size"`
}

// pack gives the layer as a file in the folder cache, and makes it where it is not there, or is not whole.
func pack(ctx context.Context, l Layer, sums map[string]Sums, cache string) (*packed, error) {
	key, err := l.key(sums)
	if err != nil {
		return nil, err
	}
	p := &packed{Layer: l, file: filepath.Join(cache, key+".tar.gz")}
	if ok, err := p.load(); ok || err != nil {
		return p, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of packed layers: %w", err)
	}
	if err := p.make(ctx, sums); err != nil {
		return nil, fmt.Errorf("packing the layer %s: %w", l.Name, err)
	}
	return p, nil
}

// key stands for every byte of a layer.
func (l Layer) key(sums map[string]Sums) (string, error) {
	h := sha256.New()
	e := json.NewEncoder(h)
	if err := e.Encode([]any{packFormat, gzipLevel, l.Time}); err != nil {
		return "", fmt.Errorf("naming the layer %s: %w", l.Name, err)
	}
	for _, n := range l.Nodes {
		if n.Kind == rootfs.KindFile && sums[n.Path].SHA256 == "" {
			return "", fmt.Errorf("naming the layer %s: %s was not hashed", l.Name, n.Path)
		}
		if err := e.Encode([]any{n.Path, n.Kind, n.Mode, n.Size, n.Target, sums[n.Path].SHA256}); err != nil {
			return "", fmt.Errorf("naming the layer %s: %w", l.Name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// load tells whether the layer was packed before. A file that is not what it was then is packed again.
func (p *packed) load() (bool, error) {
	raw, err := os.ReadFile(p.file + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading a packed layer: %w", err)
	}
	if err := json.Unmarshal(raw, p); err != nil {
		return false, nil // half written: it is made again
	}
	f, err := os.Open(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading a packed layer: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return false, fmt.Errorf("reading a packed layer: %w", err)
	}
	return size == p.Size && hex.EncodeToString(h.Sum(nil)) == p.Digest, nil
}

func (p *packed) make(ctx context.Context, sums map[string]Sums) (err error) {
	f, err := os.CreateTemp(filepath.Dir(p.file), "part-")
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err == nil {
			err = p.keep(f.Name())
		}
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	compressed, plain := sha256.New(), sha256.New()
	out := &counter{w: io.MultiWriter(f, compressed)}
	z, err := gzip.NewWriterLevel(out, gzipLevel)
	if err != nil {
		return err
	}
	if err := writeTar(ctx, io.MultiWriter(z, plain), p.Layer, sums); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	p.Size, p.Digest, p.DiffID = out.n, hex.EncodeToString(compressed.Sum(nil)), hex.EncodeToString(plain.Sum(nil))
	return f.Chmod(0o644)
}

// keep puts the file at name in its place, and writes down what it is.
func (p *packed) keep(name string) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.Rename(name, p.file); err != nil {
		return err
	}
	return os.WriteFile(p.file+".json", append(raw, '\n'), 0o644)
}

// writeTar writes a layer as an archive. Everything in it is root's, and all bytes follow from the layer alone.
func writeTar(ctx context.Context, w io.Writer, l Layer, sums map[string]Sums) error {
	tw := tar.NewWriter(w)
	for _, n := range l.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := &tar.Header{Name: n.Path, Mode: int64(n.Mode), ModTime: time.Unix(l.Time, 0), Format: tar.FormatUSTAR}
		switch n.Kind {
		case rootfs.KindFolder:
			h.Typeflag, h.Name = tar.TypeDir, n.Path+"/"
		case rootfs.KindLink:
			h.Typeflag, h.Linkname = tar.TypeSymlink, n.Target
		case rootfs.KindFile:
			h.Typeflag, h.Size = tar.TypeReg, n.Size
		default:
			return fmt.Errorf("%s is of no known kind: %q", n.Path, n.Kind)
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", n.Path, err)
		}
		if n.Kind != rootfs.KindFile {
			continue
		}
		if err := copyFile(tw, n, sums[n.Path].SHA256); err != nil {
			return err
		}
	}
	return tw.Close()
}

// copyFile copies a file's bytes, which must be those that were hashed: the layer's key stands for them.
func copyFile(w io.Writer, n *rootfs.Node, sum string) error {
	r, err := n.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(w, h), r)
	if err != nil && !errors.Is(err, tar.ErrWriteTooLong) {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	if hex.EncodeToString(h.Sum(nil)) != sum {
		return errChanged(n, size)
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
