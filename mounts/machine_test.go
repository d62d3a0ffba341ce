package mounts

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// TestRootMachine boots from an initramfs and leaves it, in each of the three ways.
func TestRootMachine(t *testing.T) {
	boot := func(t *testing.T, way string) string {
		m := vm.Start(t, vm.Options{
			Kernel: vm.KernelNamed(t, "6.12"), Memory: 704, Limit: 4 * time.Minute,
			Init: vm.GoBuild(t, "./mounts/testdata/rootmove", "build"), Cmdline: []string{"--", "way=" + way},
		})
		if err := m.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, m.Console())
		}
		var said strings.Builder
		for line := range strings.Lines(m.Console()) {
			if rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "ROOT "); ok {
				said.WriteString(rest + "\n")
			}
		}
		t.Logf("\n%s", said.String())
		return said.String()
	}
	expect := func(t *testing.T, said string, patterns ...string) {
		t.Helper()
		for _, p := range append(patterns, "^end$") {
			if !regexp.MustCompile("(?m)" + p).MatchString(said) {
				t.Errorf("it does not say %q", p)
			}
		}
		if regexp.MustCompile("(?m)^(error|was|is): ").MatchString(said) {
			t.Error("it says what is wrong")
		}
	}
	t.Run("copy", func(t *testing.T) {
		said := boot(t, "copy")
		expect(t, said, "^pivot before: pivot_root: invalid argument", "^needed before: true", `^report: .* moved \[/proc /sys /dev /run\] dropped \[\] lost \[\]`,
			"^manifest: 20.. lines, same true", "^root: tmpfs, needed after: false", "^again: kept true, <nil>", "^run: run, <nil>", "^pivot after: <nil>")
		peak := regexp.MustCompile(`peak (-?\d+) KiB more`).FindStringSubmatch(said)
		if peak == nil {
			t.Fatal("no peak")
		}
		// Two workers with 8 MiB each; the margin is what the check beforehand wants to see free. The kernel counts what is
		// available for each processor apart, and adds that up late: a few MiB more or less mean nothing.
		const inexact = 4 << 20
		if kib, err := strconv.Atoi(peak[1]); err != nil || kib > (2*pieceSize+moveMargin+inexact)>>10 {
			t.Errorf("the peak is %d KiB above the content, %v", kib, err)
		}
	})
	t.Run("bind", func(t *testing.T) {
		expect(t, boot(t, "bind"), `moved \[/proc /sys /dev /run\] dropped \[\] lost \[\]`, "same true",
			"needed after: false", "^again: kept true, <nil>", "^run: run, <nil>", "^pivot after: <nil>")
	})
	t.Run("switch", func(t *testing.T) {
		said := boot(t, "switch")
		expect(t, said, "^refused: .*/data: not a mount point", "^refused: .*/sbin/init", "^refused: .*no executable file",
			`^switched: moved \[/proc /sys /dev /run /odd\] dropped \["/held .*\] deleted 20\d\d kept \[\]`, "^held: held",
			"^root: tmpfs, needed after: false", "^run: run", "^pivot after: <nil>")
		freed := regexp.MustCompile(`memory: (-?\d+) KiB freed`).FindStringSubmatch(said)
		if freed == nil {
			t.Fatal("nothing freed")
		}
		if kib, err := strconv.Atoi(freed[1]); err != nil || kib < 240<<10 {
			t.Errorf("%d KiB were freed, %v", kib, err)
		}
	})
}
