package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// imagesEvery bounds how often the filesystem is flushed for the sake of images. It is also how soon it is looked again whether
	// there is a place for them yet, which is done ever less, but not less than after imagesRarely.
	imagesEvery  = time.Second
	imagesRarely = time.Minute
	// imageEvents is room for some hundred events: what is more waits in the kernel, for the next flush.
	imageEvents = 64 << 10
)

// SyncImages flushes the filesystem of a data-root when Docker has one image more. Docker flushes its own record of an image
// (image/DRIVER/imagedb and repositories.json, which it replaces by rename(2): moby, pkg/ioutils/fswriters.go), but not the
// files of its layers; the kernel writes them out when they are half a minute old. After a power cut before that, Docker knows
// an image whose programs are empty.
//
// It returns when ctx ends, or with an error. The flush begins when Docker's record is written, and nobody waits for it: it
// makes the time short in which an image can be damaged, and does not make it zero.
func SyncImages(ctx context.Context, root string) error {
	return syncImages(ctx, root, imagesEvery, syncFilesystem)
}

func syncImages(ctx context.Context, root string, every time.Duration, sync func(path string) error) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify_init1: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	// A read that waits ends with the file.
	defer context.AfterFunc(ctx, func() { events.Close() })()
	for wait := every; ; wait = min(2*wait, imagesRarely) {
		watched, err := watchImages(fd, root)
		if err != nil {
			return err
		}
		if watched {
			break
		}
		if !pause(ctx, wait) { // Docker makes its folders at its first start
			return nil
		}
	}
	buffer := make([]byte, imageEvents)
	for {
		if _, err := events.Read(buffer); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching the images in %s: %w", root, err)
		}
		if err := sync(root); err != nil {
			return fmt.Errorf("syncfs %s: %w", root, err)
		}
		if !pause(ctx, every) {
			return nil
		}
	}
}

// watchImages asks for events of the folders with Docker's records of images, whatever the storage driver.
func watchImages(fd int, root string) (watched bool, err error) {
	watched = true // in all of them: Docker may make them between two looks
	for _, pattern := range []string{"image/*", "image/*/imagedb/content/sha256"} {
		folders, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return false, err // a data-root with the signs of a pattern in its name
		}
		watched = watched && len(folders) > 0
		for _, folder := range folders {
			_, err := unix.InotifyAddWatch(fd, folder, unix.IN_MOVED_TO|unix.IN_ONLYDIR)
			if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
				return false, &os.PathError{Op: "inotify_add_watch", Path: folder, Err: err}
			}
		}
	}
	return watched, nil
}

// syncFilesystem flushes the filesystem that a folder is on. The folder is open for no longer, as it could not be unmounted.
func syncFilesystem(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(fd), unix.Close(fd))
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
