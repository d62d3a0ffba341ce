package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
)

// scan builds the index from the modules themselves, for a folder in which depmod never ran. Modules are taken in the
// order of modules.order, which decides among several modules with the same alias, then by path.
func (x *Index) scan() error {
	files, err := x.moduleFiles()
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%w: %s holds none", ErrNoModules, x.Dir)
	}
	infos, err := readInfos(x.Dir, files)
	if err != nil {
		return err
	}
	records := make(scanned, len(files))
	aliases, symbols := newAliasTable(8*len(files)), newAliasTable(8*len(files))
	x.records, x.aliases, x.symbols = records, aliases.lookup, symbols.lookup
	for i, info := range infos {
		name := NameOf(files[i])
		records[name] = &record{path: files[i], deps: info.Depends}
		for _, alias := range info.Aliases {
			aliases.add(alias, name)
		}
		for _, text := range info.SoftDeps {
			x.Config.SoftDeps = append(x.Config.SoftDeps, parseSoftDep(name, text))
		}
		for _, symbol := range info.Exports {
			symbols.add("symbol:"+symbol, name)
		}
	}
	return records.close()
}

// moduleFiles are the paths of all modules below the folder.
func (x *Index) moduleFiles() ([]string, error) {
	var files []string
	err := filepath.WalkDir(x.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// "build" and "source" are links to headers, which are not followed.
		if d.Type().IsRegular() && isModuleFile(d.Name()) {
			rel, err := filepath.Rel(x.Dir, path)
			if err != nil {
				return err
			}
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	order, err := x.optional("modules.order")
	if err != nil {
		return nil, err
	}
	rank := map[string]int{}
	for line := range strings.Lines(order) {
		rank[stem(strings.TrimSpace(line))] = len(rank) - 1<<30 // before all that are not listed
	}
	sort.Slice(files, func(i, j int) bool {
		a, b := files[i], files[j]
		if d := rank[stem(a)] - rank[stem(b)]; d != 0 {
			return d < 0
		}
		return a < b
	})
	return files, nil
}

// stem cuts a path at ".ko": modules.order of some kernels names the files as they were before they were packed.
func stem(path string) string {
	if i := strings.LastIndex(path, ".ko"); i >= 0 {
		return path[:i]
	}
	return path
}

// readInfos reads all modules, several at a time.
func readInfos(dir string, files []string) ([]*Info, error) {
	infos := make([]*Info, len(files))
	errs := make([]error, len(files))
	work := make(chan int)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := range work {
				infos[i], errs[i] = readInfoSafely(filepath.Join(dir, files[i]))
			}
		})
	}
	for i := range files {
		work <- i
	}
	close(work)
	workers.Wait()
	return infos, errors.Join(errs...)
}

// readInfoSafely turns a mistake in the reading of a file into an error: the process may be the machine's first.
func readInfoSafely(path string) (info *Info, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("reading %s: a mistake in this program: %v", path, caught)
		}
	}()
	return ReadInfo(path)
}

// ReadInfo reads what a module says of itself.
func ReadInfo(path string) (*Info, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := parseInfo(data)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return info, nil
}

// close replaces each module's direct dependencies, which the linker wrote into it, by all it needs in a valid order.
func (s scanned) close() error {
	const inWork = 1
	state := map[string]int{}
	direct := map[string][]string{}
	for name, r := range s {
		direct[name] = r.deps
	}
	var path []string
	var visit func(name string) error
	visit = func(name string) error {
		r := s[name]
		switch state[name] {
		case inWork:
			cut := slices.Index(path, name)
			return &CycleError{Modules: append(slices.Clone(path[cut:]), name)}
		case inWork + 1:
			return nil
		}
		state[name] = inWork
		path = append(path, name)
		all := make([]string, 0, len(direct[name]))
		for _, dep := range direct[name] {
			d, ok := s[dep]
			if !ok {
				continue // built in
			}
			if err := visit(dep); err != nil {
				return err
			}
			for _, need := range append(slices.Clone(d.deps), dep) {
				if !slices.Contains(all, need) {
					all = append(all, need)
				}
			}
		}
		path = path[:len(path)-1]
		state[name] = inWork + 1
		r.deps = all
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}
