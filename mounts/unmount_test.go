package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestUnmountOrder(t *testing.T) {
	line := func(id, parent int, target string) string {
		return fmt.Sprintf("%d %d 0:%d / %s rw - tmpfs x rw\n", id, parent, id, target)
	}
	for _, c := range []struct {
		name, table string
		keep        []string
		order, kept []int
	}{
		{
			"as mounted", line(1, 0, "/") + line(2, 1, "/a") + line(3, 2, "/a/b") + line(4, 1, "/c"), nil,
			[]int{4, 3, 2}, nil,
		},
		{
			"the table is in another order", line(3, 2, "/a/b") + line(2, 1, "/a") + line(1, 0, "/"), nil,
			[]int{3, 2}, nil,
		},
		{
			"stacked, and hidden by a later one", line(1, 0, "/") + line(2, 1, "/a/b") + line(3, 1, "/a") + line(4, 3, "/a"), nil,
			[]int{4, 3, 2}, nil,
		},
		{
			"kept, with what it is mounted on", line(1, 0, "/") + line(2, 1, "/x") + line(3, 2, "/x/proc") + line(4, 3, "/x/proc/bin") + line(5, 2, "/x/y"),
			[]string{"/x/proc", "/nowhere", "/"},
			[]int{5, 4}, []int{3, 2},
		},
		{"a root that is its own parent", line(1, 1, "/") + line(2, 1, "/a"), nil, []int{2}, nil},
		{"a chroot into a folder", line(7, 1, "/proc") + line(8, 1, "/dev") + line(9, 8, "/dev/pts"), []string{"/proc"}, []int{9, 8}, []int{7}},
		{"no tree", line(1, 0, "/") + line(2, 3, "/a") + line(3, 2, "/b"), nil, nil, nil},
	} {
		info, err := Parse(strings.NewReader(c.table))
		if err != nil {
			t.Fatal(err)
		}
		ids := func(entries []Entry) (list []int) {
			for _, e := range entries {
				list = append(list, e.ID)
			}
			return list
		}
		order, kept := unmountOrder(info, c.keep)
		if !slices.Equal(ids(order), c.order) || !slices.Equal(ids(kept), c.kept) {
			t.Errorf("%s: %v, kept %v", c.name, ids(order), ids(kept))
		}
	}
}

// quick is for tests: they wait for nothing that would come off by itself.
func quick() UnmountAll {
	return UnmountAll{Keep: []string{"/proc"}, Retries: 2, Pause: 10 * time.Millisecond}
}

// inOwnRoot makes an empty tmpfs with /proc the root.
func inOwnRoot(t *testing.T) {
	t.Helper()
	enterEmptyRoot(t)
	mkdir(t, "/tmp")
	mountAtTest(t, "proc", mkdir(t, "/proc"), "proc", 0, "")
}

func run(t *testing.T, ctx context.Context, u UnmountAll) (UnmountReport, map[string]UnmountResult) {
	t.Helper()
	report, err := u.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	byTarget := map[string]UnmountResult{}
	for _, r := range report.Results {
		t.Log(r)
		byTarget[r.Target] = r
	}
	return report, byTarget
}

// What a Docker host has mounted.
func TestUnmountAll(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	tools := map[string]string{}
	image := filepath.Join(t.TempDir(), "disk")
	for _, name := range []string{"mkfs.ext4", "losetup"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("install e2fsprogs and mount: %v", err)
		}
		tools[name] = path
	}
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tools["mkfs.ext4"], "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(tools["losetup"], "--find", "--show", image).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	loop := strings.TrimSpace(string(out))
	device, err := os.Open(loop)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// ENXIO: it is free already.
		if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0); err != nil && err != unix.ENXIO {
			t.Errorf("freeing %s: %v", loop, err)
		}
	})
	disk := fmt.Sprintf("/proc/self/fd/%d", device.Fd())
	inOwnRoot(t)
	mountAtTest(t, "tmpfs", mkdir(t, "/run"), "tmpfs", 0, "")
	mountAtTest(t, disk, mkdir(t, "/var/lib/docker"), "ext4", 0, "")
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		mkdir(t, "/var/lib/docker/"+name)
	}
	layer := "lowerdir=/var/lib/docker/lower,upperdir=/var/lib/docker/upper,workdir=/var/lib/docker/work"
	mountAtTest(t, "overlay", "/var/lib/docker/merged", "overlay", 0, layer)
	mountAtTest(t, "shm", mkdir(t, "/var/lib/docker/containers/x/mounts/shm"), "tmpfs", 0, "")
	mkdir(t, "/run/docker/netns")
	write(t, "/run/docker/netns/default", "")
	func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				done <- err
				return
			}
			done <- unix.Mount("/proc/thread-self/ns/net", "/run/docker/netns/default", "", unix.MS_BIND, "")
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		runtime.UnlockOSThread()
	}()
	write(t, "/var/lib/docker/merged/file", "written")

	report, results := run(t, t.Context(), quick())
	want := []string{
		"/run/docker/netns/default", "/var/lib/docker/containers/x/mounts/shm", "/var/lib/docker/merged", "/var/lib/docker", "/run", "/",
	}
	for _, target := range want {
		if r, ok := results[target]; !ok || r.Outcome != Unmounted && r.Outcome != Remounted || r.Err != nil {
			t.Errorf("%s: %+v", target, r)
		}
	}
	if len(results) != len(want) || !report.Clean() || report.Results[len(want)-1].Outcome != Remounted {
		t.Errorf("%+v", report)
	}
	if err := os.WriteFile("/x", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to /: %v", err)
	}
	if again, err := quick().Run(t.Context()); err != nil || len(again.Results) != 1 || !again.Clean() {
		t.Errorf("again: %+v, %v", again, err)
	}
	// Unmounted cleanly, and all that was written is there.
	mountAtTest(t, "", "/", "", unix.MS_REMOUNT, "")
	mountAtTest(t, disk, "/var/lib/docker", "ext4", unix.MS_RDONLY, "noload") // fails where the journal is not empty
	if text, err := os.ReadFile("/var/lib/docker/upper/file"); string(text) != "written" {
		t.Errorf("%q, %v", text, err)
	}
	if err := unix.Unmount("/var/lib/docker", 0); err != nil {
		t.Error(err)
	}
}

// goProgram gives the bytes of a static program that waits until its input ends.
func goProgram(t *testing.T, name string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", path, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// holder is a process that the tests start in the new root, which has no programs of its own.
func holder(t *testing.T, dir string, stdout *os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/tmp/holder")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, os.Stderr // nil would be /dev/null, which is not there
	// A pipe that is never written to: it ends when this process does.
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the holder ended by itself")
	}
}

func TestUnmountBusyMounts(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	program := goProgram(t, "holder")
	inOwnRoot(t)
	if err := os.WriteFile("/tmp/holder", program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/cwd", "/fd", "/free", "/late"} {
		mountAtTest(t, "x", mkdir(t, target), "tmpfs", 0, "")
	}
	log, err := os.Create("/fd/log")
	if err != nil {
		t.Fatal(err)
	}
	a := holder(t, "/cwd", log)
	late := holder(t, "/late", os.Stderr)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	u := quick()
	u.Retries, u.Pause, u.LeaveRoot = 200, 20*time.Millisecond, true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The second holder goes while it is tried again; when that has come off, nobody waits for the first any more.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !unmounted(t, "/free") {
			time.Sleep(time.Millisecond)
		}
		end(t, late)
		for !unmounted(t, "/late") {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	report, results := run(t, ctx, u)
	<-ended
	end(t, a)
	if r := results["/free"]; r.Outcome != Unmounted || r.Tries != 1 || len(r.Users) > 0 {
		t.Errorf("/free: %+v", r)
	}
	if r := results["/late"]; r.Outcome != Unmounted || r.Tries < 2 {
		t.Errorf("/late: %+v", r)
	}
	for target, how := range map[string]string{"/cwd": "cwd", "/fd": "fd 1 /fd/log"} {
		r := results[target]
		if r.Outcome != Detached || len(r.Users) != 1 || r.Users[0].PID != a.Process.Pid || r.Users[0].Name != "holder" || !slices.Contains(r.Users[0].How, how) {
			t.Errorf("%s: %v", target, r)
		}
	}
	if report.Clean() || !unmounted(t, "/cwd") || !unmounted(t, "/fd") {
		t.Errorf("%+v", report)
	}
	if _, ok := results["/"]; ok {
		t.Error("/ was to be left alone")
	}
}

func unmounted(t *testing.T, target string) bool {
	info, err := Read()
	if err != nil {
		t.Error(err)
		return true
	}
	e, ok := info.At(target)
	return !ok || e.Target != target
}

// A loop device keeps its file's filesystem busy, with no process to be seen.
func TestUnmountLoop(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	losetup, err := exec.LookPath("losetup")
	if err != nil {
		t.Fatalf("install mount: %v", err)
	}
	// The name is this test's alone: all namespaces see all loop devices.
	dir := "/unmount-loop-" + filepath.Base(filepath.Dir(t.TempDir()))
	target := mkdir(t, os.TempDir()+dir)
	mountAtTest(t, "x", target, "tmpfs", 0, "")
	write(t, target+"/disk", strings.Repeat("x", 1<<20))
	out, err := exec.Command(losetup, "--find", "--show", target+"/disk").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	loop := strings.TrimSpace(string(out))
	name := filepath.Base(loop)
	var st unix.Stat_t
	if err := unix.Stat(loop, &st); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Stat("/sys/block/" + name + "/loop/backing_file"); err == nil {
			t.Errorf("%s is still in use: %v", loop, freeLoop("/dev/"+name))
		}
	})
	mountAtTest(t, "tmpfs", mkdir(t, target+"/../root"), "tmpfs", 0, "")
	root := filepath.Clean(target + "/../root")
	mountAtTest(t, target, mkdir(t, root+dir), "", unix.MS_MOVE, "")
	if err := errors.Join(unix.Chdir(root), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), unix.Chdir("/")); err != nil {
		t.Fatal(err)
	}
	mountAtTest(t, "proc", mkdir(t, "/proc"), "proc", 0, "")
	mountAtTest(t, "sysfs", mkdir(t, "/sys"), "sysfs", 0, "")
	mkdir(t, "/dev")
	if err := unix.Mknod("/dev/"+name, unix.S_IFBLK|0o600, int(st.Rdev)); err != nil {
		t.Fatal(err)
	}
	u := quick()
	u.Keep = append(u.Keep, "/sys")
	u.Retries, u.Loops = 50, true
	report, results := run(t, t.Context(), u)
	if r := results[dir]; r.Outcome != Unmounted || r.Tries < 2 {
		t.Errorf("%+v", r)
	}
	if len(report.Released) != 1 || report.Released[0] != name+" on "+dir+"/disk" {
		t.Errorf("released %q", report.Released)
	}
}

// A root that is written to cannot be made read-only, and the message tells by whom.
func TestSealRootBusy(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	inOwnRoot(t)
	f, err := os.Create("/open")
	if err != nil {
		t.Fatal(err)
	}
	report, results := run(t, t.Context(), quick())
	if r := results["/"]; r.Outcome != Stuck || !errors.Is(r.Err, unix.EBUSY) || r.Tries != 3 || len(r.Users) != 1 || r.Users[0].PID != os.Getpid() {
		t.Errorf("%+v", r)
	}
	if report.Clean() {
		t.Error("clean")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if report, _ := run(t, t.Context(), quick()); !report.Clean() {
		t.Errorf("%+v", report)
	}
}

func TestSyncGivesUp(t *testing.T) {
	begin := time.Now()
	block := make(chan struct{})
	defer close(block)
	err := bounded(20*time.Millisecond, func() error { <-block; return nil })
	if !errors.Is(err, ErrNoAnswer) || time.Since(begin) > time.Minute {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if err := bounded(time.Minute, func() error { panic("broken") }); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a panic: %v", err)
	}
	if err := Sync(time.Minute); err != nil {
		t.Error(err)
	}
}
