package daemon

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of flags in docs/options.md has a row for each default: the flag, when and why it is given, the first Docker that gets it,
// and what other options switch it off.
func TestDefaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, d := range Defaults() {
		since := "all"
		if d.Since.Known() {
			since = fmt.Sprintf("%d.%d", d.Since.Major, d.Since.Minor)
		}
		want[row(d.Option, d.Item, since, d.Unless)] = true
	}
	got := map[string]bool{}
	_, table, ok := strings.Cut(string(text), "\n| flag | when | why | Docker | not beside |\n")
	if !ok {
		t.Fatal("there is no table of flags")
	}
	option := regexp.MustCompile("`--([a-z0-9-]+)")
	flag := regexp.MustCompile("`--([a-z0-9-]+)(?:[= ]([a-z0-9.-]+))?")
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			t.Fatalf("this row has not five cells: %s", line)
		}
		if strings.HasPrefix(cells[1], "--") {
			continue
		}
		m := flag.FindStringSubmatch(cells[1])
		if m == nil || strings.TrimSpace(cells[2]) == "" || strings.TrimSpace(cells[3]) == "" {
			t.Fatalf("this row tells of no flag, or not when and why: %s", line)
		}
		var unless []string
		for _, other := range option.FindAllStringSubmatch(cells[5], -1) {
			unless = append(unless, other[1])
		}
		got[row(m[1], m[2], strings.TrimSpace(cells[4]), unless)] = true
	}
	for r := range want {
		if !got[r] {
			t.Errorf("docs/options.md lacks the row of %s", r)
		}
	}
	for r := range got {
		if !want[r] {
			t.Errorf("docs/options.md has a row of %s, which is no default", r)
		}
	}
}

func row(option, item, since string, unless []string) string {
	if !slices.Contains([]string{"default-ulimit", "exec-opt", "log-opt", "default-network-opt"}, option) {
		item = ""
	}
	return strings.TrimSpace("--"+option+" "+item) + ", from " + since + ", unless " + strings.Join(unless, " ")
}
