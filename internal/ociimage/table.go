package ociimage

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// Weight is what one thing in an image weighs, in bytes of its files.
type Weight struct {
	What, Why string
	Size      int64
}

// Weights are an image's, in three parts: the launcher, Docker's own programs, and the rest, which is everything that they
// need around them.
type Weights struct{ Launcher, Docker, Rest []Weight }

func total(w []Weight) int64 {
	var n int64
	for _, one := range w {
		n += one.Size
	}
	return n
}

// RestSize is the sum of the third part.
func (w Weights) RestSize() int64 { return total(w.Rest) }

// Weigh weighs a plan by the reasons why its files are there. A library counts for itself.
func Weigh(plan *rootfs.Manifest) Weights {
	var w Weights
	at := map[string]int{} // in Rest
	add := func(key string, one Weight) {
		i, ok := at[key]
		if !ok {
			i = len(w.Rest)
			at[key], w.Rest = i, append(w.Rest, one)
			return
		}
		w.Rest[i].Size += one.Size
	}
	rows := map[string]rootfs.Row{}
	for _, r := range plan.Requirements {
		rows[r.Name] = r
	}
	for _, n := range plan.Nodes {
		if n.Kind != rootfs.KindFile {
			continue
		}
		row := rootfs.Row{}
		if len(n.For) > 0 {
			row = rows[n.For[0]]
		}
		switch {
		case n.Library:
			add("library "+n.Package, Weight{What: n.Package, Size: n.Size, Why: "library of " + users(n.For)})
		case row.Group == rootfs.GroupLauncher:
			w.Launcher = append(w.Launcher, Weight{What: row.Name, Why: row.Why, Size: n.Size})
		case row.Group == rootfs.GroupDocker:
			w.Docker = append(w.Docker, Weight{What: row.Name, Why: row.Why, Size: n.Size})
		default:
			add("for "+row.Name, Weight{What: row.Name, Why: row.Why, Size: n.Size})
		}
	}
	for _, part := range [][]Weight{w.Docker, w.Rest} {
		slices.SortFunc(part, func(a, b Weight) int {
			return cmp.Or(cmp.Compare(b.Size, a.Size), strings.Compare(a.What, b.What))
		})
	}
	return w
}

// users names who needs a library.
func users(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// smallest is the size in bytes below which the table takes libraries together.
const smallest = 100 << 10

// WriteTable prints the weights as a Markdown table.
func (w Weights) WriteTable(out io.Writer) error {
	var b strings.Builder
	b.WriteString("| part | size | what for |\n|---|---|---|\n")
	line := func(what string, size int64, why string) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", what, mebibytes(size), why)
	}
	line("**the launcher**", total(w.Launcher), "")
	line("**Docker's own programs**", total(w.Docker), "")
	for _, one := range w.Docker {
		line(one.What, one.Size, one.Why)
	}
	line("**everything else**", w.RestSize(), "")
	var small Weight
	var names []string
	for _, one := range w.Rest {
		if one.Size < smallest && strings.HasPrefix(one.Why, "library of ") {
			small.Size += one.Size
			names = append(names, one.What)
			continue
		}
		line(one.What, one.Size, one.Why)
	}
	if len(names) > 0 {
		line(fmt.Sprintf("%d small libraries", len(names)), small.Size, strings.Join(names, ", "))
	}
	line("**in all**", total(w.Launcher)+total(w.Docker)+w.RestSize(), "")
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20)) }
