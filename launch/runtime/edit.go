package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxFile bounds what is read; a config.json has some ten thousand bytes.
const maxFile = 16 << 20

// editFile takes capabilities out of a file of the OCI runtime specification. It is replaced as a whole or not at all, and
// only where something changes.
func editFile(path string, whole bool, lacking []string) (changed bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !st.Mode().IsRegular() {
		return false, fmt.Errorf("%s is no regular file (%s)", path, st.Mode())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return false, err
	}
	if len(data) > maxFile {
		return false, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	edited, err := edit(data, whole, lacking)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	if edited == nil {
		return false, nil
	}
	return true, replace(path, edited, st)
}

// replace writes a file under another name and moves it into place. No fsync(2): a bundle lives no longer than the machine.
func replace(path string, data []byte, like os.FileInfo) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Chmod(like.Mode().Perm())
	}
	if owner, ok := like.Sys().(*syscall.Stat_t); ok && err == nil {
		err = temp.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// edit returns a JSON text in which the process's capabilities lack those given, and all else is the same byte for byte;
// nil where nothing changes. A key counts as encoding/json, which runc reads with, takes it: in any case, and each time.
func edit(data []byte, whole bool, lacking []string) ([]byte, error) {
	if !json.Valid(data) {
		return nil, errors.New("it is no valid JSON")
	}
	process := []span{{0, len(data)}}
	if !whole {
		process = member(data, process, "process")
	}
	sets := member(data, process, "capabilities")
	var out []byte
	end := 0
	for _, set := range sets {
		for _, m := range members(data, set) {
			kept, changed := without(data[m.value.from:m.value.to], lacking)
			if changed {
				out = append(append(out, data[end:m.value.from]...), kept...)
				end = m.value.to
			}
		}
	}
	if end == 0 {
		return nil, nil
	}
	return append(out, data[end:]...), nil
}

// without takes names out of an array of strings. What is no such array stays.
func without(array []byte, lacking []string) (kept []byte, changed bool) {
	if array[0] != '[' {
		return nil, false
	}
	var list []string
	if err := json.Unmarshal(array, &list); err != nil {
		return nil, false // null among them, or numbers: runc has its own opinion of those
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(lacking, name) })
	if len(rest) == len(list) {
		return nil, false
	}
	kept, err := json.Marshal(rest)
	return kept, err == nil
}

// span is a piece of the text.
type span struct{ from, to int }

type field struct {
	key   string
	value span
}

// member finds the values of a key in objects.
func member(data []byte, objects []span, key string) []span {
	var found []span
	for _, object := range objects {
		for _, m := range members(data, object) {
			if strings.EqualFold(m.key, key) {
				found = append(found, m.value)
			}
		}
	}
	return found
}

// members lists the members of an object in a text that is valid JSON, and nothing of another value.
func members(data []byte, object span) []field {
	i := space(data, object.from)
	if i >= len(data) || data[i] != '{' {
		return nil
	}
	var list []field
	for i = space(data, i+1); data[i] != '}'; i = space(data, i) {
		if data[i] == ',' {
			i = space(data, i+1)
		}
		end := skip(data, i)
		var key string
		// Valid JSON, so that a key is a string.
		_ = json.Unmarshal(data[i:end], &key)
		from := space(data, space(data, end)+1) // over the colon
		i = skip(data, from)
		list = append(list, field{key, span{from, i}})
	}
	return list
}

func space(data []byte, i int) int {
	for i < len(data) && strings.IndexByte(" \t\r\n", data[i]) >= 0 {
		i++
	}
	return i
}

// skip returns where the value that begins at i ends, in a text that is valid JSON.
func skip(data []byte, i int) int {
	depth := 0
	for ; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		case ' ', '\t', '\r', '\n', ',', ':':
			continue
		default: // a number or a word, the end of which is what stands behind it
			for i+1 < len(data) && strings.IndexByte(" \t\r\n,]}", data[i+1]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(data)
}

// quote writes a text as a JSON string.
func quote(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		return `""` // cannot be: any string is one of JSON's
	}
	return string(data)
}
