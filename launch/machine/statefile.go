package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// DefaultStateDir is where the launcher keeps what is to outlive a boot, unless it is told another place.
const DefaultStateDir = "/var/lib/dockerlaunch"

// StateDir decides where that is: where the option says; else in a folder of the data-root, where that lies on a disk, as the
// root may be memory; else in DefaultStateDir.
func StateDir(option, dataRoot string, dataOnDisk bool) string {
	switch {
	case option != "":
		return option
	case dataOnDisk && dataRoot != "":
		return filepath.Join(dataRoot, ".dockerlaunch")
	}
	return DefaultStateDir
}

// replacing keeps the save of a shutdown and one of every so often apart.
var replacing sync.Mutex

// replaceFile writes a file whole or not at all, and returns when it is on the disk: what stood there is replaced by
// rename(2), and both the file and its folder are synced.
func replaceFile(path string, mode fs.FileMode, data []byte) (err error) {
	replacing.Lock()
	defer replacing.Unlock()
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// One name for all attempts, so that power cuts leave at most one such file.
	temp := filepath.Join(dir, "."+filepath.Base(path)+".new")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing the folder: %w", err)
	}
	return nil
}
