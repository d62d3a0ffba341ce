package cgroups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// EnableControllers lets the children of a cgroup of cgroup2 have controllers.
type EnableControllers struct {
	Dir string `json:"dir"`
	// Expect are controllers whose absence from cgroup.controllers is an error. All that are there are switched on.
	Expect []string `json:"expect,omitempty"`
	// Nested: Dir is to be a container's own. Where it is the root of the hierarchy, seen from the initial cgroup namespace,
	// it is the host's, and nothing is changed.
	Nested bool `json:"nested,omitempty"`
	Meaning
}

// String says in one line what Apply does.
func (a EnableControllers) String() string {
	return "switch on every controller of " + a.Dir + " for the cgroups below it"
}

// Apply writes each controller of cgroup.controllers to cgroup.subtree_control, one at a time, since the kernel takes all of a
// write or nothing. The error joins one *Error for each controller that is missing or was refused. In a cgroup that has
// processes nothing is switched on: the kernel would take some controllers, and turn it into the root of a threaded subtree.
func (a EnableControllers) Apply(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	u, err := readUnified(a.Dir)
	if err != nil {
		return false, withLost(err, a.Lost)
	}
	if a.Nested && u.HierarchyRoot {
		if ns, err := os.Readlink(filepath.Join(Paths{}.self(), "ns/cgroup")); err == nil && ns == initialNamespace {
			return false, &Error{Op: "write", Path: filepath.Join(a.Dir, "cgroup.subtree_control"), Kind: ErrHost, Lost: a.Lost, Advice: adviceParent}
		}
	}
	kept := true
	var errs []error
	for _, c := range domainsFirst(u.Controllers) {
		if slices.Contains(u.SubtreeControl, c) {
			continue
		}
		kept = false
		if err := a.enable(c, u.Processes > 0 && !u.HierarchyRoot && u.Type != "domain threaded"); err != nil {
			errs = append(errs, err)
		}
	}
	for _, c := range a.Expect {
		if !slices.Contains(u.Controllers, c) {
			errs = append(errs, a.absent(c))
		}
	}
	return kept && len(errs) == 0, errors.Join(errs...)
}

func (a EnableControllers) enable(controller string, occupied bool) error {
	path := filepath.Join(a.Dir, "cgroup.subtree_control")
	e := &Error{Op: "write", Path: path, Data: "+" + controller, Err: unix.EBUSY}
	if !occupied {
		err := writeFile(path, "+"+controller)
		var ok bool
		if e, ok = errors.AsType[*Error](err); !ok {
			return err
		}
	}
	e.Lost = knowV2(controller).lost
	switch {
	case errors.Is(e.Err, unix.EBUSY):
		e.Kind, e.Detail = ErrBusy, fmt.Sprintf("%s holds processes itself", a.Dir)
		e.Advice = "move them to a cgroup below it"
	case errors.Is(e.Err, unix.EOPNOTSUPP):
		// What cannot be read now is left out.
		kind, _ := readOptional(filepath.Join(a.Dir, "cgroup.type"))
		e.Kind, e.Detail, e.Advice = ErrThreaded, strings.TrimSpace("its type is "+kind), adviceThreaded
	case errors.Is(e.Err, unix.ENOENT):
		e.Kind, e.Advice = ErrNoController, "the cgroup above has to have it in cgroup.subtree_control"
	case errors.Is(e.Err, unix.EINVAL) && controller == "cpu":
		e.Detail, e.Advice = "processes with a real-time scheduling policy are in other cgroups than the root", "move them to the root"
	}
	return e
}

func (a EnableControllers) absent(controller string) error {
	k := knowV2(controller)
	e := &Error{Op: "read", Path: filepath.Join(a.Dir, "cgroup.controllers"), Kind: ErrNoController, Detail: controller + " is not among them", Lost: k.lost}
	// What cannot be read now leaves the most general advice.
	rows, _ := parseFile("/proc/cgroups", ParseControllers)
	e.Advice = whyAbsent(k, rows)
	return e
}

// whyAbsent says what keeps a controller from cgroup2.
func whyAbsent(k knowledge, rows []Controller) string {
	i := slices.IndexFunc(rows, func(r Controller) bool { return r.Name == k.v1 && k.v1 != "" })
	switch {
	case i >= 0 && rows[i].Hierarchy != 0:
		return fmt.Sprintf("it is in the cgroup v1 hierarchy %d: unmount that, or boot with cgroup_no_v1=%s", rows[i].Hierarchy, k.v1)
	case i >= 0 && !rows[i].Enabled:
		return fmt.Sprintf("it is switched off: boot without cgroup_disable=%s, or with cgroup_enable=%s", k.v1, k.v1)
	}
	return "the kernel needs " + k.option + ", and the cgroup above has to have it in cgroup.subtree_control"
}
