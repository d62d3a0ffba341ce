package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// plain makes what a survey found into a plan.
func decide(t testing.TB, device, target string, format bool) Plan {
	t.Helper()
	return Decide(Request{Spec: Spec{Value: device}, FormatBlank: format, Target: target}, []Disk{diskAt(t, device)})
}

func prepare(t testing.TB, p Preparer, plan Plan) Prepared {
	t.Helper()
	done, err := p.Apply(t.Context(), plan)
	if err != nil {
		t.Fatalf("%s: %v", plan, err)
	}
	return done
}

func unmount(t testing.TB, target string) {
	t.Helper()
	if err := unix.Unmount(target, 0); err != nil {
		t.Fatal(err)
	}
}

// mayResize tells whether the kernel lets this process resize an ext4; the machine test is where it must.
func mayResize(t testing.TB) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		t.Fatal(err)
	}
	return caps[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

func TestPrepareBlank(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	disk := image(t, 128<<20)
	device := loop(t, disk)
	target := filepath.Join(t.TempDir(), "docker")
	r := &runner{}
	p := Preparer{Runner: r, Options: "noatime"}

	plan := decide(t, device, target, false)
	if plan.Action != Memory {
		t.Fatal(plan)
	}
	if done := prepare(t, p, plan); len(done.Notices) != 1 || len(r.ran) > 0 {
		t.Errorf("%+v, ran %v", done, r.ran)
	}
	done := prepare(t, p, decide(t, device, target, true))
	if !done.Formatted || done.Kept || len(r.ran) == 0 || !strings.HasPrefix(r.ran[0], "mkfs.ext4 ") {
		t.Errorf("%+v, ran %v", done, r.ran)
	}
	if err := os.WriteFile(target+"/file", []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept := prepare(t, p, decide(t, device, target, true)); !kept.Kept || kept.Formatted {
		t.Errorf("mounted already: %+v", kept)
	}
	unmount(t, target)
	// Again, as at the next boot: with format asked for still.
	d := diskAt(t, device)
	if d.Content.Label != DataLabel || d.Content.FSType != "ext4" || d.Content.Marker != nil {
		t.Errorf("%+v", d.Content)
	}
	r.ran = nil
	done = prepare(t, p, decide(t, device, target, true))
	if done.Formatted || done.Check == nil || done.Check.Outcome != Clean || !strings.HasPrefix(r.ran[0], "e2fsck -p ") {
		t.Errorf("%+v, ran %v", done, r.ran)
	}
	if text, err := os.ReadFile(target + "/file"); string(text) != "kept" {
		t.Errorf("%q, %v", text, err)
	}
	unmount(t, target)

	// Something else where the disk should go.
	if err := unix.Mount("x", target, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context(), decide(t, device, target, true)); !errors.Is(err, ErrInUse) {
		t.Errorf("over another mount: %v", err)
	}
	unmount(t, target)
}

// A disk that is not blank any more when it comes to formatting is left alone.
func TestPrepareLooksAgain(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	disk := image(t, 128<<20)
	device := loop(t, disk)
	target := filepath.Join(t.TempDir(), "docker")
	r := &runner{}
	plan := decide(t, device, target, true)
	command(t, "mkfs.xfs", "-q", "-f", "-d", "size=64m", "-L", "mine", "--unsupported", device)
	before := command(t, "sha256sum", disk)
	if _, err := (Preparer{Runner: r}).Apply(t.Context(), plan); !errors.Is(err, ErrNotBlank) || len(r.ran) > 0 {
		t.Errorf("%v, ran %v", err, r.ran)
	}
	if command(t, "sha256sum", disk) != before {
		t.Error("something was written")
	}

	mounted := loop(t, image(t, 128<<20))
	plan = decide(t, mounted, target, true)
	f, err := os.OpenFile(mounted, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Preparer{Runner: r}).Apply(t.Context(), plan); !errors.Is(err, ErrInUse) {
		t.Errorf("a disk that somebody has claimed: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	readOnly := loop(t, image(t, 128<<20), "--read-only")
	if plan := decide(t, readOnly, target, true); !errors.Is(plan.Err, ErrReadOnly) {
		t.Errorf("a read-only disk: %v", plan)
	}
}

// mkfs is killed at ever later moments. Whatever is left is formatted at the next start, and mounted.
func TestFormattingCutShort(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	target := filepath.Join(t.TempDir(), "docker")
	device := loop(t, image(t, 600<<20))
	mkfs, timeout, never := tool(t, "mkfs.ext4"), tool(t, "timeout"), tool(t, "false")
	killed := 0
	for delay := time.Duration(0); ; delay += 500 * time.Microsecond {
		r := &runner{before: func(path string, cmd *exec.Cmd) {
			switch {
			case path != mkfs:
			case delay == 0:
				cmd.Path = never
			default:
				cmd.Args = append([]string{"timeout", "--signal=KILL", fmt.Sprintf("%.4f", delay.Seconds()), path}, cmd.Args[1:]...)
				cmd.Path = timeout
			}
		}}
		plan := decide(t, device, target, true)
		if plan.Action != Format {
			t.Fatalf("after %v: %s", delay, plan)
		}
		_, err := (Preparer{Runner: r}).Apply(t.Context(), plan)
		if err == nil {
			break
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, ErrProgram) || delay > 0 && !strings.Contains(e.Detail, "status 137") {
			t.Fatalf("after %v: %v", delay, err)
		}
		killed++
		if again := decide(t, device, target, false); again.Disk.Content.Kind != Interrupted || again.Action != Memory || !strings.Contains(again.Reason, "cut short") {
			t.Fatalf("after %v, without being asked: %s", delay, again)
		}
	}
	unmount(t, target)
	t.Logf("killed %d times before it was done", killed)
	if killed < 3 {
		t.Error("it was hardly ever killed")
	}
	if plan := decide(t, device, target, false); plan.Action != Mount || plan.Disk.Content.Label != DataLabel {
		t.Errorf("in the end: %s", plan)
	}
}

// In a power cut any of the writes since the last flush may be lost. Whichever are, the disk counts as cut short.
func TestFormattingLosesWrites(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	const size = 96 << 20 // blocks of 1 KiB, so that the superblock's neighbours come early
	path := image(t, size)
	device := loop(t, path)
	r := &runner{}
	marker := Marker{Size: size, UUID: testUUID}
	poke(t, device, markerAt(size), string(marker.encode()))
	command(t, "mkfs.ext4", "-q", "-L", DataLabel, "-U", testUUID, device, fmt.Sprint((size-markerRoom)>>10)+"k")
	command(t, "sync", device)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const unit = 1024
	var written []int64
	for at := int64(0); at < markerAt(size)/unit*unit; at += unit {
		if !allAre(whole[at:at+unit], 0) {
			written = append(written, at)
		}
	}
	if len(written) < 10 || written[0] != 1024 {
		t.Fatalf("mkfs wrote %d blocks of %d bytes", len(written), unit)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 100 {
		data := slices.Clone(whole)
		lost := 0
		for _, at := range written {
			if random.IntN(3) == 0 || round == 0 {
				clear(data[at : at+unit])
				lost++
			}
		}
		if c, err := Identify(bytes.NewReader(data), size); err != nil || c.Kind != Interrupted || c.Marker.UUID != testUUID {
			t.Fatalf("with %d of %d lost: %+v, %v", lost, len(written), c, err)
		}
	}
	// A second attempt that is cut short before it writes anything leaves the first one's superblock.
	r.before = func(_ string, cmd *exec.Cmd) { cmd.Path = tool(t, "false") }
	if _, err := (Preparer{Runner: r}).Apply(t.Context(), decide(t, device, t.TempDir(), true)); !errors.Is(err, ErrProgram) {
		t.Fatal(err)
	}
	if c := diskAt(t, device).Content; c.Kind != Interrupted || c.Marker.UUID != testUUID {
		t.Fatalf("after a second attempt: %+v", c)
	}
	r.before = nil
	// Somebody has mounted it meanwhile: then it is theirs.
	target := t.TempDir()
	if err := unix.Mount(device, target, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	unmount(t, target)
	plan := decide(t, device, target, true)
	if plan.Action != Mount || plan.Disk.Content.Marker == nil {
		t.Fatal(plan)
	}
	prepare(t, Preparer{Runner: r}, plan)
	unmount(t, target)
	if c := diskAt(t, device).Content; c.Kind != Filesystem || c.Marker != nil {
		t.Errorf("%+v", c)
	}
}

// Somebody else's data on a disk that was cut short once is not ours any more.
func TestMarkerMeansNothing(t *testing.T) {
	marked := image(t, 128<<20)
	poke(t, marked, markerAt(128<<20), string(Marker{Size: 128 << 20, UUID: testUUID}.encode()))
	if c := identify(t, marked); c.Kind != Interrupted {
		t.Errorf("only the mark: %+v", c)
	}
	poke(t, marked, 1500, "data")
	if c := identify(t, marked); c.Kind != Unknown {
		t.Errorf("the mark, and data: %+v", c)
	}
	command(t, "mkfs.btrfs", "-q", "-f", "-b", "120m", marked)
	if c := identify(t, marked); c.Kind != Filesystem || c.Marker != nil {
		t.Errorf("the mark, and a filesystem: %+v", c)
	}
	// A disk that has another size now: the mark may be a copy.
	if err := os.Truncate(marked, 100<<20); err != nil {
		t.Fatal(err)
	}
	poke(t, marked, markerAt(100<<20), string(Marker{Size: 128 << 20, UUID: testUUID}.encode()))
	if c := identify(t, marked); c.Kind == Interrupted {
		t.Errorf("a mark of another disk: %+v", c)
	}
}

func TestGrow(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	for _, c := range []struct {
		fstype string
		args   []string
	}{
		{"xfs", []string{"mkfs.xfs", "-q", "-L", DataLabel}},
		{"btrfs", []string{"mkfs.btrfs", "-q", "-L", DataLabel}},
		{"ext4", []string{"mkfs.ext4", "-q", "-L", DataLabel}},
	} {
		t.Run(c.fstype, func(t *testing.T) {
			disk := image(t, 320<<20)
			command(t, c.args[0], append(c.args[1:], disk)...)
			if err := os.Truncate(disk, 600<<20); err != nil {
				t.Fatal(err)
			}
			device := loop(t, disk)
			target := filepath.Join(t.TempDir(), "docker")
			r := &runner{}
			done := prepare(t, Preparer{Runner: r}, decide(t, device, target, false))
			t.Logf("%+v, ran %v", done, r.ran)
			if c.fstype == "ext4" && !mayResize(t) {
				if len(done.Notices) != 1 || !strings.Contains(done.Notices[0], "could not grow") {
					t.Errorf("without CAP_SYS_RESOURCE: %+v", done)
				}
				unmount(t, target)
				return
			}
			if done.Size < 500<<20 || done.GrownFrom == 0 || done.GrownFrom > 320<<20 {
				t.Errorf("%+v", done)
			}
			again := prepare(t, Preparer{Runner: r}, decide(t, device, target, false))
			if !again.Kept || again.GrownFrom != 0 || again.Size != done.Size {
				t.Errorf("again: %+v", again)
			}
			unmount(t, target)
		})
	}
}

func TestCheck(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	target := filepath.Join(t.TempDir(), "docker")
	fresh := func() string {
		disk := image(t, 64<<20)
		command(t, "mkfs.ext4", "-q", disk)
		return loop(t, disk)
	}
	// Free blocks counted wrongly: -p corrects that. A root that is none: it does not.
	small, large := fresh(), fresh()
	for device, request := range map[string]string{small: "set_super_value free_blocks_count 1", large: "clri <2>"} {
		command(t, "debugfs", "-w", "-R", request, device)
	}
	command(t, "tune2fs", "-E", "force_fsck", small)
	done := prepare(t, Preparer{Runner: &runner{}}, decide(t, small, target, false))
	if done.Check == nil || done.Check.Outcome != Corrected || len(done.Notices) == 0 {
		t.Errorf("%+v", done)
	}
	unmount(t, target)
	command(t, "tune2fs", "-E", "force_fsck", large)
	_, err := (Preparer{Runner: &runner{}}).Apply(t.Context(), decide(t, large, target, false))
	if !errors.Is(err, ErrNeedsRepair) {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"e2fsck -p ended with status 4", "it is not mounted", "dockerlaunch.fsck=repair", "dockerlaunch.data=none"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said: %v", want, err)
		}
	}
	done = prepare(t, Preparer{Runner: &runner{}, Repair: true}, decide(t, large, target, false))
	if done.Check.Outcome != Corrected {
		t.Errorf("%+v", done)
	}
	unmount(t, target)

	// Without the program, and with one that fails.
	done = prepare(t, Preparer{Runner: &runner{}, Find: func(string) (string, bool) { return "", false }}, decide(t, small, target, false))
	if done.Check != nil || !strings.Contains(strings.Join(done.Notices, " "), "without a check") {
		t.Errorf("%+v", done)
	}
	unmount(t, target)
	blank := loop(t, image(t, 64<<20))
	none := Preparer{Runner: &runner{}, Find: func(string) (string, bool) { return "", false }}
	if _, err := none.Apply(t.Context(), decide(t, blank, target, true)); !errors.Is(err, ErrProgram) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no mkfs: %v", err)
	}
	if c := diskAt(t, blank).Content; c.Kind != Blank {
		t.Errorf("it is not blank any more: %+v", c)
	}
}
