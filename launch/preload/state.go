package preload

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// errBroken says that the state file cannot be read as such.
var errBroken = errors.New("it is broken, so that all archives are loaded anew; it is written again")

// maxState bounds the state file in bytes.
const maxState = 8 << 20

// identity tells archives apart: quickly by what stat(2) says, and surely by the content.
type identity struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Mtime  int64  `json:"mtime_ns"`
	SHA256 string `json:"sha256"`
}

func identify(name string, st fs.FileInfo) identity {
	return identity{Name: name, Size: st.Size(), Mtime: st.ModTime().UnixNano()}
}

// state is what has been loaded. An archive that is gone from the folder stays in it: it may come back.
type state struct {
	Loaded []identity `json:"loaded"`
}

// has tells whether an archive is known by what stat(2) says.
func (s *state) has(id identity) bool {
	for _, l := range s.Loaded {
		if l.Name == id.Name && l.Size == id.Size && l.Mtime == id.Mtime {
			return true
		}
	}
	return false
}

func (s *state) hasSize(size int64) bool {
	for _, l := range s.Loaded {
		if l.Size == size {
			return true
		}
	}
	return false
}

func (s *state) hasContent(sha256 string) bool {
	for _, l := range s.Loaded {
		if l.SHA256 == sha256 {
			return true
		}
	}
	return false
}

// put remembers an archive, in the place of one of the same content that lay under the same name.
func (s *state) put(id identity) {
	for i, l := range s.Loaded {
		if l.Name == id.Name && l.SHA256 == id.SHA256 {
			s.Loaded[i] = id
			return
		}
	}
	s.Loaded = append(s.Loaded, id)
}

func readState(path string) (*state, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up which image archives have been loaded: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("looking up which image archives have been loaded: %w", err)
	}
	var s state
	if len(data) > maxState {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", path, maxState, errBroken)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, err, errBroken)
	}
	return &s, nil
}

// write replaces the state file as a whole or not at all.
func (s *state) write(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("remembering which image archives have been loaded (they are loaded again at the next start): %w", err)
		}
	}()
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+StateName+"-")
	if err != nil {
		return err
	}
	_, err = temp.Write(append(data, '\n'))
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
