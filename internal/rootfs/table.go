package rootfs

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one line of the table.
type row struct {
	name, from, why string
	size            int64
	files           int
}

// WriteTable prints what the tree holds: each program with its size, the package it comes from, and why it is there, then
// the libraries by package, and the total.
func (m *Manifest) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "PROGRAM\tSIZE\tFROM\tWHY") // tabwriter keeps its writer's error until Flush
	var total row
	for _, g := range groups {
		rows := m.rows(g)
		if len(rows) == 0 {
			continue
		}
		var sum row
		for _, r := range rows {
			sum.size += r.size
			sum.files += r.files
		}
		total.size += sum.size
		total.files += sum.files
		fmt.Fprintf(tw, "%s\t%s\t\t\n", g, formatSize(sum.size))
		for _, r := range rows {
			name := r.name
			if r.files > 1 {
				name = fmt.Sprintf("%s (%d files)", name, r.files)
			}
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", name, formatSize(r.size), r.from, r.why)
		}
	}
	fmt.Fprintf(tw, "total\t%s\t\t%d files from %d packages\n", formatSize(total.size), total.files, len(m.Archives))
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}

// rows gives the lines of one section.
func (m *Manifest) rows(g Group) []row {
	if g == GroupLibrary {
		return m.libraries()
	}
	var rows []row
	for _, req := range m.Requirements {
		if req.Group != g {
			continue
		}
		r := row{name: req.Name, why: req.Why}
		for _, n := range m.Nodes {
			if n.Kind != KindFile || n.Library || len(n.For) == 0 || n.For[0] != req.Name {
				continue
			}
			r.size += n.Size
			r.files++
			r.from = m.archive(n.Package)
		}
		rows = append(rows, r)
	}
	return rows
}

// libraries gives a line for each package that brings shared libraries, the largest first.
func (m *Manifest) libraries() []row {
	var rows []row
	users := map[string][]string{}
	for _, n := range m.Nodes {
		if n.Kind != KindFile || !n.Library {
			continue
		}
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == n.Package })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{name: n.Package, from: m.archive(n.Package)})
		}
		rows[i].size += n.Size
		rows[i].files++
		for _, name := range n.For {
			if !slices.Contains(users[n.Package], name) {
				users[n.Package] = append(users[n.Package], name)
			}
		}
	}
	for i := range rows {
		rows[i].why = "for " + someOf(users[rows[i].name])
	}
	slices.SortStableFunc(rows, func(a, b row) int { return int(b.size - a.size) })
	return rows
}

// archive gives a package's name and version, for the table.
func (m *Manifest) archive(name string) string {
	for _, a := range m.Archives {
		if a.Name == name {
			return strings.TrimSpace(a.Name + " " + a.Version)
		}
	}
	return name
}

// someOf lists the first few names.
func someOf(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most-1], ", "), len(names)-most+1)
}

// formatSize gives a number of bytes in the largest unit that leaves at least 1.
func formatSize(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
