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
// order of modules.order, which decides among several modules with the same alias, then by path. Of a module that cannot be
// read only the name is known: who asks for it, or needs it, is told what is wrong with it when it is loaded.
func (x *Index) scan() error {
	files, err := x.moduleFiles()
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%w: %s holds none", ErrNoModules, x.Dir)
	}
	infos, errs := readInfos(x.Dir, files)
	records := make(scanned, len(files))
	aliases, symbols := newAliasTable(8*len(files)), newAliasTable(8*len(files))
	x.records, x.aliases, x.symbols = records, aliases.lookup, symbols.lookup
	for i, info := range infos {
		name := NameOf(files[i])
		if errs[i] != nil {
			x.Config.skip(errs[i])
			info = &Info{}
		}
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
	records.close()
	return nil
}

// moduleFiles are the paths of all modules below the folder.
func (x *Index) moduleFiles() ([]string, error) {
	var files []string
	root := x.Dir + "/" // so that it may be a link
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		// "build" and "source" are links to headers; folders that are links are not followed.
		if err == nil && (d.IsDir() || !isModuleFile(d.Name())) {
			return nil
		}
		if err == nil && !d.Type().IsRegular() {
			err = x.linked(path)
		}
		switch {
		case err != nil && path == root:
			return err
		case err != nil:
			x.Config.skip(err)
		default:
			files = append(files, path[len(root):])
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

// linked checks that what has a module's name and is no file leads to one among the modules of all kernels: some
// distributions link modules that fit several. In a tree that is looked at from outside, another link may lead anywhere.
func (x *Index) linked(path string) error {
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	all, err := filepath.EvalSymlinks(filepath.Dir(x.Dir))
	if err != nil {
		return err
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || !strings.HasPrefix(file, all+"/") {
		return errors.New(path + " leads to no file below " + all)
	}
	return nil
}

// stem cuts a path at ".ko": modules.order of some kernels names the files as they were before they were packed.
func stem(path string) string {
	if i := strings.LastIndex(path, ".ko"); i >= 0 {
		return path[:i]
	}
	return path
}

// readInfos reads all modules, several at a time. Each has its information or an error.
func readInfos(dir string, files []string) ([]*Info, []error) {
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
	return infos, errs
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

// close replaces each module's direct dependencies, which the linker wrote into it, by all it needs in a valid order. Those
// that need each other keep their direct ones, by which Resolve finds the cycle when it is asked for them.
func (s scanned) close() {
	const inWork = 1
	state := map[string]int{}
	direct := map[string][]string{}
	cyclic := map[string]bool{}
	for name, r := range s {
		direct[name] = r.deps
	}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		r := s[name]
		switch state[name] {
		case inWork:
			for _, member := range path[slices.Index(path, name):] {
				cyclic[member] = true
			}
			return
		case inWork + 1:
			return
		}
		state[name] = inWork
		path = append(path, name)
		all := make([]string, 0, len(direct[name]))
		for _, dep := range direct[name] {
			d, ok := s[dep]
			if !ok {
				continue // built in
			}
			visit(dep)
			needs := []string{dep}
			if !cyclic[name] {
				needs = append(slices.Clone(d.deps), dep)
			}
			for _, need := range needs {
				if !slices.Contains(all, need) {
					all = append(all, need)
				}
			}
		}
		path = path[:len(path)-1]
		state[name] = inWork + 1
		r.deps = all
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		visit(name)
	}
}
