package ociimage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
)

// refNameAnnotation is the tag of an image in a layout; see the image specification, image-layout.md.
const refNameAnnotation = "org.opencontainers.image.ref.name"

// WriteArchive writes the image as a tar archive for docker load, with a reference such as "dockerlaunch:latest". The file
// appears whole or not at all.
func (i *Image) WriteArchive(file, reference string) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	next := file + ".new"
	if err := tarball.WriteToFile(next, tag, i.image); err != nil {
		return errors.Join(fmt.Errorf("writing the image: %w", err), os.Remove(next))
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	return nil
}

// WriteLayout writes the image as an OCI image layout, in which it has a tag. A layout that is there is replaced as a whole;
// a folder that is none is refused.
func (i *Image) WriteLayout(dir, tag string) error {
	dir = filepath.Clean(dir)
	if err := replaceable(dir); err != nil {
		return err
	}
	next := dir + ".new"
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("removing what an interrupted run left: %w", err)
	}
	if err := i.linkBlobs(next); err != nil {
		return err
	}
	path, err := layout.Write(next, empty.Index)
	if err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	if err := path.AppendImage(i.image, layout.WithAnnotations(map[string]string{refNameAnnotation: tag})); err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	err = unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// There is none yet, or the file system cannot exchange.
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing the old layout: %w", err)
		}
		if err := os.Rename(next, dir); err != nil {
			return fmt.Errorf("putting the layout in its place: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("putting the layout in the place of %s: %w", dir, err)
	}
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("removing the old layout: %w", err)
	}
	return nil
}

// replaceable refuses to remove a folder that is no layout.
func replaceable(dir string) error {
	there, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(there) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
		return fmt.Errorf("%s is a folder that is no image layout (%w): remove it, or name another one", dir, err)
	}
	return nil
}

// linkBlobs puts the packed layers into the layout beforehand, which takes no time where they are on the same file system.
// Where they are not, the library copies them.
func (i *Image) linkBlobs(dir string) error {
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	for _, p := range i.layers {
		if err := os.Link(p.file, filepath.Join(blobs, p.Digest)); err != nil && !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("writing the layout: %w", err)
		}
	}
	return nil
}
