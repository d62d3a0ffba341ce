package daemon

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"
)

// MaxConfigSize is the most bytes of a daemon.json that are read.
const MaxConfigSize = 1 << 20

// Reasons for which a daemon.json is not read; errors.Is finds them in a *ConfigError.
var (
	ErrTooLarge = errors.New("it is larger than 1 MiB") // MaxConfigSize
	// ErrNotRegular: reading a pipe or a socket here would take from dockerd what it is to read afterwards.
	ErrNotRegular = errors.New("it is not a regular file")
)

// ConfigError says why a daemon.json cannot be read.
type ConfigError struct {
	// Path is the file, or "" where a reader was given.
	Path string
	// Line and Column count from 1, Column in characters; both are 0 where the reason is none of a place.
	Line, Column int
	Err          error
}

func (e *ConfigError) Error() string {
	return "reading " + place(e.Path, e.Line, e.Column) + ": " + e.Err.Error()
}

func (e *ConfigError) Unwrap() error { return e.Err }

func place(path string, line, column int) string {
	text := cmp.Or(path, "daemon.json")
	if line > 0 {
		text += fmt.Sprintf(", line %d", line)
	}
	if column > 0 {
		text += fmt.Sprintf(", column %d", column)
	}
	return text
}

// Entry is one key of a daemon.json.
type Entry struct {
	// Key is the key; Parent the key of the object around it, "" at the top.
	Key, Parent string
	// Line and Column are where the key begins, from 1.
	Line, Column int
	// Raw is the value as written.
	Raw json.RawMessage
}

// Config is a daemon.json. The zero value says nothing, as a missing file does.
type Config struct {
	// Path is where it was read, for messages.
	Path string
	// Found is false where there was no file.
	Found bool
	// entries are the keys as dockerd sees them, flattened, in the order of the file; of a duplicate the last.
	entries []Entry
	// duplicates are the keys that a later one replaces.
	duplicates []Entry
}

// Load reads the daemon.json at path, of at most MaxConfigSize bytes. A missing file is an error only where the user
// named it (explicit), as with dockerd's --config-file; an empty path is no file. Errors are *ConfigError.
func Load(path string, explicit bool) (Config, error) {
	if path == "" {
		return Config{}, nil
	}
	fail := func(err error) (Config, error) { return Config{}, &ConfigError{Path: path, Err: err} }
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if explicit {
			return fail(fmt.Errorf("--config-file names it, but there is none: %w", err))
		}
		return Config{Path: path}, nil
	}
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() && !isNull(info) {
		return fail(fmt.Errorf("%w but %s", ErrNotRegular, kindOf(info.Mode())))
	}
	file, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer file.Close()
	c, err := ReadConfig(file)
	if err != nil && !explicit && isZeros(file) {
		c, err = Config{Found: true}, nil // it is set aside before dockerd starts, and nothing but zeros is lost
	}
	c.Path = path
	var configErr *ConfigError
	if errors.As(err, &configErr) {
		configErr.Path = path
	}
	return c, err
}

// isZeros tells whether a file holds nothing but zeros, as a power cut leaves one whose content was not written yet.
func isZeros(file *os.File) bool {
	data, err := io.ReadAll(io.NewSectionReader(file, 0, MaxConfigSize))
	return err == nil && len(data) > 0 && len(bytes.Trim(data, "\x00")) == 0
}

// ReadConfig reads a daemon.json as dockerd does (getConflictFreeConfiguration in moby's daemon/config/config.go): a byte
// order mark decides between UTF-8 and UTF-16, nothing but space is an empty configuration, and an object inside the
// outermost one stands for its members, but for those in flatKeys. Errors are *ConfigError with line and column.
// Unknown keys and the like are no error here; see Problems.
func ReadConfig(r io.Reader) (Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxConfigSize+1))
	if err != nil {
		return Config{}, &ConfigError{Err: err}
	}
	if len(data) > MaxConfigSize {
		return Config{}, &ConfigError{Err: ErrTooLarge}
	}
	c := Config{Found: true}
	data = decodeBOM(data)
	if i := invalidUTF8(data); i >= 0 {
		return Config{}, errorAt(data, i, errors.New("invalid UTF-8"))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return c, nil
	}
	data = append(data, '\n') // so that a word cut off at the end has a place at which it is wrong
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return Config{}, errorAt(data, errorOffset(data, err), fmt.Errorf("invalid JSON: %w", describe(err)))
	}
	if object == nil {
		return c, nil // null
	}
	top, err := members(data, 0)
	if err != nil {
		return Config{}, errorAt(data, 0, fmt.Errorf("invalid JSON: %w", err))
	}
	last := make(map[string]int, len(top))
	for i, m := range top {
		last[m.key] = i
	}
	var all []Entry
	at := startOf(data)
	for _, m := range top {
		switch {
		case m.group() != top[last[m.key]].group():
			// What comes later under the same key replaces it, though their entries have different keys.
			c.duplicates = append(c.duplicates, entryOf(at, m, ""))
			continue
		case !m.group():
			all = append(all, entryOf(at, m, ""))
			continue
		}
		inner, err := members(m.raw, m.rawAt)
		if err != nil {
			return Config{}, errorAt(data, m.rawAt, fmt.Errorf("invalid JSON: %w", err))
		}
		for _, n := range inner {
			all = append(all, entryOf(at, n, m.key))
		}
	}
	c.keepLast(all)
	return c, nil
}

// flatKeys are objects that are values, not groups (flatOptions in moby's daemon/config/config.go).
var flatKeys = []string{"builder", "cluster-store-opts", "default-network-opts", "default-ulimits", "features", "log-opts", "nri-opts", "runtimes"}

// group tells whether the member is an object that only groups options, as "proxies" does.
func (m member) group() bool { return m.raw[0] == '{' && !slices.Contains(flatKeys, m.key) }

func entryOf(at *cursor, m member, parent string) Entry {
	line, column := at.move(m.at)
	return Entry{Key: m.key, Parent: parent, Line: line, Column: column, Raw: m.raw}
}

// keepLast sorts out the keys that a later one replaces.
func (c *Config) keepLast(all []Entry) {
	last := make(map[string]int, len(all))
	for i, e := range all {
		last[e.Key] = i
	}
	for i, e := range all {
		if last[e.Key] == i {
			c.entries = append(c.entries, e)
		} else {
			c.duplicates = append(c.duplicates, e)
		}
	}
}

func (c Config) index(key string) int {
	return slices.IndexFunc(c.entries, func(e Entry) bool { return e.Key == key })
}

// Entries returns the keys in the order of the file, without those that a later duplicate replaces.
func (c Config) Entries() []Entry { return slices.Clone(c.entries) }

// entry finds what the file says of an option, by its long name.
func (c Config) entry(option string) (Entry, bool) {
	o, ok := Lookup(option)
	if !ok {
		return Entry{}, false
	}
	for _, key := range o.flatKeys() {
		if i := c.index(key); i >= 0 {
			return c.entries[i], true
		}
	}
	return Entry{}, false
}

// flatKeys are the keys that speak of the option once the file is flattened. An option that the file cannot say has its
// own name here: dockerd accepts the key and ignores the value, but refuses it beside the option.
func (o Option) flatKeys() []string {
	key := o.Name
	if o.Key != "" {
		key = o.Key[strings.LastIndexByte(o.Key, '.')+1:]
	}
	if o.OldKey != "" {
		return []string{key, o.OldKey}
	}
	return []string{key}
}

// isNull tells the null device, a usual way to say "no configuration"; other devices may block, or never end.
func isNull(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && stat.Rdev == 1<<8|3
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
