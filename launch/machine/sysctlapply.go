package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// SysctlDirs are the folders of sysctl.d(5), the most important first: of files with the same name only the first counts.
func SysctlDirs() []string {
	return []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}
}

// maxSysctlFile bounds a file of sysctl.d.
const maxSysctlFile = 1 << 20

// ReadSysctls reads the files *.conf of the folders in the order of their names, whichever folder they lie in, as sysctl.d(5)
// has it. Empty files and links to /dev/null so hide those of the same name further down. last is a file that is read after
// all of them, /etc/sysctl.conf, unless it was among them by a link. What cannot be read is a problem; the rest counts.
func ReadSysctls(dirs []string, last string) SysctlFile {
	names := map[string]string{}
	var problems []string
	for _, dir := range slices.Backward(dirs) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err.Error())
		}
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".conf") && !entry.IsDir() {
				names[entry.Name()] = filepath.Join(dir, entry.Name())
			}
		}
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	lastFile, lastErr := os.Stat(last)
	var sources []SysctlFile
	for _, name := range sorted {
		if st, err := os.Stat(names[name]); err == nil && lastErr == nil && os.SameFile(st, lastFile) {
			lastErr = fs.ErrExist
		}
		sources = append(sources, readSysctl(names[name]))
	}
	if lastErr == nil {
		sources = append(sources, readSysctl(last))
	}
	all := MergeSysctls(sources...)
	all.Problems = append(problems, all.Problems...)
	return all
}

func readSysctl(path string) SysctlFile {
	problem := func(err error) SysctlFile { return SysctlFile{Problems: []string{err.Error()}} }
	// A FIFO in its place must not hold the boot.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return problem(err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return problem(err)
	case st.Mode()&fs.ModeCharDevice != 0:
		return SysctlFile{} // /dev/null
	case !st.Mode().IsRegular():
		return problem(fmt.Errorf("%s is no file (%s): it is left out", path, st.Mode()))
	}
	parsed, err := ParseSysctl(io.LimitReader(f, maxSysctlFile), path)
	if err != nil {
		parsed.Problems = append(parsed.Problems, err.Error())
	}
	return parsed
}

// Sysctls sets kernel parameters.
type Sysctls struct {
	Settings []Setting
	Excluded []string
	// Root is /proc/sys where empty.
	Root string
}

// String tells what Apply does.
func (s Sysctls) String() string {
	names := make([]string, len(s.Settings))
	for i, setting := range s.Settings {
		names[i] = strings.ReplaceAll(setting.Name, "/", ".") + "=" + setting.Value
	}
	return "set kernel parameters: " + strings.Join(names, ", ")
}

// Apply sets them, one after the other; what one is refused does not keep the next from being set. The error names each that
// was refused, with its source.
func (s Sysctls) Apply(ctx context.Context) (kept bool, err error) {
	kept = true
	var errs []error
	for _, setting := range s.Settings {
		if ctx.Err() != nil {
			return false, errors.Join(append(errs, context.Cause(ctx))...)
		}
		names, err := s.expand(setting)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range names {
			stood, err := s.set(name, setting)
			kept = kept && stood
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	return kept && len(errs) == 0, errors.Join(errs...)
}

func (s Sysctls) root() string {
	if s.Root == "" {
		return "/proc/sys"
	}
	return s.Root
}

// expand gives the parameters that a pattern matches and nobody names.
func (s Sysctls) expand(setting Setting) ([]string, error) {
	if !setting.pattern() {
		return []string{setting.Name}, nil
	}
	paths, err := filepath.Glob(filepath.Join(s.root(), setting.Name))
	if err != nil {
		return nil, fmt.Errorf("%s: %q is no pattern: %w", setting.Source, setting.Name, err)
	}
	var names []string
	for _, path := range paths {
		name, err := filepath.Rel(s.root(), path)
		named := func(other Setting) bool { return other.Name == name }
		if err == nil && !slices.Contains(s.Excluded, name) && !slices.ContainsFunc(s.Settings, named) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (s Sysctls) set(name string, setting Setting) (kept bool, err error) {
	path := filepath.Join(s.root(), name)
	now, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && (setting.IfThere || setting.Optional):
		return true, nil
	case err == nil && setting.holds(string(now)):
		return true, nil
	}
	// Some can be written and not read.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(setting.Value + "\n") // in one write(2), as proc_sys(5) demands
		err = errors.Join(err, f.Close())
	}
	if err != nil && !setting.Optional {
		return false, fmt.Errorf("setting %s to %q, as %s says: %w", strings.ReplaceAll(name, "/", "."), setting.Value, setting.Source, err)
	}
	return false, nil
}
