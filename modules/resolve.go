package modules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Lookup finds the modules behind a name: a module, an alias of the configuration, of a module or of a built-in, or
// "symbol:NAME". The first kind that has an answer gives all of it, in the order of kmod's modprobe. Nothing found is no
// error.
func (x *Index) Lookup(name string) ([]Module, error) {
	name = Normalize(name)
	if found, err := x.named(x.configure.find(name), name); err != nil || len(found) > 0 {
		return found, err
	}
	if r, ok, err := x.records.find(name); err != nil {
		return nil, err
	} else if ok {
		return []Module{x.module(name, r)}, nil
	}
	if strings.HasPrefix(name, "symbol:") {
		return x.aliased(x.symbols, name)
	}
	if found, err := x.aliased(x.aliases, name); err != nil || len(found) > 0 {
		return found, err
	}
	if x.builtin()[name] {
		return []Module{{Name: name, Builtin: true}}, nil
	}
	builtin, err := x.builtinAliases()
	if err != nil {
		return nil, err
	}
	var found []Module
	for _, module := range builtin.find(name) {
		found = append(found, Module{Name: module, Builtin: true, Alias: name}) // some are not in modules.builtin
	}
	return found, nil
}

// named turns names of an alias table into modules. A configured alias of a module that does not exist stays, without a
// path: asking for it must fail and name it.
func (x *Index) named(names []string, alias string) ([]Module, error) {
	var found []Module
	for _, name := range names {
		m, ok, err := x.Module(name)
		if err != nil {
			return nil, err
		}
		if !ok {
			m = Module{Name: name}
		}
		m.Alias = alias
		found = append(found, m)
	}
	return found, nil
}

func (x *Index) aliased(find aliasLookup, name string) ([]Module, error) {
	names, err := find(name)
	if err != nil {
		return nil, err
	}
	return x.named(names, name)
}

// Blacklisting says which modules the configuration's blacklist keeps from being loaded.
type Blacklisting int

const (
	// BlacklistAliases keeps back those that were asked for by an alias, as modprobe does.
	BlacklistAliases Blacklisting = iota
	// BlacklistNames keeps back those that were asked for by their own name, too, as modprobe -b.
	BlacklistNames
)

// Query is what Resolve is asked for.
type Query struct {
	// Names are modules or aliases.
	Names []string
	// Params are added to those of the configuration, for the modules of Names alone.
	Params    string
	Blacklist Blacklisting
	// IgnoreCommands treats modules with an install command like all others.
	IgnoreCommands bool
}

// Step is one module of a Plan.
type Step struct {
	Module
	Params string
	// Required tells that a module of the query cannot do without this one. A soft dependency may fail.
	Required bool
	// Asked tells that the query named it.
	Asked bool
	// Command is an install command of the configuration, which this package does not run.
	Command string
	// After are the indexes of the steps that must come before; all are smaller than this one's.
	After []int
}

// Plan is the modules for a Query in an order that is valid, each once.
type Plan struct {
	Steps []Step
	// Blacklisted are modules of the query that the configuration keeps back.
	Blacklisted []string
	// SoftCycles are soft dependencies that were left out because they lead back to the module that has them.
	SoftCycles [][]string
}

// Resolve plans the loading of modules. The error is ErrNotFound for a name nobody knows, or a *CycleError.
func (x *Index) Resolve(q Query) (*Plan, error) {
	b := planner{index: x, query: q, plan: &Plan{}, at: map[string]int{}}
	for _, name := range q.Names {
		found, err := x.Lookup(name)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: %s in %s", ErrNotFound, name, x.Dir)
		}
		for _, m := range found {
			if x.blacklisted(m, q.Blacklist) {
				b.plan.Blacklisted = append(b.plan.Blacklisted, m.Name)
				continue
			}
			if m.Path == "" && !m.Builtin {
				return nil, fmt.Errorf("%w: %s, of which %s is an alias, in %s", ErrNotFound, m.Name, name, x.Dir)
			}
			if err := b.ask(m); err != nil {
				return nil, err
			}
		}
	}
	return b.plan, nil
}

// resolveOne plans the loading of one module that was looked up before.
func (x *Index) resolveOne(m Module, q Query) (*Plan, error) {
	b := planner{index: x, query: q, plan: &Plan{}, at: map[string]int{}}
	if m.Path == "" && !m.Builtin {
		return nil, fmt.Errorf("%w: %s, of which %s is an alias, in %s", ErrNotFound, m.Name, m.Alias, x.Dir)
	}
	if err := b.ask(m); err != nil {
		return nil, err
	}
	return b.plan, nil
}

func (x *Index) blacklisted(m Module, how Blacklisting) bool {
	return (m.Alias != "" || how == BlacklistNames) && slices.Contains(x.Config.Blacklist, m.Name)
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

const inWork = -1 // in planner.at: the module's own dependencies are being added

type planner struct {
	index *Index
	query Query
	plan  *Plan
	at    map[string]int // step of a module
	hard  [][]int        // the steps that a step cannot do without
	path  []string       // the modules in work
}

// ask adds a module that the query is for.
func (b *planner) ask(m Module) error {
	i, err := b.add(m)
	if err != nil {
		return err
	}
	b.plan.Steps[i].Asked = true
	b.plan.Steps[i].Params = join(b.index.Config.options(m.Name, m.Alias), b.query.Params)
	b.require(i)
	return nil
}

// add puts a module behind all it needs, and returns its step.
func (b *planner) add(m Module) (int, error) {
	if i, ok := b.at[m.Name]; ok {
		if i == inWork {
			return inWork, &CycleError{Modules: b.cycle(m.Name)}
		}
		return i, nil
	}
	b.at[m.Name] = inWork
	b.path = append(b.path, m.Name)
	var hard, soft []int
	r, ok, err := b.index.records.find(m.Name)
	if err != nil {
		return 0, err
	}
	if ok {
		needs := r.dependencies()
		if b.plan.Steps == nil {
			b.plan.Steps = make([]Step, 0, len(needs)+2)
		}
		for _, name := range needs {
			dep, ok, err := b.index.Module(name)
			if err != nil {
				return 0, err
			}
			if !ok {
				return 0, fmt.Errorf("%w: %s, which %s needs, in %s", ErrNotFound, name, m.Name, b.index.Dir)
			}
			i, err := b.add(dep)
			if err != nil {
				return 0, err
			}
			hard = append(hard, i)
		}
	}
	command := ""
	if !b.query.IgnoreCommands {
		command = commandFor(b.index.Config.Install, m.Name)
	}
	softDep, _ := b.index.Config.softDep(m.Name)
	for _, name := range softDep.Pre {
		steps, err := b.soft(name)
		if err != nil {
			return 0, err
		}
		soft = append(soft, steps...)
	}
	i := len(b.plan.Steps)
	b.at[m.Name] = i
	b.path = b.path[:len(b.path)-1]
	after := append(slices.Clone(hard), soft...)
	slices.Sort(after)
	b.plan.Steps = append(b.plan.Steps, Step{
		Module: m, Params: b.index.Config.options(m.Name, m.Alias), Command: command, After: slices.Compact(after),
	})
	b.hard = append(b.hard, hard)
	for _, name := range softDep.Post {
		steps, err := b.soft(name)
		if err != nil {
			return 0, err
		}
		for _, s := range steps {
			if s > i && !slices.Contains(b.plan.Steps[s].After, i) {
				b.plan.Steps[s].After = append(b.plan.Steps[s].After, i)
				slices.Sort(b.plan.Steps[s].After)
			}
		}
	}
	return i, nil
}

// soft adds the modules behind a soft dependency. What cannot be had is left out, as it may be missing.
func (b *planner) soft(name string) ([]int, error) {
	found, err := b.index.Lookup(name)
	if err != nil {
		return nil, err
	}
	var steps []int
	for _, m := range found {
		if m.Path == "" && !m.Builtin {
			continue
		}
		if i, ok := b.at[m.Name]; ok && i == inWork {
			b.plan.SoftCycles = append(b.plan.SoftCycles, b.cycle(m.Name))
			continue
		}
		m.Alias = "" // options for the alias are for those who ask by it
		depth := len(b.path)
		i, err := b.add(m)
		var cycle *CycleError
		if errors.As(err, &cycle) || errors.Is(err, ErrNotFound) {
			if cycle != nil {
				b.plan.SoftCycles = append(b.plan.SoftCycles, cycle.Modules)
			}
			for _, begun := range b.path[depth:] {
				delete(b.at, begun)
			}
			b.path = b.path[:depth]
			continue
		}
		if err != nil {
			return nil, err
		}
		steps = append(steps, i)
	}
	return steps, nil
}

func (b *planner) cycle(name string) []string {
	cut := max(slices.Index(b.path, name), 0)
	return append(slices.Clone(b.path[cut:]), name)
}

// require marks a step and all it cannot do without.
func (b *planner) require(i int) {
	if b.plan.Steps[i].Required {
		return
	}
	b.plan.Steps[i].Required = true
	for _, dep := range b.hard[i] {
		b.require(dep)
	}
}
